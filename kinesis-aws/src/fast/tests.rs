//! The fast read beside the SDK's own, on the same bytes.

use std::time::{Duration, SystemTime};

use base64_simd::STANDARD;
use bytes::Bytes;
use kinesis_core::{Record, SequenceNumber, ShardId};
use proptest::prelude::*;

use super::*;
use crate::canned::{self, Canned};
use crate::polling::Polling;
use crate::target::Target;
use crate::tests::sdk_config;

const JSON: &str = "application/x-amz-json-1.1";

/// A record as the tests write it.
#[derive(Debug, Clone)]
struct Sample {
    number: u64,
    key: String,
    data: Vec<u8>,
    millis: Option<u64>,
}

fn json(samples: &[Sample], spaced: bool) -> Vec<u8> {
    let records: Vec<_> = samples
        .iter()
        .map(|Sample { number, key, data, millis }| {
            serde_json::json!({
                "SequenceNumber": number.to_string(),
                "PartitionKey": key,
                "Data": STANDARD.encode_to_string(data),
                "ApproximateArrivalTimestamp": millis.map(|millis| millis as f64 / 1000.0),
                "EncryptionType": "NONE",
            })
        })
        .collect();
    let body = serde_json::json!({
        "MillisBehindLatest": 1234,
        "NextShardIterator": "AAA\"/+=",
        "Records": records,
        "ChildShards": [{"ShardId": "shardId-1", "ParentShards": ["shardId-0"],
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "340282366920938463463374607431768211455"}}],
        "Later": {"a": [1, -2.5e3, true, null, "x\\y"], "b": {}},
    });
    if spaced { serde_json::to_vec_pretty(&body).unwrap() } else { serde_json::to_vec(&body).unwrap() }
}

/// Writes CBOR: definite lengths or indefinite ones, with a tag on times or without.
fn cbor(samples: &[Sample], indefinite: bool) -> Vec<u8> {
    let head = |major: u8, length: usize, to: &mut Vec<u8>| {
        to.push(major << 5 | 26);
        to.extend_from_slice(&(length as u32).to_be_bytes());
    };
    let text = |text: &str, to: &mut Vec<u8>| {
        head(3, text.len(), to);
        to.extend_from_slice(text.as_bytes());
    };
    let open = |major: u8, length: usize, to: &mut Vec<u8>| {
        if indefinite { to.push(major << 5 | 31) } else { head(major, length, to) }
    };
    let close = |to: &mut Vec<u8>| to.extend(indefinite.then_some(0xff));
    let mut to = Vec::new();
    open(5, 5, &mut to);
    text("Later", &mut to);
    to.extend_from_slice(b"\x83\x01\xc1\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18\xa1\x61a\xf5");
    text("Records", &mut to);
    open(4, samples.len(), &mut to);
    for Sample { number, key, data, millis } in samples {
        open(5, 4, &mut to);
        text("Data", &mut to);
        head(2, data.len(), &mut to);
        to.extend_from_slice(data);
        text("SequenceNumber", &mut to);
        text(&number.to_string(), &mut to);
        text("PartitionKey", &mut to);
        text(key, &mut to);
        text("ApproximateArrivalTimestamp", &mut to);
        match millis {
            None => to.push(0xf6),
            Some(millis) => {
                to.extend((!indefinite).then_some(0xc1));
                to.push(27);
                to.extend_from_slice(&millis.to_be_bytes());
            }
        }
        close(&mut to);
    }
    close(&mut to);
    text("NextShardIterator", &mut to);
    text("AAA", &mut to);
    text("MillisBehindLatest", &mut to);
    to.extend_from_slice(b"\x19\x04\xd2");
    text("ChildShards", &mut to);
    to.extend_from_slice(b"\x81\xa2\x67ShardId\x69shardId-1\x6cParentShards\x80");
    close(&mut to);
    to
}

fn records(samples: &[Sample]) -> Vec<Record> {
    let record = |Sample { number, key, data, millis }: &Sample| {
        let mut record = Record::new(SequenceNumber::from(*number), key.as_str(), data.clone());
        record.arrived_at = millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        record
    };
    samples.iter().map(record).collect()
}

fn samples(most: usize, longest: usize) -> impl Strategy<Value = Vec<Sample>> {
    let key = prop_oneof!["[a-z]{1,8}", "[\"\\\\/\n\u{7f}ü😀]{1,20}"];
    let data = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(any::<u8>(), longest..longest + 5),
    ];
    // Times as the service stamps them, from 2013 on.
    let millis = prop::option::of(1_385_000_000_000u64..2_000_000_000_000);
    prop::collection::vec((key, data, millis), 0..most).prop_map(|all| {
        let sample = |(n, (key, data, millis))| Sample { number: n as u64 + 1, key, data, millis };
        all.into_iter().enumerate().map(sample).collect()
    })
}

