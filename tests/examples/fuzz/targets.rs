//! What is fuzzed: each parser with the sound inputs to begin with.

use kinesis_aws::fuzzing;
use kinesis_core::Record;
use kinesis_forwarder::lambda::event::KinesisEvent;
use kinesis_tests::hostile::request;

use crate::receiver;

/// A parser.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Sound inputs.
    pub(crate) corpus: fn() -> Vec<Vec<u8>>,
    /// Reads an input that comes in chunks of these lengths, in turn; says whether it was accepted.
    pub(crate) run: fn(&[u8], &[usize]) -> bool,
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "json", corpus: json, run: fuzzing::json },
    Target { name: "cbor", corpus: cbor, run: fuzzing::cbor },
    Target { name: "frames", corpus: frames, run: fuzzing::frames },
    Target { name: "kpl", corpus: kpl, run: fuzzing::kpl },
    Target { name: "lambda", corpus: lambda, run: read_event },
    Target { name: "receiver", corpus: request::sound, run: receiver::answer },
];

/// Answers of `GetRecords` in JSON.
fn json() -> Vec<Vec<u8>> {
    let number = "49569625073747986051284015760176917265900404709609439234";
    [
        r#"{"MillisBehindLatest":0,"NextShardIterator":"AAAA+/=","Records":[]}"#.to_owned(),
        format!(
            r#"{{"Records":[{{"ApproximateArrivalTimestamp":1704067200.289,"Data":"cGF5bG9hZA==","PartitionKey":"key","SequenceNumber":"{number}"}},
            {{"SequenceNumber":"8","Data":"{}","PartitionKey":"\u00e4\"\ud83d\ude00","EncryptionType":"KMS"}}],"MillisBehindLatest":12}}"#,
            "QUJD".repeat(300)
        ),
        r#"{"Records":[{"Data":"\u002B\/==","SequenceNumber":"0","PartitionKey":null,"New":{"a":[1,-2.5e3,true,null,"x"]}}],
            "ChildShards":[{"ShardId":"shardId-1","ParentShards":["shardId-0"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]}"#
            .to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

/// The same in CBOR.
fn cbor() -> Vec<Vec<u8>> {
    let text = |text: &str| [&[0x78, text.len() as u8], text.as_bytes()].concat();
    let record = |data: &[u8], time: &[u8]| {
        [
            &[0xa4][..],
            &text("Data"),
            &[0x59, (data.len() >> 8) as u8, data.len() as u8],
            data,
            &text("SequenceNumber"),
            &text("49569625073747986051284015760176917265900404709609439234"),
            &text("PartitionKey"),
            &text("schlüssel"),
            &text("ApproximateArrivalTimestamp"),
            time,
        ]
        .concat()
    };
    let millis = b"\xc1\x1b\0\0\x01\x8c\xc2\x51\xf4\x00";
    let seconds = b"\xfb\x41\xd9\x64\x80\0\0\0\0";
    let child = [
        &[0xbf][..],
        &text("ShardId"),
        &text("shardId-1"),
        &text("ParentShards"),
        &[0x81],
        &text("shardId-0"),
        &text("HashKeyRange"),
        &[0xa2],
        &text("StartingHashKey"),
        &text("0"),
        &text("EndingHashKey"),
        &text("9"),
        &[0xff],
    ]
    .concat();
    vec![
        [
            &[0xa2][..],
            &text("Records"),
            &[0x82],
            &record(b"payload", millis),
            &record(&[7; 700], seconds),
            &text("MillisBehindLatest"),
            &[0x18, 99],
        ]
        .concat(),
        [
            &[0xbf][..],
            &text("NextShardIterator"),
            &text("AAAA"),
            &text("Records"),
            &[0x9f],
            &record(b"", &[0xf6]),
            &[0xff, 0xff],
        ]
        .concat(),
        [&[0xa2][..], &text("ChildShards"), &[0x81], &child, &text("Records"), &[0x80]].concat(),
    ]
}

/// Event streams: the frames of an answer and of an exception.
fn frames() -> Vec<Vec<u8>> {
    let frame = |headers: &[u8], payload: &[u8]| {
        let total = (16 + headers.len() + payload.len()) as u32;
        let mut frame = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame.extend_from_slice(headers);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame
    };
    let event = frame(b"\x0d:message-type\x07\0\x05event", br#"{"Records":[]}"#);
    let exception = frame(b"\x0d:message-type\x07\0\x09exception\x01a\x08\0\0\0\0\0\0\0\x01", b"{}");
    vec![event.clone(), exception.clone(), [event, exception].concat(), frame(b"", b"")]
}

/// Aggregates, and what is none.
fn kpl() -> Vec<Vec<u8>> {
    let record = |key: &'static str, n: u64| kinesis_core::Record::new(n.into(), key, vec![b'x'; n as usize]);
    let packed = |count: u64| {
        let records: Vec<_> = (0..count).map(|n| record(["a", "b", "c"][n as usize % 3], n)).collect();
        kinesis_aws::kpl::pack(&records, 1 << 20).swap_remove(0).data.to_vec()
    };
    vec![packed(2), packed(3), packed(40), b"plain".to_vec()]
}

/// Events of a Lambda function.
fn lambda() -> Vec<Vec<u8>> {
    let original = include_bytes!("../../data/lambda-event.json").to_vec();
    let record = |shard: &str, n: u64, data: &str| {
        format!(
            r#"{{"eventSource":"aws:kinesis","eventID":"{shard}:{n}",
            "eventSourceARN":"arn:aws:kinesis:eu-west-1:1:stream/s/consumer/c:1","userIdentity":null,
            "kinesis":{{"partitionKey":"\u00e4\ud83d\ude00","sequenceNumber":"{n}","data":"{data}"}}}}"#
        )
    };
    let two = [record("shardId-0", 9, &"QUJD".repeat(100)), record("shardId-1", 8, "")].join(",");
    vec![original, format!(r#"{{"Records":[{two}]}}"#).into_bytes(), br#"{"Records":[]}"#.to_vec()]
}

/// Reads an event; nothing may come out of it that did not go in.
fn read_event(body: &[u8], _: &[usize]) -> bool {
    let Ok(event) = std::str::from_utf8(body).map_err(drop).and_then(|json| {
        KinesisEvent::read(json).map_err(|bad| {
            assert!(bad.to_string().len() < 600, "an error may not be as long as what it is about");
        })
    }) else {
        return false;
    };
    for records in event.shards.values() {
        assert!(records.is_sorted_by_key(|record| record.sequence_number));
    }
    let bytes: usize = event.shards.values().flatten().map(Record::size).sum();
    let records: usize = event.shards.values().map(Vec::len).sum();
    assert!(bytes <= body.len() && records * 100 <= body.len(), "{records} records with {bytes} bytes");
    true
}
