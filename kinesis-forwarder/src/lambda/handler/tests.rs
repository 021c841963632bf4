use super::*;
use async_trait::async_trait;
use kinesis_core::{Delivery, OnReject, Outcome, Outcomes, Sink, Subscription, handler};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn event(records: &[(&str, u64)]) -> String {
    let record = |(shard, n): &(&str, u64)| {
        format!(
            r#"{{"eventSource":"aws:kinesis","eventID":"{shard}:{n}",
            "eventSourceARN":"arn:aws:kinesis:eu-west-1:1:stream/s",
            "kinesis":{{"partitionKey":"k{n}","sequenceNumber":"{n}","data":"aGk="}}}}"#
        )
    };
    format!(r#"{{"Records":[{}]}}"#, records.iter().map(record).collect::<Vec<_>>().join(","))
}

/// Calls `handler` with this much time; returns what is to be called about again, and how long it took.
async fn call(handler: &Handler, event: &str, time: Duration) -> (Vec<String>, Duration) {
    let began = Instant::now();
    let answer = handler.handle(event, wall_clock::now() + time).await.unwrap();
    let failures = answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier);
    (failures.collect(), began.elapsed())
}

/// Never answers.
#[derive(Debug)]
struct Hanging;

#[async_trait]
impl Sink for Hanging {
    async fn deliver(&self, _: &Delivery) -> kinesis_core::Result<Outcomes> {
        std::future::pending().await
    }
}

fn of(subscription: Subscription) -> Handler {
    Handler::new(Deliverer::new([subscription]).unwrap(), Refused::default())
}

/// Between the two clocks lie a few milliseconds of real time, and a timer rounds up to the next one.
fn about(time: Duration, expected: Duration) -> bool {
    time <= expected + Duration::from_millis(2) && time + Duration::from_millis(200) >= expected
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_half_a_second_before_its_time_is_up_or_a_quarter_of_a_short_one() {
    let handler = of(Subscription::new("hanging", Hanging));
    for (time, expected) in [(60_000, 59_500), (1_000, 750), (0, 0)] {
        let (failures, took) = call(&handler, &event(&[("s", 7)]), Duration::from_millis(time)).await;
        assert_eq!(failures, ["7"]);
        assert!(about(took, Duration::from_millis(expected)), "{time}: {took:?}");
    }
    let handler = handler.max_age(Some(Duration::from_secs(3)));
    let (_, took) = call(&handler, &event(&[("s", 7)]), Duration::from_secs(60)).await;
    assert!(about(took, Duration::from_secs(3)), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn each_shard_is_answered_by_its_lowest() {
    let sink = handler(|record| async move {
        match record.sequence_number.to_string().as_str() {
            "1" | "4" | "6" => Outcome::Delivered,
            _ => Outcome::Retry,
        }
    });
    let handler = of(Subscription::new("s", sink));
    let event = event(&[("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5), ("c", 6)]);
    assert_eq!(call(&handler, &event, Duration::from_secs(5)).await.0, ["3", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_again_goes_to_those_alone_who_have_not_had_it() {
    let (got, is_down) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(true)));
    let arrivals = Arc::clone(&got);
    let healthy = handler(move |record| {
        arrivals.lock().unwrap().push(record.sequence_number.to_string());
        async { Outcome::Delivered }
    });
    let down = Arc::clone(&is_down);
    let sick = handler(move |record| {
        let fails = record.sequence_number == 2.into() && down.load(Ordering::Relaxed);
        async move { if fails { Outcome::Retry } else { Outcome::Delivered } }
    });
    let subscriptions = [Subscription::new("healthy", healthy), Subscription::new("sick", sick)];
    let handler = Handler::new(Deliverer::new(subscriptions).unwrap(), Refused::default());
    let time = Duration::from_secs(5);
    assert_eq!(call(&handler, &event(&[("a", 1), ("a", 2), ("a", 3)]), time).await.0, ["2"]);
    // Another shard has a record of the same number, which was not had.
    assert_eq!(call(&handler, &event(&[("b", 2)]), time).await.0, ["2"]);
    assert_eq!(call(&handler, &event(&[("a", 2), ("a", 3), ("a", 4)]), time).await.0, ["2"]);
    is_down.store(false, Ordering::Relaxed);
    assert_eq!(call(&handler, &event(&[("a", 2), ("a", 3), ("a", 4)]), time).await.0, [""; 0]);
    let mut got = got.lock().unwrap().clone();
    got.sort();
    assert_eq!(got, ["1", "2", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_in_one_call_is_not_answered_in_the_next() {
    let sink = handler(|record| async move {
        match record.sequence_number.to_string().as_str() {
            "2" => Outcome::rejected("no"),
            _ => Outcome::Delivered,
        }
    });
    let refused = Refused::default();
    let subscription = Subscription::new("s", sink).on_reject(OnReject::dead_letter(refused.clone()));
    let handler = Handler::new(Deliverer::new([subscription]).unwrap(), refused);
    let minute = Duration::from_secs(60);
    assert_eq!(
        call(&handler, &event(&[("a", 1), ("a", 2), ("a", 3)]), minute).await,
        (vec!["2".into()], Duration::ZERO)
    );
    assert_eq!(call(&handler, &event(&[("a", 3)]), minute).await, (vec![], Duration::ZERO));
}

#[test]
fn the_answer_is_written_as_lambda_reads_it() {
    let answer = Answer { batch_item_failures: vec![Failure { item_identifier: "7".into() }] };
    assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#);
    assert_eq!(serde_json::to_string(&Answer::default()).unwrap(), r#"{"batchItemFailures":[]}"#);
}
