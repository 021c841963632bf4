//! Hostile bodies: JSON that is deep, long, large or nothing, under each of the content types.

use fastrand::Rng;

/// A content type and a body.
pub(super) type Typed = (&'static str, String);

const JSON: &str = "application/json";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// One event, whose members of these names are what stands here; `more` is behind them.
fn structured(id: &str, number: &str, more: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":{id},"source":"s","type":"t","kinesissequencenumber":{number}{more}}}"#)
}

fn original(channel: &str, number: &str, data: &str, more: &str) -> String {
    format!(r#"{{"channel":{channel},"sequenceNumber":{number},"data":{data}{more}}}"#)
}

fn lambda(id: &str, number: &str, data: &str, more: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventID":{id},"kinesis":{{"partitionKey":"k","sequenceNumber":{number},"data":{data}{more}}}}}]}}"#
    )
}

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    random.choice(from).copied().unwrap_or_default()
}

/// A value in every place where one can be, but for where it would be of use.
fn anywhere(random: &mut Rng, value: &str) -> Typed {
    match random.u8(..9) {
        0 => (JSON, original(value, "\"1\"", "\"x\"", "")),
        1 => (JSON, original("\"c\"", value, "\"x\"", "")),
        2 => (JSON, original("\"c\"", "\"1\"", value, "")),
        3 => (JSON, original("\"c\"", "\"1\"", "\"x\"", &format!(r#","approximateArrivalTimestamp":{value}"#))),
        4 => (STRUCTURED, structured(value, "\"1\"", "")),
        5 => (STRUCTURED, structured("\"a\"", value, &format!(r#","data":{value}"#))),
        6 => (BATCH, format!("[{}]", structured("\"a\"", "\"1\"", &format!(r#","time":{value},"data":{value}"#)))),
        7 => (JSON, lambda(value, "\"1\"", "\"\"", &format!(r#","subSequenceNumber":{value}"#))),
        _ => (JSON, lambda("\"a\"", value, value, "")),
    }
}

/// Brackets within brackets, closed and not.
pub(super) fn deep(random: &mut Rng) -> Typed {
    let depth = random.usize(100..50_000);
    let (open, close) = if random.bool() { ("[", "]") } else { (r#"{"a":"#, "}") };
    let end = if random.bool() { close.repeat(depth) } else { String::new() };
    let value = format!("{}1{end}", open.repeat(depth));
    if random.u8(..4) == 0 { (pick(random, &[JSON, STRUCTURED, BATCH]), value) } else { anywhere(random, &value) }
}

/// Numbers beyond what anybody can hold.
pub(super) fn numbers(random: &mut Rng) -> Typed {
    let digits = "9".repeat(random.usize(1..10_000));
    let value = match random.u8(..8) {
        0 => digits,
        1 => format!("\"{digits}\""),
        2 => format!("\"1.{digits}\""),
        3 => format!("-{digits}e{}", random.u16(..)),
        4 => format!("1e{}", random.u16(..400)),
        5 => format!("\"{}\"", pick(random, &["inf", "NaN", "-0", "1e999", "+1", "1.0", "\u{661}"])),
        6 => random.u64(..).to_string(),
        _ => format!("{:?}", f64::from_bits(random.u64(..))),
    };
    anywhere(random, &value)
}

/// Halves of pairs, and other escapes that stand for nothing.
pub(super) fn surrogates(random: &mut Rng) -> Typed {
    let bad =
        [r"\ud800", r"\udc00", r"\udfff\ud800", r"\ud83d\u0041", r"\ud83d\", r"\u12", r"\x41", r"\u0000", "\u{7f}"];
    let value = format!("\"{}\"", pick(random, &bad).repeat(random.usize(1..4)));
    anywhere(random, &value)
}

/// Names as long as a body, which must be neither remembered nor repeated.
pub(super) fn long(random: &mut Rng) -> Typed {
    let text = pick(random, &["a", "\u{7f}", "\u{e9}", "\u{1f600}"]).repeat(random.usize(1000..60_000));
    let nth = random.u32(..);
    anywhere(random, &format!("\"{text}{nth}\""))
}

/// Lists of very many elements with nothing in them, and some with a little.
pub(super) fn many(random: &mut Rng) -> Typed {
    let times = |element: &str| vec![element; 100_000].join(",");
    match random.u8(..6) {
        0 => (BATCH, format!("[{}]", times("{}"))),
        1 => (BATCH, format!("[{}]", times("[]"))),
        2 => (JSON, format!(r#"{{"Records":[{}]}}"#, times("{}"))),
        3 => (JSON, format!(r#"{{"Records":[{}]"#, times("{}"))),
        4 => (BATCH, format!("[{}1]", "1,".repeat(4_000_000))),
        _ => {
            let events: Vec<_> = (0..40_000).map(|id| structured(&format!("\"{id}\""), "\"1\"", "")).collect();
            (BATCH, format!("[{}]", events.join(",")))
        }
    }
}
