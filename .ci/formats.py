"""The SDKs of Standard Webhooks and CloudEvents against both ends of HTTP push.

usage: formats.py PROGRAM, which is tests/examples/formats. As the subscriber, the SDKs verify and read every format that
is sent; as the sender, they sign and write what the receiver has to take, and what it has to refuse.
"""

import base64
import http.client
import json
import subprocess
import sys
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from cloudevents.core.bindings.http import HTTPMessage, from_http, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

PROGRAM = sys.argv[1]
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
SHARD = "shardId-000000000006"
NUMBER = 49590338271490256608559692538361571095921575989136588898

requests = []


class Subscriber(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        requests.append((dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


def read_by_sdk(event, content_type):
    """What an event carries, as the SDK has it: text is what it takes for text, whatever its type."""
    data = event.get_data()
    if content_type == "application/json":
        # In base64 where JSON would say that there is no data.
        return json.loads(data) if isinstance(data, bytes) else data
    return data.encode() if isinstance(data, str) else data


def as_sent(data, content_type):
    return json.loads(bytes(data)) if content_type == "application/json" else bytes(data)


def check_event(event, record):
    attributes = event.get_attributes()
    name = record["id"]
    expect(f"id of {name}", attributes["id"], name)
    expect(f"source of {name}", attributes["source"], f"{STREAM}/{SHARD}")
    expect(f"type of {name}", attributes["type"], f"com.example.{record['channel']}")
    expect(f"subject of {name}", attributes["subject"], record["channel"])
    expect(f"key of {name}", attributes["partitionkey"], record["partition_key"])
    expect(f"number of {name}", attributes["kinesissequencenumber"], record["sequence_number"])
    expect(f"time of {name}", attributes["time"], datetime(2018, 12, 17, 22, 10, 50, 987000, timezone.utc))
    content_type = attributes.get("datacontenttype")
    expect(f"data of {name}", read_by_sdk(event, content_type), as_sent(record["data"], content_type))


def read(kind, headers, body):
    """The events of a request, by the SDK."""
    if kind == "batch":
        lone = {"content-type": "application/cloudevents+json"}
        each = [json.dumps(one).encode() for one in json.loads(body)]
        return [from_http(HTTPMessage(lone, one), JSONFormat()) for one in each]
    return [from_http(HTTPMessage(headers, body), JSONFormat())]


def verify(headers, body):
    try:
        Webhook(SECRET).verify(body, headers, json_parse=False)
    except UnicodeDecodeError:
        # The SDK signs text alone; for bytes, the same by the standard library.
        import hashlib
        import hmac

        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.digest(bytes(range(32)), signed, hashlib.sha256)).decode()
        expect("the signature", f"v1,{wanted}" in headers["webhook-signature"].split(" "), True)


def subscribe():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Subscriber)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/events"
    verified = 0
    for kind in ["binary", "structured", "batch", "original", "lambda"]:
        requests.clear()
        done = subprocess.run([PROGRAM, "send", url, kind, SECRET], check=True, capture_output=True, timeout=60)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        for headers, body in requests:
            verify({name.lower(): value for name, value in headers.items()}, body)
        verified += len(requests)
        if kind in ("binary", "structured", "batch"):
            events = [event for headers, body in requests for event in read(kind, headers, body)]
            expect(f"{kind}: how many events", len(events), len(records))
            events.sort(key=lambda event: event.get_attributes()["id"])
            for event, record in zip(events, records):
                check_event(event, record)
    return verified


def post(url, headers, body):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", "/events", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def signed(message_id, body, secret=SECRET):
    now = datetime.now(timezone.utc)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": "v1a,bm90IG91cnM= " + Webhook(secret).sign(message_id, now, body.decode()),
    }


def event(nth, data, content_type):
    number = str(NUMBER + nth)
    attributes = {
        "id": f"{SHARD}:{number}",
        "source": f"{STREAM}/{SHARD}",
        "type": "com.example.Zoë 🦀",
        "specversion": "1.0",
        "subject": "Zoë 🦀",
        "channel": "Zoë 🦀",
        "partitionkey": 'quoted "and" 100%',
        "kinesissequencenumber": number,
        "kinesisshardid": SHARD,
        "time": datetime(2018, 12, 17, 22, 10, 50, 987000, timezone.utc),
        "datacontenttype": content_type,
    }
    return CloudEvent(attributes=attributes, data=data)


def send():
    process = subprocess.Popen([PROGRAM, "receive", SECRET], stdout=subprocess.PIPE)
    try:
        line = lambda: process.stdout.readline().decode().strip()
        url = line().removeprefix("listens on ")
        # In binary mode the SDK writes no other JSON than objects.
        sent = [({"name": "Ana"}, "application/json"), ("plain text", "text/plain"), ({"a": [1, None]}, "application/json")]
        taken = 0
        for to_http in [to_binary, to_structured]:
            for data, content_type in sent:
                message = to_http(event(taken, data, content_type), JSONFormat())
                message_id = f"{SHARD}:{NUMBER + taken}"
                status = post(url, {**message.headers, **signed(message_id, message.body)}, message.body)
                expect(f"the answer to {to_http.__name__} of {data!r}", status, 200)
                got = json.loads(line())
                expect("the id taken", got["id"], message_id)
                expect("the channel taken", got["channel"], "Zoë 🦀")
                expect("the key taken", got["partition_key"], 'quoted "and" 100%')
                expect("the number taken", got["sequence_number"], str(NUMBER + taken))
                data_taken = bytes(got["data"])
                expect("the data taken", json.loads(data_taken) if "json" in content_type else data_taken.decode(), data)
                taken += 1
        message = to_structured(event(taken, {}, "application/json"), JSONFormat())
        other = "whsec_" + base64.b64encode(bytes(32)).decode()
        forged = signed(f"{SHARD}:{NUMBER + taken}", message.body, other)
        expect("the answer to a forged one", post(url, {**message.headers, **forged}, message.body), 401)
        expect("the answer to an unsigned one", post(url, message.headers, message.body), 401)
        return taken
    finally:
        process.kill()


print(f"{subscribe()} requests verified and read by the SDKs; {send()} of theirs taken, 2 refused")
