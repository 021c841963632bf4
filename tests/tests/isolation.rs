//! A subscription that is dead costs the others nothing, and memory stays within what was allowed.

use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_core::{
    BatchPolicy, Demand, Event, LaneState, OnReject, Ordering, Pipeline, RetryPolicy, StartPosition, Subscription,
};
use kinesis_mock::{MemoryStream, RecordingObserver};
use kinesis_tests::stories::{Mood, Running, Subscriber, differences, from_start, numbered, soon, sorted, texts};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const KIB: usize = 1 << 10;
/// What a record takes besides its payload and key, at most.
const OVERHEAD: usize = KIB / 2;

/// Numbered records, filled up to a KiB.
fn large(range: std::ops::Range<usize>) -> impl Iterator<Item = (String, String)> {
    numbered(range).map(|(key, text)| (key, format!("{text:<1023}")))
}

fn large_texts(range: std::ops::Range<usize>) -> Vec<String> {
    large(range).map(|(_, text)| text).collect()
}

fn fell_behind(name: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::FellBehind { subscription, .. } if *subscription == name)
}

fn caught_up(name: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::CaughtUp { subscription, .. } if *subscription == name)
}

#[tokio::test(start_paused = true)]
async fn sinks_that_hang_or_fail_for_ever_delay_nobody_else() {
    let stream = MemoryStream::new("orders", 2);
    let [hangs, fails, one, other] = [Mood::Hangs, Mood::Fails, Mood::Takes, Mood::Takes].map(Subscriber::new);
    let builder = Pipeline::builder("app", stream.clone())
        .byte_budget(64 * KIB)
        .subscribe(from_start("hangs", &hangs))
        .subscribe(from_start("fails", &fails))
        .subscribe(from_start("one", &one))
        .subscribe(from_start("other", &other));
    let running = Running::start(builder);
    let mut slowest = Duration::ZERO;
    for round in 0..40 {
        stream.put_all(large(round * 20..(round + 1) * 20)).unwrap();
        let put = Instant::now();
        one.takes((round + 1) * 20).await;
        other.takes((round + 1) * 20).await;
        slowest = slowest.max(put.elapsed());
        sleep(SECOND).await;
    }
    // A poll comes four times a second; at first those that are dead hold memory that they have to give back.
    assert!(slowest < 5 * SECOND, "{slowest:?}");
    assert_eq!((hangs.texts().len(), fails.texts().len()), (0, 0));
    [&hangs, &fails].iter().for_each(|sink| sink.set(Mood::Takes));
    for sink in [&hangs, &fails, &one, &other] {
        sink.takes(800).await;
        assert_eq!(differences(&sink.texts(), &large_texts(0..800)), (vec![], vec![]));
        sink.assert_key_order();
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_falls_behind_is_seen_to_and_so_is_the_way_back() {
    let (stream, observer) = (MemoryStream::new("orders", 1), RecordingObserver::new());
    let (dead, healthy) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Takes));
    let batch = BatchPolicy::of(500);
    let builder = Pipeline::builder("app", stream.clone())
        .observer(observer.clone())
        .subscribe(from_start("dead", &dead).batch(batch).ordering(Ordering::PerShard))
        .subscribe(from_start("healthy", &healthy).batch(batch).ordering(Ordering::PerShard));
    let running = Running::start(builder);
    stream.put_all(numbered(0..1_000)).unwrap();
    dead.takes(1_000).await;
    running.is_everywhere("dead", &[LaneState::AtFront]).await;
    dead.set(Mood::Hangs);
    stream.put_all(numbered(1_000..10_000)).unwrap();
    healthy.takes(10_000).await;
    running.is_everywhere("dead", &[LaneState::AtFront]).await;
    assert_eq!(observer.count(fell_behind("dead")), 0, "the ring still has what it needs");
    stream.put_all(numbered(10_000..40_000)).unwrap();
    healthy.takes(40_000).await;
    // Nothing was asked of it since, and nothing came back from it.
    running.is_everywhere("dead", &[LaneState::Behind]).await;
    assert_eq!((observer.count(fell_behind("dead")), observer.count(caught_up("dead"))), (1, 0));
    dead.set(Mood::Slow(SECOND));
    sleep(5 * SECOND).await;
    assert_eq!(running.states("dead").await.into_values().collect::<Vec<_>>(), [LaneState::CatchingUp]);
    dead.set(Mood::Takes);
    timeout(600 * SECOND, observer.wait_for(caught_up("dead"))).await.expect("it catches up");
    dead.takes(40_000).await;
    running.is_everywhere("dead", &[LaneState::AtFront]).await;
    assert_eq!((observer.count(fell_behind("dead")), observer.count(caught_up("dead"))), (1, 1));
    assert_eq!(observer.count(fell_behind("healthy")), 0);
    assert_eq!(dead.texts(), texts(0..40_000));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn memory_stays_within_the_budget_but_for_a_page_and_a_record_for_everybody() {
    let stream = MemoryStream::new("orders", 4);
    let [hangs, fails, takes] = [Mood::Hangs, Mood::Fails, Mood::Takes].map(Subscriber::new);
    let limit = 64 * KIB;
    let builder = Pipeline::builder("app", stream.clone())
        .byte_budget(limit)
        .subscribe(from_start("hangs", &hangs))
        .subscribe(from_start("fails", &fails))
        .subscribe(from_start("takes", &takes));
    let running = Running::start(builder);
    let mut most = 0;
    for round in 0..100 {
        stream.put_all(large(round * 10..(round + 1) * 10)).unwrap();
        if round == 60 {
            hangs.set(Mood::Slow(SECOND / 100));
            fails.set(Mood::Takes);
        }
        for _ in 0..10 {
            sleep(SECOND / 10).await;
            most = most.max(running.status().await.budget.used);
        }
    }
    for sink in [&hangs, &fails, &takes] {
        sink.takes(1_000).await;
        sink.assert_key_order();
    }
    // Three subscriptions on four shards.
    assert!(most <= limit + (1 + 12) * (KIB + OVERHEAD), "{most} of {limit}");
    assert!(most > limit / 4, "{most}: there was no pressure");
    sleep(60 * SECOND).await;
    let left = running.status().await.budget.used;
    assert!(left <= limit, "{left}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_one_byte_still_delivers_everything() {
    let stream = MemoryStream::new("orders", 4);
    let sinks = [(); 3].map(|()| Subscriber::new(Mood::Takes));
    let mut builder = Pipeline::builder("app", stream.clone()).byte_budget(1);
    for (name, sink) in ["a", "b", "c"].iter().zip(&sinks) {
        builder = builder.subscribe(from_start(name, sink));
    }
    let running = Running::start(builder);
    stream.put_all(large(0..200)).unwrap();
    for sink in &sinks {
        sink.takes(200).await;
        sink.assert_key_order();
        assert_eq!(sorted(sink.texts()), sorted(large_texts(0..200)));
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cap_smaller_than_a_page_is_kept_but_for_a_record_a_shard() {
    let stream = MemoryStream::new("orders", 2);
    let (capped, other) = (Subscriber::new(Mood::Slow(SECOND / 20)), Subscriber::new(Mood::Takes));
    let cap = 4 * KIB;
    let builder = Pipeline::builder("app", stream.clone())
        .subscribe(from_start("capped", &capped).cap(cap))
        .subscribe(from_start("other", &other));
    let running = Running::start(builder);
    stream.put_all(large(0..400)).unwrap();
    let mut most = 0;
    while capped.distinct() < 400 {
        most = most.max(running.status().await.subscriptions["capped"].held_bytes);
        sleep(SECOND / 30).await;
    }
    assert!(most <= cap + 2 * (KIB + OVERHEAD), "{most}");
    assert!(most > 2 * KIB, "{most}");
    assert_eq!(differences(&capped.texts(), &large_texts(0..400)), (vec![], vec![]));
    capped.assert_key_order();
    running.stop().await;
}

/// A lane that has given its payloads back counts attempts on, and keeps the order of every key.
#[tokio::test(start_paused = true)]
async fn under_pressure_no_record_gets_an_attempt_more_and_keys_keep_their_order() {
    let stream = MemoryStream::new("orders", 2);
    let [fails, takes, letters] = [Mood::Fails, Mood::Takes, Mood::Takes].map(Subscriber::new);
    let retry =
        RetryPolicy { attempts: NonZeroU32::new(3), base: 20 * SECOND, cap: 20 * SECOND, ..RetryPolicy::default() };
    let demand = Demand { max_ahead: 1_000, ..Demand::default() };
    let builder = Pipeline::builder("app", stream.clone())
        .byte_budget(64 * KIB)
        .subscribe(
            Subscription::new("fails", fails.clone())
                .start_at(StartPosition::TrimHorizon)
                .retry(retry)
                .demand(demand)
                .on_reject(OnReject::dead_letter(letters.clone())),
        )
        .subscribe(from_start("takes", &takes));
    let running = Running::start(builder);
    for round in 0..20 {
        stream.put_all(large(round * 10..(round + 1) * 10)).unwrap();
        sleep(5 * SECOND).await;
    }
    takes.takes(200).await;
    letters.takes(200).await;
    let asked = fails.asked();
    for text in large_texts(0..200) {
        assert_eq!(asked.iter().filter(|asked| **asked == text).count(), 3, "{}", text.trim());
    }
    letters.assert_key_order();
    assert_eq!(differences(&letters.texts(), &large_texts(0..200)), (vec![], vec![]));
    let summary = soon(running.stop()).await;
    assert_eq!(summary.subscriptions["fails"].dead_lettered, 200);
}
