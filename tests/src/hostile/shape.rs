//! The shapes that hostile requests have, one a seed: broken HTTP, and HTTP that is whole around what is not.

use fastrand::Rng;

use super::body::{self, Typed};
use super::request::{Request, SIGNED};
use crate::mutate;

/// What is sent on a connection of its own.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) ending: Ending,
    /// Whether answers have heads alone.
    pub(super) is_head: bool,
}

/// What comes behind the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// So many answers are due, and a good request behind them on the same connection is answered, too.
    Answered(usize),
    /// One answer is due; what it does to the connection is open.
    Last,
    /// An answer is due to nobody: nothing more is sent, and the connection is to be closed.
    Cut,
}

/// A request that is always to be answered with 200.
pub(super) fn good(id: u64) -> Vec<u8> {
    let body = format!(r#"{{"channel":"good","sequenceNumber":"{id}","data":"x"}}"#);
    with_body("content-type: application/json", body.as_bytes())
}

fn with_body(headers: &str, body: &[u8]) -> Vec<u8> {
    to("/events", headers, body)
}

fn to(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// What a seed sends.
pub(super) fn shape(corpus: &[Vec<u8>], seed: u64) -> Shape {
    let random = &mut Rng::with_seed(seed);
    let (name, bytes, ending) = match random.u16(..1000) {
        0..1 => typed("a list of very many", body::many(random), random),
        1..2 => {
            ("over the limit", with_body("content-type: application/json", &vec![b' '; (8 << 20) + 1]), Ending::Last)
        }
        2..500 => return mutated(corpus, seed),
        500..560 => typed("deep", body::deep(random), random),
        560..640 => typed("numbers", body::numbers(random), random),
        640..690 => typed("surrogates", body::surrogates(random), random),
        690..740 => typed("long", body::long(random), random),
        740..790 => ("percent signs", percent(random), Ending::Answered(1)),
        790..830 => ("wrong signatures", signatures(random), Ending::Answered(1)),
        830..850 => pipelined(random),
        850..870 => ("a method", method(random), Ending::Last),
        870..890 => expecting(random),
        890..930 => chunked(random),
        930..960 => lengths(random),
        960..980 => heads(random),
        _ => broken(corpus, random),
    };
    Shape { name, bytes, ending, is_head: false }
}

type Parts = (&'static str, Vec<u8>, Ending);

fn typed(name: &'static str, (content_type, body): Typed, random: &mut Rng) -> Parts {
    // Some reach a receiver that has no callbacks, and some one whose callbacks fail.
    let path = random.choice(["/events", "/events", "/nobody", "/failing"]).unwrap_or_default();
    (name, to(path, &format!("content-type: {content_type}"), body.as_bytes()), Ending::Answered(1))
}

fn mutated(corpus: &[Vec<u8>], seed: u64) -> Shape {
    let mut request = Request::read(&mutate::input(corpus, seed));
    request.sign();
    let is_head = request.line.starts_with(b"HEAD ");
    Shape { name: "mutated", bytes: request.write(), ending: Ending::Last, is_head }
}

fn percent(random: &mut Rng) -> Vec<u8> {
    const TRAPS: [&str; 12] =
        ["%", "%4", "%zz", "%FF", "%C3%28", "%00", "%0d%0a", "\"", "\"\\", "\"\\\"", "%25%", "\u{e4}"];
    let mut headers = "ce-specversion: 1.0".to_owned();
    for name in ["id", "source", "type", "kinesissequencenumber", "time", "channel", "partitionkey", "specversion"] {
        let trap = random.choice(TRAPS).unwrap_or_default().repeat(random.usize(1..50));
        let value = if random.bool() { "1" } else { &trap };
        headers.push_str(&format!("\r\nce-{name}: {value}"));
    }
    with_body(&headers, b"payload")
}

fn signatures(random: &mut Rng) -> Vec<u8> {
    let one =
        random.choice(["v1,AAAA", "v1,", "v1,*", "v1a,AAAA", ",", "v1,////////////////////////////////////////////"]);
    let all = vec![one.unwrap_or_default(); random.usize(1..5000)].join(" ");
    let number = random.u64(..).to_string();
    let mut signed = Request::read(b"POST / HTTP/1.1\r\nwebhook-signature: SIGN\r\n\r\n");
    signed.sign();
    let now = signed.headers.last().map(|(_, now)| String::from_utf8_lossy(now).into_owned()).unwrap_or_default();
    let timestamp =
        random.choice([&*now, &*now, &*number, "-1", "1e9", "", "99999999999999999999"]).unwrap_or_default();
    let headers = format!("webhook-id: a\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {all}");
    to(SIGNED, &headers, &vec![b' '; random.usize(..100_000)])
}

fn pipelined(random: &mut Rng) -> Parts {
    let count = random.usize(2..100);
    let bytes = (0..count).flat_map(|_| good(random.u64(..))).collect();
    ("pipelined", bytes, Ending::Answered(count))
}

fn method(random: &mut Rng) -> Vec<u8> {
    let long = "M".repeat(random.usize(1..20_000));
    let method = random.choice(["BREW", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PRI", "post", "P\0ST", &long]);
    let version = random.choice(["1.1", "1.0", "1.1", "2.0", "0.9", "9"]).unwrap_or_default();
    let method = method.unwrap_or_default();
    format!("{method} /events HTTP/{version}\r\nhost: a\r\nupgrade: h2c, websocket\r\nconnection: upgrade\r\n\r\n")
        .into_bytes()
}

fn expecting(random: &mut Rng) -> Parts {
    let body = br#"{"channel":"c","sequenceNumber":"1","data":"x"}"#;
    match random.u8(..3) {
        0 => {
            let bytes = with_body("expect: 100-continue\r\ncontent-type: application/json", body);
            ("expect", bytes, Ending::Answered(1))
        }
        1 => ("expect nonsense", with_body("expect: 200-ok\r\ncontent-type: text/html", body), Ending::Answered(1)),
        _ => {
            let text = String::from_utf8_lossy(&with_body("content-type: application/json", body)).into_owned();
            ("HTTP/1.0", text.replace("HTTP/1.1", "HTTP/1.0").into_bytes(), Ending::Last)
        }
    }
}

fn chunked(random: &mut Rng) -> Parts {
    let head =
        "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let bytes: String =
        r#"{"channel":"c","sequenceNumber":"1","data":"x"}"#.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let with = |rest: &str| format!("{head}{rest}").into_bytes();
    match random.u8(..8) {
        0 => ("chunks", with(&format!("{bytes}0\r\n\r\n")), Ending::Answered(1)),
        1 => {
            let spaces = "1\r\n \r\n".repeat(random.usize(1..20_000));
            ("chunks of one byte", with(&format!("{spaces}{bytes}0\r\n\r\n")), Ending::Answered(1))
        }
        2 => ("trailers", with(&format!("{bytes}0\r\na: b\r\n\r\n")), Ending::Answered(1)),
        3 => ("chunks that are cut", with(&bytes), Ending::Cut),
        4 => ("a chunk of no size", with(&format!("{bytes}xyz\r\n")), Ending::Cut),
        5 => ("a chunk of any size", with(&format!("{bytes}ffffffffffffffff\r\nabc")), Ending::Cut),
        6 => ("a size too large", with(&format!("{bytes}{}\r\nabc", "f".repeat(random.usize(17..5000)))), Ending::Cut),
        _ => ("extensions", with(&format!("1;{}\r\n{{\r\n", "a=b;".repeat(random.usize(1..20_000)))), Ending::Cut),
    }
}

fn lengths(random: &mut Rng) -> Parts {
    let long = random.u64(..).to_string();
    let length =
        ["-1", "1e3", "", "0x10", " 5 5", "99999999999999999999", "5, 6", "5\r\ncontent-length: 6", "+5", &long];
    let length = random.choice(length).unwrap_or_default();
    let more = if random.bool() { "\r\ntransfer-encoding: chunked" } else { "" };
    let head = "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json";
    let bytes = format!("{head}\r\ncontent-length: {length}{more}\r\n\r\n{{\"channel\":").into_bytes();
    ("a wrong length", bytes, Ending::Cut)
}

fn heads(random: &mut Rng) -> Parts {
    let size = random.usize(1000..600_000);
    let bytes = match random.u8(..4) {
        0 => format!("POST /events HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(size)),
        1 => format!("POST /events HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(size / 1000)),
        2 => format!("POST /{} HTTP/1.1\r\n\r\n", "a%".repeat(size / 2)),
        _ => format!("POST /events HTTP/1.1\r\n{}: b\r\n\r\n", "a".repeat(size)),
    };
    ("a huge head", bytes.into_bytes(), Ending::Cut)
}

fn broken(corpus: &[Vec<u8>], random: &mut Rng) -> Parts {
    let whole = random.choice(corpus).map(|text| Request::read(text).write()).unwrap_or_default();
    match random.u8(..4) {
        0 => ("garbage", (0..random.usize(1..5000)).map(|_| random.u8(..)).collect(), Ending::Cut),
        1 => ("half a request", whole[..random.usize(..whole.len())].to_vec(), Ending::Cut),
        2 => ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), Ending::Cut),
        _ => ("a TLS hello", [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], &[7; 500]].concat(), Ending::Cut),
    }
}
