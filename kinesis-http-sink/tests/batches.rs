//! What becomes of records that come together, in one request or one after another.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_core::{
    BatchPolicy, Deliverer, Delivery, Fate, OnReject, Ordering, Outcome, Outcomes, Record, RetryPolicy, SequenceNumber,
    ShardId, ShardKey, Sink, StreamId, Subscription,
};
use kinesis_http_sink::{CloudEvents, Format, HttpSink};
use support::{Answer, Seen, Server, delivery};

const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

/// What becomes of a delivery that is answered with 200 and this.
async fn answered(format: impl Into<Format>, delivery: &Delivery, said: String) -> Result<Outcomes, String> {
    let server = Server::start(move |_| Answer::with(200, "x-any: y", &said)).await;
    let sink = HttpSink::builder(&server.url()).format(format.into()).build().unwrap();
    sink.deliver(delivery).await.map_err(|error| error.to_string())
}

fn naming(names: impl IntoIterator<Item = String>) -> serde_json::Value {
    names.into_iter().map(|name| serde_json::json!({ "itemIdentifier": name })).collect()
}

/// A reply was cut at the cap, could not be read any more, and counted as one that names nothing: what had failed was lost.
#[tokio::test]
async fn a_reply_that_is_cut_off_is_no_success_where_it_may_name_records() {
    let records = delivery([("a", "1"), ("b", "2")]);
    let filler = "x".repeat(100_000);
    let object = serde_json::json!({ "aside": filler, "batchItemFailures": naming(["1".to_owned()]) });
    let reason = answered(CloudEvents::batch(), &records, object.to_string()).await.unwrap_err();
    assert!(reason.contains("/events took the batch, but"), "{reason}");
    assert!(reason.contains("not read to its end"), "{reason}");
    // No object, and so nothing that could name a record.
    assert_eq!(answered(CloudEvents::batch(), &records, filler).await, Ok(Outcomes::delivered(2)));
}

/// Where many had failed of a large batch, their names alone were more than was read.
#[tokio::test]
async fn a_reply_may_name_every_record_of_a_large_batch() {
    let records = (0..1000).map(|nth| Record::new(SequenceNumber::new(u128::MAX - nth), "key", "")).collect();
    let shard = format!("shardId-{}", "0".repeat(120));
    let records = Delivery::new(StreamId::new("orders"), shard, "audit", records);
    let reply = serde_json::json!({ "batchItemFailures": naming(records.iter().skip(1).map(|entry| entry.id())) });
    assert!(reply.to_string().len() > 2 * 64 * 1024);
    let outcomes = answered(Format::lambda_event(ARN), &records, reply.to_string()).await.unwrap();
    let delivered = outcomes.iter().filter(|outcome| **outcome == Outcome::Delivered).count();
    assert_eq!((outcomes.get(0), delivered), (Some(&Outcome::Delivered), 1));
}

/// A reply that named what had failed in another way than it should counted as one that names nothing.
#[tokio::test]
async fn a_reply_that_names_records_in_a_way_that_is_not_understood_is_no_success() {
    let records = delivery([("a", "1"), ("b", "2")]);
    for failures in
        [r#"[{"itemIdentifier":1}]"#, r#"[{"itemIdentifier":{}}]"#, r#"["1"]"#, r#""1""#, "{}", r#"[{"item"#]
    {
        let reason = answered(CloudEvents::batch(), &records, format!(r#"{{"batchItemFailures":{failures}}}"#)).await;
        assert!(reason.unwrap_err().contains("batchItemFailures is not understood"), "{failures}");
    }
}

/// The numbers of the records in a Lambda event.
fn numbers(event: &Seen) -> Vec<String> {
    let event: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
    let number = |record: &serde_json::Value| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned();
    event["Records"].as_array().unwrap().iter().map(number).collect()
}

/// What becomes of records of these keys that get so many attempts.
async fn fates(sink: HttpSink, keys: &[&str], attempts: u32, ordering: Ordering) -> Vec<Fate> {
    let mut retry = RetryPolicy::default();
    (retry.base, retry.attempts) = (Duration::from_millis(1), NonZeroU32::new(attempts));
    let batch = BatchPolicy { max_records: keys.len(), ..BatchPolicy::default() };
    let subscription = Subscription::new("all", sink).ordering(ordering).batch(batch);
    let deliverer = Deliverer::new([subscription.retry(retry).on_reject(OnReject::Skip)]).unwrap();
    let record = |(nth, key): (usize, &&str)| Record::new(SequenceNumber::from(nth as u64), *key, "data");
    let records = keys.iter().enumerate().map(record).collect();
    let shard = ShardKey::new(&StreamId::new("orders"), &ShardId::from("shardId-0"));
    let settlement = deliverer.deliver_until(&shard, records, std::future::pending()).await.unwrap();
    settlement.subscriptions["all"].fates.clone()
}

/// What becomes of six records of Lambda events, each of a key of its own.
async fn fates_in_lambda(server: &Server) -> Vec<Fate> {
    let sink = HttpSink::builder(&server.url()).format(Format::lambda_event(ARN)).build().unwrap();
    fates(sink, &["a", "b", "c", "d", "e", "f"], 3, Ordering::per_key(1)).await
}

/// Where one attempt was all that a record gets, what waited behind one that failed was given up without a request.
#[tokio::test]
async fn what_waits_behind_a_record_that_is_given_up_is_tried_then() {
    for ordering in [Ordering::per_key(1), Ordering::unordered(1)] {
        let is_first = |seen: &Seen| seen.text().contains(r#""sequenceNumber":"0""#);
        let server = Server::start(move |seen| Answer::status(if is_first(seen) { 500 } else { 200 })).await;
        let fates = fates(HttpSink::new(&server.url()).unwrap(), &["a", "a", "b"], 1, ordering).await;
        assert_eq!(fates, [Fate::Skipped, Fate::Delivered, Fate::Delivered], "{ordering:?}");
        assert_eq!(server.seen().len(), 3);
    }
}

/// A function that does not say which record it could not take, and names the first, failed all: they were charged for it
/// together, and given up together.
#[tokio::test]
async fn of_a_function_that_names_the_first_record_the_poison_alone_is_given_up() {
    let server = Server::start(|seen| {
        let numbers = numbers(seen);
        let is_poisoned = numbers.iter().any(|number| number == "3");
        let failures = naming(is_poisoned.then(|| numbers[0].clone()));
        Answer::with(200, "x-any: y", &serde_json::json!({ "batchItemFailures": failures }).to_string())
    })
    .await;
    use Fate::{Delivered, Skipped};
    assert_eq!(fates_in_lambda(&server).await, [Delivered, Delivered, Delivered, Skipped, Delivered, Delivered]);
    assert_eq!(server.seen().iter().filter(|seen| numbers(seen) == ["3"]).count(), 3);
}

/// What a function had named was given up rightly, and with it what was behind it and had not been tried.
#[tokio::test]
async fn of_a_function_that_names_the_poison_nothing_behind_it_is_given_up() {
    let server = Server::start(|seen| {
        let failures = naming(numbers(seen).into_iter().find(|number| number == "3"));
        Answer::with(200, "x-any: y", &serde_json::json!({ "batchItemFailures": failures }).to_string())
    })
    .await;
    use Fate::{Delivered, Skipped};
    assert_eq!(fates_in_lambda(&server).await, [Delivered, Delivered, Delivered, Skipped, Delivered, Delivered]);
}