/// Cuts a body into chunks of these lengths, again and again.
fn chunks(body: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let (mut rest, mut chunks) = (Bytes::copy_from_slice(body), Vec::new());
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to((*cut).min(rest.len())));
    }
    chunks
}

fn parse(format: WireFormat, chunks: &[Bytes]) -> Result<Answer, Refused> {
    let mut parser = Parser::new(format);
    chunks.iter().try_for_each(|chunk| parser.feed(chunk))?;
    parser.finish()
}

fn polling(http: &Canned, fast: bool, wire_format: WireFormat) -> Polling {
    let client = crate::client::without_retries(&sdk_config(http.clone()), None);
    Polling { client, target: Target::parse("orders").unwrap(), fast, wire_format, beside_fan_out: false }
}

/// Asks through the SDK; whether the fast way was left counts as well.
fn ask(http: &Canned, fast: bool, format: WireFormat) -> (kinesis_core::Result<Answer>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut plain = false;
    let asked = runtime
        .block_on(async { polling(http, fast, format).ask(&ShardId::from("0"), "AAA", 10_000, &mut plain).await });
    let answer = match asked {
        Ok(answered) => answered.map(|(answer, _)| answer),
        Err(error) => Err(crate::classify::classify("GetRecords", &"orders".into(), error)),
    };
    (answer, plain)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_is_read_as_the_sdk_reads_it(
        samples in samples(12, 60_000),
        spaced in any::<bool>(),
        cuts in prop::collection::vec(1usize..9000, 1..6),
    ) {
        let body = json(&samples, spaced);
        let http = Canned::new([canned::Answer::ok(JSON, chunks(&body, &cuts))]);
        let (fast, left) = ask(&http, true, WireFormat::Json);
        let (plain, _) = ask(&http, false, WireFormat::Json);
        let fast = fast.unwrap();
        prop_assert!(!left);
        prop_assert_eq!(&fast, &plain.unwrap());
        prop_assert_eq!(fast.records, records(&samples));
    }

    #[test]
    fn cbor_is_read_in_every_length_and_cut_anywhere(
        samples in samples(12, 60_000),
        indefinite in any::<bool>(),
        cuts in prop::collection::vec(1usize..9000, 1..6),
    ) {
        let body = cbor(&samples, indefinite);
        let answer = parse(WireFormat::Cbor, &chunks(&body, &cuts)).unwrap();
        prop_assert_eq!(answer.records, records(&samples));
        prop_assert_eq!(answer.behind_latest, Some(Duration::from_millis(1234)));
        prop_assert_eq!((answer.next.as_deref(), answer.children.len()), (Some("AAA"), 1));
    }

    #[test]
    fn short_chunks_make_no_difference(samples in samples(4, 300), cuts in prop::collection::vec(1usize..7, 1..9)) {
        let (json, cbor) = (json(&samples, false), cbor(&samples, true));
        for (format, body) in [(WireFormat::Json, json), (WireFormat::Cbor, cbor)] {
            let whole = read(format, &Bytes::copy_from_slice(&body)).unwrap();
            prop_assert_eq!(parse(format, &chunks(&body, &cuts)).unwrap(), whole);
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_never_taken_for_one(samples in samples(4, 300), at in any::<prop::sample::Index>()) {
        for (format, body) in [(WireFormat::Json, json(&samples, false)), (WireFormat::Cbor, cbor(&samples, false))] {
            let cut = Bytes::copy_from_slice(&body[..at.index(body.len())]);
            prop_assert_eq!(read(format, &cut).unwrap_err(), Refused::Cut);
        }
    }

    /// What is broken is refused, and read as the SDK would; never read as something else, and it never panics.
    #[test]
    fn what_is_broken_is_refused_or_read_as_the_sdk_reads_it(
        samples in samples(3, 300),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = json(&samples, false);
        let at = at.index(body.len());
        body[at] = byte;
        let http = Canned::new([canned::Answer::ok(JSON, [Bytes::from(body.clone())])]);
        if let (Ok(fast), false) = ask(&http, true, WireFormat::Json) {
            let plain = ask(&http, false, WireFormat::Json).0;
            prop_assert_eq!(plain.map_err(|error| error.to_string()), Ok(fast), "{}", String::from_utf8_lossy(&body));
        }
        let mut body = cbor(&samples, false);
        let at = at % body.len();
        body[at] = byte;
        let _ = read(WireFormat::Cbor, &body.into());
    }
}

#[test]
fn what_is_not_understood_is_read_again_the_plain_way() {
    let strange =
        br#"{"Records":[{"Data":"b25l","PartitionKey":"k","SequenceNumber":"\u0031"}],"NextShardIterator":"B"}"#;
    let http = Canned::new([canned::Answer::ok(JSON, [Bytes::from_static(strange)])]);
    let (answer, left) = ask(&http, true, WireFormat::Json);
    assert_eq!(answer.unwrap().records[0].sequence_number, SequenceNumber::from(1));
    assert_eq!((left, http.requests.lock().unwrap().len()), (true, 2));
}

/// A server in between that answers an empty object would have ended the shard.
#[test]
fn an_answer_without_a_list_of_records_ends_nothing() {
    for body in [&b"{}"[..], b"{\"MillisBehindLatest\":0}"] {
        let http = Canned::new([canned::Answer::ok(JSON, [Bytes::from_static(body)])]);
        let (answer, left) = ask(&http, true, WireFormat::Json);
        assert_eq!((answer.unwrap_err().kind(), left), (kinesis_core::ErrorKind::Transient, false));
    }
    assert_eq!(read(WireFormat::Cbor, &Bytes::from_static(b"\xa0")), Err(Refused::Hollow));
}

#[test]
fn cbor_is_asked_for_in_cbor_and_its_errors_are_typed() {
    let body = cbor(&[Sample { number: 7, key: "k".into(), data: b"one".into(), millis: None }], false);
    let expired = b"\xa2\x66__type\x78\x18ExpiredIteratorException\x67message\x64late";
    let refusal = canned::Answer { status: 400, ..canned::Answer::ok(encode::CBOR, [Bytes::from_static(expired)]) };
    let http = Canned::new([canned::Answer::ok(encode::CBOR, chunks(&body, &[10])), refusal]);
    assert_eq!(ask(&http, true, WireFormat::Cbor).0.unwrap().records.len(), 1);
    let error = ask(&http, true, WireFormat::Cbor).0.unwrap_err();
    assert!(error.message().ends_with("ExpiredIteratorException: late"), "{error}");
    let requests = http.requests.lock().unwrap();
    assert_eq!(requests[0].headers().get("content-type"), Some(encode::CBOR));
    assert_eq!(requests[0].body().bytes().unwrap()[0], 0xa2);
}

#[test]
fn a_connection_that_breaks_is_an_error_that_passes() {
    let body = json(&[Sample { number: 7, key: "k".into(), data: vec![1; 500], millis: None }], false);
    for at in 0..body.len() {
        let answer = canned::Answer::ok(JSON, [Bytes::copy_from_slice(&body[..at])]);
        let broken = canned::Answer { breaks: true, ..answer.clone() };
        for cut in [answer, broken] {
            let (answer, left) = ask(&Canned::new([cut]), true, WireFormat::Json);
            let error = answer.unwrap_err();
            assert_eq!((error.kind(), left), (kinesis_core::ErrorKind::Transient, false), "{at}: {error}");
        }
    }
}

#[test]
fn json_that_is_none_is_refused() {
    for bad in [
        &b"[]"[..],
        b"{\"Records\":[{}]}",
        b"{\"Records\":[],}",
        b"{\"Records\":[{\"SequenceNumber\":\"01\",\"PartitionKey\":\"k\",\"Data\":\"\"}]}",
        b"{\"Records\":[{\"SequenceNumber\":\"1\",\"PartitionKey\":\"k\",\"Data\":\"a\"}]}",
        b"{\"Records\":[{\"SequenceNumber\":\"1\",\"PartitionKey\":\"\\ud800\",\"Data\":\"\"}]}",
        b"{\"MillisBehindLatest\":1.5}",
        b"{\"MillisBehindLatest\":01}",
        b"{} {}",
    ] {
        let refused = read(WireFormat::Json, &Bytes::from_static(bad)).unwrap_err();
        assert!(matches!(refused, Refused::Unknown(_)), "{}", String::from_utf8_lossy(bad));
    }
    let nested = [&b"{\"Later\":"[..], &b"[".repeat(40), &b"]".repeat(40), b"}"].concat();
    assert_eq!(read(WireFormat::Json, &nested.into()), Err(Refused::Unknown("a value is nested too deep")));
    let endless = [&b"{\"MillisBehindLatest\":"[..], &b"1".repeat(500), b"}"].concat();
    assert_eq!(read(WireFormat::Json, &endless.into()), Err(Refused::Unknown("a number is too long")));
}

/// A record that stays must not keep ten megabytes of others in memory.
#[test]
fn payloads_share_blocks_and_not_the_whole_answer() {
    let many: Vec<_> =
        (1..=100).map(|number| Sample { number, key: "k".into(), data: vec![7; 10_000], millis: None }).collect();
    let records = read(WireFormat::Json, &json(&many, false).into()).unwrap().records;
    let blocks: std::collections::BTreeSet<usize> = records.iter().map(|r| r.data.as_ptr() as usize >> 18).collect();
    assert!((4..=12).contains(&blocks.len()), "{}", blocks.len());
}
