//! A server of HTTP/2 by script. It writes its frames by hand (RFC 9113), because no library says what it should not.

#![allow(dead_code, unreachable_pub, reason = "each story is a crate of its own and uses a part of this")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::server::{GOOD, H2, Server};

/// A request whose body is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub connection: usize,
    /// Which request of its connection it is, from 0 on.
    pub nth: usize,
    pub body: String,
}

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Answers 200.
    Answer,
    /// Says nothing to it, now or later.
    Ignore,
    /// Goes away for this reason, after the request or as if it had not seen it.
    GoAway { seen: bool, reason: u32 },
    /// Resets the stream for this reason.
    Reset { reason: u32 },
    /// Closes the connection.
    Close,
    /// Writes nothing any more, and stays connected for as long as the client does.
    FallSilent,
}

use Step::{Answer, Close, FallSilent, GoAway, Ignore, Reset};

pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// The flag of the last frame of a stream, and of an acknowledgement.
const END: u8 = 1;
/// The flags of a head that is whole and has no body.
const WHOLE: u8 = 5;

pub type Script = fn(&Seen) -> &'static [Step];

/// A server by script.
pub async fn scripted(script: Script) -> (Server, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let server =
        Server::start(GOOD, H2, move |tls, connection| converse(tls, connection, script, Arc::clone(&all))).await;
    (server, seen)
}

/// Ends where the client breaks off.
async fn converse(mut tls: TlsStream<TcpStream>, connection: usize, script: Script, all: Arc<Mutex<Vec<Seen>>>) {
    let _ = follow(&mut tls, connection, script, &all).await;
}

async fn follow(
    tls: &mut TlsStream<TcpStream>,
    connection: usize,
    script: Script,
    all: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut bodies: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut nth = 0;
    tls.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await?;
    write(tls, SETTINGS, 0, 0, &[]).await?;
    loop {
        let (kind, flags, stream, payload) = read(tls).await?;
        match kind {
            SETTINGS | PING if flags & END == 0 => {
                let echo = if kind == PING { &payload[..] } else { &[] };
                write(tls, kind, END, 0, echo).await?;
            }
            DATA => bodies.entry(stream).or_default().extend(payload),
            _ => {}
        }
        if !matches!(kind, HEADERS | DATA) || flags & END == 0 {
            continue;
        }
        let body = String::from_utf8(bodies.remove(&stream).unwrap_or_default()).unwrap();
        let seen = Seen { connection, nth, body };
        nth += 1;
        all.lock().unwrap().push(seen.clone());
        for step in script(&seen) {
            match *step {
                // 0x88 is ":status: 200" in HPACK's table.
                Answer => write(tls, HEADERS, WHOLE, stream, &[0x88]).await?,
                Ignore => {}
                GoAway { seen, reason } => {
                    let last = if seen { stream } else { stream.saturating_sub(2) };
                    write(tls, GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat()).await?;
                }
                Reset { reason } => write(tls, RST_STREAM, 0, stream, &reason.to_be_bytes()).await?,
                Close => return Ok(()),
                FallSilent => return tokio::io::copy(tls, &mut tokio::io::sink()).await.map(|_| ()),
            }
        }
    }
}

async fn read(tls: &mut TlsStream<TcpStream>) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    tls.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    tls.read_exact(&mut payload).await?;
    Ok((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

async fn write(
    tls: &mut TlsStream<TcpStream>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    tls.write_all(&frame).await?;
    tls.flush().await
}
