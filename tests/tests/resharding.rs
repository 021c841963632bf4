//! Splits and merges under several subscriptions, of which one is dead.

use std::collections::BTreeMap;
use std::time::Duration;

use kinesis_core::{LaneState, MemoryLeaseStore, Pipeline, SequenceNumber};
use kinesis_mock::MemoryStream;
use kinesis_tests::stories::{Mood, Running, Subscriber, differences, from_start, numbered, texts};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// The records of each key came in the order in which they were put, over all shards.
fn assert_order_over_shards(sink: &Subscriber) {
    let mut last: BTreeMap<String, SequenceNumber> = BTreeMap::new();
    for record in sink.records() {
        let key = record.partition_key.to_string();
        let before = last.insert(key.clone(), record.sequence_number);
        assert!(before.is_none_or(|before| before < record.sequence_number), "key {key} at {}", record.sequence_number);
    }
}

/// Puts records into a shard, its two children, and the child that those are merged to.
fn grow(stream: &MemoryStream) {
    let parent = stream.shards().last().expect("there is a shard").id.clone();
    let [low, high] = stream.split(&parent).expect("it is open");
    stream.put_all(numbered(100..200)).expect("the records are small");
    stream.merge(&low.id, &high.id).expect("they are neighbours");
    stream.put_all(numbered(200..300)).expect("the records are small");
}

#[tokio::test(start_paused = true)]
async fn a_dead_subscription_keeps_nobody_from_the_children_and_reads_the_whole_family_later() {
    for mood in [Mood::Hangs, Mood::Fails] {
        let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
        let [dead, one, other] = [mood, Mood::Takes, Mood::Takes].map(Subscriber::new);
        let builder = Pipeline::builder("app", stream.clone())
            .leases(store)
            .subscribe(from_start("dead", &dead))
            .subscribe(from_start("one", &one))
            .subscribe(from_start("other", &other));
        let running = Running::start(builder);
        stream.put_all(numbered(0..100)).unwrap();
        one.takes(100).await;
        grow(&stream);
        for sink in [&one, &other] {
            sink.takes(300).await;
            assert_order_over_shards(sink);
        }
        sleep(60 * SECOND).await;
        assert_eq!(dead.texts(), [""; 0]);
        let states = running.states("dead").await;
        let (first, rest) = states.iter().next().map(|(_, state)| (*state, states.len() - 1)).unwrap();
        assert!(first != LaneState::Gated && rest >= 1, "{states:?}");
        assert!(states.values().skip(1).all(|state| *state == LaneState::Gated), "{states:?}");
        dead.set(Mood::Takes);
        dead.takes(300).await;
        assert_order_over_shards(&dead);
        assert_eq!(differences(&dead.texts(), &texts(0..300)), (vec![], vec![]));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_dead_over_a_restart_reads_parents_children_and_grandchildren_in_order() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let (dead, other) = (Subscriber::new(Mood::Hangs), Subscriber::new(Mood::Takes));
    let start = || {
        let builder = Pipeline::builder("app", stream.clone()).leases(store.clone());
        Running::start(builder.subscribe(from_start("dead", &dead)).subscribe(from_start("other", &other)))
    };
    let running = start();
    stream.put_all(numbered(0..100)).unwrap();
    other.takes(100).await;
    grow(&stream);
    other.takes(300).await;
    running.crash().await;
    stream.finish();
    dead.set(Mood::Takes);
    let summary = start().ends().await;
    assert_eq!(differences(&dead.texts(), &texts(0..300)), (vec![], vec![]));
    assert_order_over_shards(&dead);
    assert_eq!(summary.subscriptions["dead"].delivered, 300);
}
