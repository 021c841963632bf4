use super::*;
use proptest::prelude::*;
use std::time::Duration;

const ORIGINAL: &str = include_str!("../../../../tests/data/lambda-event.json");

/// A record with these members besides a sound `kinesis`.
fn with(members: &str) -> String {
    let kinesis = r#""kinesis":{"partitionKey":"k","sequenceNumber":"7","data":"aGk="}"#;
    format!(r#"{{"Records":[{{{kinesis},{members}}}]}}"#)
}

const ARN: &str = r#""eventSourceARN":"arn:aws:kinesis:eu-west-1:123456789012:stream/orders""#;

fn problem(json: &str) -> String {
    KinesisEvent::read(json).unwrap_err().to_string()
}

#[test]
fn the_original_event_is_read() {
    let event = KinesisEvent::read(ORIGINAL).unwrap();
    let (shard, records) = event.shards.first_key_value().unwrap();
    assert_eq!(shard.to_string(), "123456789012:a-stream/shardId-000000000000");
    assert_eq!((records.len(), &*records[0].data), (1, &b"we are streaming events"[..]));
    assert_eq!(&*records[0].partition_key, "member-registered");
    let arrived = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
    assert_eq!(records[0].arrived_at, Some(arrived));
}

#[test]
fn records_are_sorted_within_their_shards() {
    let record = |shard: &str, n: u64| {
        format!(
            r#"{{"eventSource":"aws:kinesis","eventID":"{shard}:{n}",{ARN},
            "kinesis":{{"partitionKey":"k","sequenceNumber":"{n}","data":""}}}}"#
        )
    };
    let all = [record("s-1", 9), record("s-0", 5), record("s-1", 10), record("s-1", 8)].join(",");
    let event = KinesisEvent::read(&format!(r#"{{"Records":[{all}]}}"#)).unwrap();
    let numbers = |records: &Vec<Record>| records.iter().map(|r| r.sequence_number.to_string()).collect::<Vec<_>>();
    assert_eq!(event.shards.values().map(numbers).collect::<Vec<_>>(), [vec!["5"], vec!["8", "9", "10"]]);
}

#[test]
fn a_consumers_arn_names_the_stream() {
    let arn = r#""eventSourceARN":"arn:aws:kinesis:eu-west-1:1:stream/orders/consumer/billing:1""#;
    let event = KinesisEvent::read(&with(&format!(r#""eventSource":"aws:kinesis","eventID":"s:7",{arn}"#))).unwrap();
    assert_eq!(event.shards.keys().next().unwrap().to_string(), "1:orders/s");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let sound = format!(r#""eventSource":"aws:kinesis",{ARN}"#);
    for (json, what) in [
        ("", "no JSON object"),
        ("[[]]", "no JSON object"),
        ("{", "EOF"),
        ("{}", "missing field `Records`"),
        (r#"{"Records":7}"#, "Records: invalid type"),
        (r#"{"Records":[]} x"#, "trailing characters"),
        (r#"{"Records":[{}]}"#, "Records[0]: there is no eventSource"),
        (r#"{"Records":[{"eventSource":"aws:dynamodb"}]}"#, "Records[0]: eventSource is \"aws:dynamodb\""),
        (r#"{"Records":[{"eventSource":"aws:kinesis"}]}"#, "Records[0]: there is no kinesis"),
        (r#"{"Records":[{"kinesis":{"partitionKey":"k"}}]}"#, "Records[0].kinesis: the event has no \"data\""),
        (r#"{"Records":[{"kinesis":{"data":"a"}}]}"#, "the data is not base64"),
        (r#"{"Records":[{"kinesis":{"sequenceNumber":"x"}}]}"#, "Records[0].kinesis"),
        (&with(&sound), "there is no eventID"),
        (&with(&format!(r#"{sound},"eventID":"s:8""#)), "eventID is \"s:8\""),
        (&with(&format!(r#"{sound},"eventID":":7""#)), "eventID is \":7\""),
        (&with(r#""eventSource":"aws:kinesis","eventID":"s:7""#), "there is no eventSourceARN"),
        (
            &with(r#""eventSource":"aws:kinesis","eventID":"s:7","eventSourceARN":"orders""#),
            "eventSourceARN is \"orders\"",
        ),
    ] {
        let told = problem(json);
        assert!(told.starts_with("this is no event of a Kinesis stream: ") && told.contains(what), "{json}: {told}");
    }
}

#[test]
fn an_error_is_short_however_long_what_is_wrong_is() {
    let told = problem(&format!(r#"{{"Records":[{{"eventSource":"{}"}}]}}"#, "ä".repeat(100_000)));
    assert!(told.len() < 600, "{}", told.len());
    // A depth that would overflow the stack, if what means nothing were not skipped over without one.
    assert!(problem(&format!(r#"{{"Records":[{{"x":{}"#, "[".repeat(100_000))).contains("EOF"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in ".{0,200}", cut in 0..2000usize, put in ".{0,8}") {
        let _ = KinesisEvent::read(&text);
        let mut changed = ORIGINAL.to_owned();
        let at = (0..=cut.min(changed.len())).rev().find(|at| changed.is_char_boundary(*at)).unwrap_or_default();
        changed.insert_str(at, &put);
        let _ = KinesisEvent::read(&changed);
        let _ = KinesisEvent::read(&changed[..at]);
    }
}
