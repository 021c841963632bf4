// Preloaded into a server of somebody else (`node -r ./.ci/peer.js`), so that the gate can run it unchanged. It listens
// on 127.0.0.1 only, on a free port instead of PEER_PORT, and tells that on standard output. Where PEER_SPEED is set, its
// time runs so many times as fast.
'use strict'

const net = require('net')

const listen = net.Server.prototype.listen

net.Server.prototype.listen = function (...args) {
  const listening = args.find((arg) => typeof arg === 'function')
  const wanted = typeof args[0] === 'object' ? args[0].port : args[0]
  if (String(wanted) === process.env.PEER_PORT) {
    this.once('listening', () => console.log(`listens on http://127.0.0.1:${this.address().port}`))
  }
  return listen.call(this, { host: '127.0.0.1', port: 0 }, listening)
}

const speed = Number(process.env.PEER_SPEED || 1)

if (speed !== 1) {
  const RealDate = Date
  const [begun, now] = [RealDate.now(), RealDate.now]
  const hurried = () => begun + Math.floor((now() - begun) * speed)
  globalThis.Date = class extends RealDate {
    constructor (...args) {
      super(...(args.length ? args : [hurried()]))
    }

    static now () {
      return hurried()
    }
  }
  const ticks = performance.now.bind(performance)
  performance.now = () => ticks() * speed
  for (const name of ['setTimeout', 'setInterval']) {
    const timer = globalThis[name]
    globalThis[name] = (action, delay, ...args) => timer(action, (delay || 0) / speed, ...args)
  }
}
