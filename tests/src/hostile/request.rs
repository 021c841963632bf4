//! Requests as text that can be mutated: sound ones of every format, and the way back from what has become of them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use kinesis_core::wall_clock;
use sha2::Sha256;

/// The key of the receiver that believes only what is signed.
pub const KEY: [u8; 32] = [7; 32];
/// Where that one is.
pub const SIGNED: &str = "/signed";

/// What stands for a right signature, in the header of one.
const TO_SIGN: &[u8] = b"SIGN";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A request in its parts, which need not be sound.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Method, target and version.
    pub line: Vec<u8>,
    /// Names and values.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is behind the head.
    pub body: Vec<u8>,
}

/// Sound requests of every format, unsigned and signed, without the length of their bodies.
#[must_use]
pub fn sound() -> Vec<Vec<u8>> {
    let number = "49569625073747986051284015760176917265900404709609439234";
    let event = |id: &str, rest: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"shardId-0:{id}","source":"arn:aws:kinesis:::stream/s/shardId-0","type":"t",
            "channel":"order","partitionkey":"\u00e4\ud83d\ude00","kinesisshardid":"shardId-0",
            "time":"2018-12-17T22:10:50.987Z","kinesissequencenumber":"{id}"{rest}}}"#
        )
    };
    let events = [
        event(number, r#","data":{"a":[1,-2.5e3,null,"x"]}"#),
        event("7.3", r#","datacontenttype":"text/plain","data":"text""#),
        event("8", &format!(r#","data_base64":"{}""#, "QUJD".repeat(50))),
    ];
    let original = include_str!("../../data/original.json").to_owned();
    let encoded = r#"{"channel":"c","sequenceNumber":"12.5","data":"/wA=","encoding":"base64"}"#.to_owned();
    let lambda = include_str!("../../data/lambda-event.json").to_owned();
    let binary = "ce-specversion: 1.0\r\nce-id: a:1\r\nce-source: s\r\nce-type: t\r\nce-subject: \"a%20\\\"b\"\r\n\
        ce-time: 2018-12-17T22:10:50.987Z\r\nce-partitionkey: %C3%A4\r\nce-kinesissequencenumber: 9\r\ncontent-type: text/plain";
    let bodies = [
        ("content-type: application/json", original),
        ("content-type: application/json; charset=utf-8", encoded),
        ("content-type: application/json", lambda),
        ("content-type: application/cloudevents+json", events[0].clone()),
        ("content-type: application/cloudevents-batch+json", format!("[{}]", events.join(","))),
        (binary, "payload".to_owned()),
    ];
    let of = |(headers, body): &(&str, String)| {
        let post = |path: &str, more: &str| {
            format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\nwebhook-id: shardId-0:1{more}\r\n\r\n{body}")
        };
        [post("/events", ""), post(SIGNED, "\r\nwebhook-signature: SIGN")]
    };
    let alive = ["GET", "HEAD"].map(|method| format!("{method} /events HTTP/1.1\r\nhost: a\r\n\r\n"));
    bodies.iter().flat_map(of).chain(alive).map(String::into_bytes).collect()
}

impl Request {
    /// Takes a text apart. Everything is a request: what has no head has no headers.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let end = text.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END);
        let (head, body) = match end {
            Some(end) => (&text[..end], &text[end + HEAD_END.len()..]),
            None => (text, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let line = lines.next().unwrap_or_default().to_vec();
        let header = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
        };
        Self { line, headers: lines.filter_map(header).collect(), body: body.to_vec() }
    }

    /// Signs it as it is now, if it says so.
    pub fn sign(&mut self) {
        let Some(at) = self.headers.iter().position(|(_, value)| value == TO_SIGN) else { return };
        let id = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"webhook-id"));
        let id = id.map(|(_, id)| id.clone()).unwrap_or_default();
        let now = wall_clock::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let timestamp = now.as_secs().to_string().into_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("HMAC takes a key of any length");
        for part in [&*id, b".", &timestamp, b".", &self.body] {
            mac.update(part);
        }
        self.headers[at].1 = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())).into_bytes();
        self.headers.push((b"webhook-timestamp".to_vec(), timestamp));
    }

    /// What goes over the wire, with the length of the body.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut text = self.line.clone();
        for (name, value) in &self.headers {
            text.extend_from_slice(&[b"\r\n", &**name, b": ", value].concat());
        }
        text.extend_from_slice(format!("\r\ncontent-length: {}\r\n\r\n", self.body.len()).as_bytes());
        text.extend_from_slice(&self.body);
        text
    }
}
