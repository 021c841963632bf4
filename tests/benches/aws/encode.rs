//! Answers and events as the server sends them.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};

use super::Load;

/// Below all numbers.
const BASE: u128 = 49_600_000_000_000_000_000_000_000;
/// When the records arrived, in milliseconds: lately, because what is older than a stream keeps it for certain is read more
/// carefully.
static STARTED: LazyLock<u64> = LazyLock::new(|| {
    let since = kinesis_core::wall_clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
});

/// A record before it is encoded.
struct Sample {
    number: String,
    key: String,
    data: Vec<u8>,
    millis: u64,
}

/// `count` records from the `first` on. Their payloads are random, so that no cache flatters anybody.
fn samples(load: Load, first: usize, count: usize) -> impl Iterator<Item = Sample> {
    let mut rng = fastrand::Rng::with_seed(first as u64);
    (first..first + count).map(move |nth| Sample {
        number: (BASE + nth as u128).to_string(),
        key: format!("customer-{}", nth % 5000),
        data: (0..load.bytes).map(|_| rng.u8(..)).collect(),
        millis: *STARTED + nth as u64 / 100,
    })
}

/// Records in JSON with `next` under a name; none at the end.
pub(super) fn json(load: Load, first: usize, count: usize, next_name: &str, next: Option<&str>) -> Vec<u8> {
    let mut text = String::from("{\"Records\":[");
    for (nth, Sample { number, key, data, millis }) in samples(load, first, count).enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let data = base64_simd::STANDARD.encode_to_string(&data);
        write!(
            text,
            "{comma}{{\"SequenceNumber\":\"{number}\",\"ApproximateArrivalTimestamp\":{}.{:03},\"Data\":\"{data}\",\
             \"PartitionKey\":\"{key}\",\"EncryptionType\":\"NONE\"}}",
            millis / 1000,
            millis % 1000
        )
        .expect("a string takes every write");
    }
    text.push(']');
    if let Some(next) = next {
        write!(text, ",\"{next_name}\":\"{next}\"").expect("a string takes every write");
    } else {
        text.push_str(",\"ChildShards\":[]");
    }
    text.push_str(",\"MillisBehindLatest\":1000}");
    text.into_bytes()
}

/// The same in CBOR.
pub(super) fn cbor(load: Load, first: usize, count: usize, next: Option<&str>) -> Vec<u8> {
    let mut to = Vec::new();
    let head = |major: u8, length: usize, to: &mut Vec<u8>| {
        to.put_u8(major << 5 | 26);
        to.put_u32(length as u32);
    };
    let text = |text: &str, to: &mut Vec<u8>| {
        head(3, text.len(), to);
        to.put_slice(text.as_bytes());
    };
    head(5, 2 + usize::from(next.is_some()), &mut to);
    text("Records", &mut to);
    head(4, count, &mut to);
    for Sample { number, key, data, millis } in samples(load, first, count) {
        head(5, 4, &mut to);
        text("SequenceNumber", &mut to);
        text(&number, &mut to);
        text("ApproximateArrivalTimestamp", &mut to);
        to.put_slice(&[0xc1, 27]);
        to.put_u64(millis);
        text("Data", &mut to);
        head(2, data.len(), &mut to);
        to.put_slice(&data);
        text("PartitionKey", &mut to);
        text(&key, &mut to);
    }
    if let Some(next) = next {
        text("NextShardIterator", &mut to);
        text(next, &mut to);
    }
    text("MillisBehindLatest", &mut to);
    to.put_slice(&[25, 3, 232]);
    to
}

/// A frame of the event stream.
pub(super) fn frame(event: &str, payload: &[u8]) -> Bytes {
    let mut headers = Vec::new();
    for (name, value) in [(":message-type", "event"), (":event-type", event), (":content-type", "application/json")] {
        headers.put_u8(name.len() as u8);
        headers.put_slice(name.as_bytes());
        headers.put_u8(7);
        headers.put_u16(value.len() as u16);
        headers.put_slice(value.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(16 + headers.len() + payload.len());
    frame.put_u32((16 + headers.len() + payload.len()) as u32);
    frame.put_u32(headers.len() as u32);
    frame.put_u32(crc32fast::hash(&frame));
    frame.put_slice(&headers);
    frame.put_slice(payload);
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}
