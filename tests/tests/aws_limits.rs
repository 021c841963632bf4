//! Subscriptions that are behind share what a shard lets its readers read, and those at the tip notice nothing: one shard
//! with the limits of the service, live traffic, and four groups of subscriptions that start at different times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kinesis_core::limit::Limits;
use kinesis_core::wrap::Throttled;
use kinesis_core::{BatchPolicy, LaneStatus, Pipeline, Record, StartPosition, Subscription, ToTip, handler};
use kinesis_mock::{MemoryStream, ReadLimits};
use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep};

/// A record, in bytes.
const RECORD: usize = 10_000;
/// How far each group is behind when it starts, in seconds.
const BEHIND: [u64; 4] = [30, 60, 120, 300];
const OF_A_GROUP: usize = 2;

/// What was seen of the subscriptions, once a second.
#[derive(Debug, Default)]
struct Seen {
    /// The longest that a record took to one at the tip, and the farthest that one said to be behind.
    live: Duration,
    /// Those that started behind and have been close to the tip since.
    arrived: BTreeSet<String>,
    /// How those stand in the end that have not.
    left: BTreeMap<String, LaneStatus>,
}

/// Half of what a shard answers is new. What is left brings nobody closer, however it is shared, and everybody is told so.
#[tokio::test(start_paused = true)]
async fn who_cannot_catch_up_is_told_and_the_tip_notices_nothing() {
    let seen = watch(100, Duration::from_secs(300)).await;
    assert!(seen.live < Duration::from_secs(2), "{:?} behind at the tip", seen.live);
    assert!(seen.arrived.is_empty(), "{:?}", seen.arrived);
    assert_eq!(seen.left.len(), BEHIND.len() * OF_A_GROUP);
    assert!(seen.left.values().all(|lane| lane.to_tip == ToTip::Never), "{:#?}", seen.left);
}

/// A fifth is new. Where all groups took turns, every one of them got as much as was new, and none came closer.
#[tokio::test(start_paused = true)]
async fn groups_behind_catch_up_one_after_the_other_and_the_tip_notices_nothing() {
    let seen = watch(40, Duration::from_secs(1_200)).await;
    assert!(seen.live < Duration::from_secs(2), "{:?} behind at the tip", seen.live);
    assert!(seen.left.is_empty(), "{:#?}", seen.left);
}

/// Lets a pipeline run for so long, or until everybody has caught up, beside so many new records a second.
async fn watch(rate: u32, bound: Duration) -> Seen {
    let stream = MemoryStream::builder("limited").read_limits(ReadLimits::aws()).build();
    let produced = stream.clone();
    let producer = tokio::spawn(async move {
        let (mut ticks, data) = (interval(Duration::from_secs(1) / rate), Bytes::from_static(&[0; RECORD]));
        for n in 0u64.. {
            ticks.tick().await;
            produced.put(format!("key-{}", n % 97), data.clone()).expect("the record is valid");
        }
    });
    sleep(Duration::from_secs(310)).await;
    let slowest = Arc::new(AtomicU64::new(0));
    let (pipeline, stop) = (pipeline(&stream, &slowest), Notify::new());
    let handle = pipeline.handle();
    let watched = async {
        let (started, mut seen) = (Instant::now(), Seen::default());
        while started.elapsed() < bound && seen.arrived.len() < BEHIND.len() * OF_A_GROUP {
            sleep(Duration::from_secs(1)).await;
            let status = handle.status().await.expect("the pipeline runs");
            seen.left.clear();
            for (name, status) in status.subscriptions {
                let Some(lane) = status.shards.into_values().next() else { continue };
                if name.starts_with("live") {
                    seen.live = seen.live.max(lane.lag.unwrap_or_default());
                } else if lane.lag.is_some_and(|lag| lag < Duration::from_secs(2)) {
                    seen.arrived.insert(name.to_string());
                } else {
                    seen.left.insert(name.to_string(), lane);
                }
            }
        }
        stop.notify_one();
        seen.live = seen.live.max(Duration::from_millis(slowest.load(Ordering::Relaxed)));
        seen
    };
    let (ended, seen) = tokio::join!(pipeline.run_until(stop.notified()), watched);
    producer.abort();
    ended.expect("memory does not fail");
    seen
}

/// The live subscriptions note in `slowest` how many milliseconds a record took at most.
fn pipeline(stream: &MemoryStream, slowest: &Arc<AtomicU64>) -> Pipeline {
    let live = || {
        let (stream, slowest) = (stream.clone(), Arc::clone(slowest));
        handler(move |record: Record| {
            let took = record.arrived_at.and_then(|at| stream.now().duration_since(at).ok()).unwrap_or_default();
            slowest.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
            async {}
        })
    };
    let source = Throttled::new(stream.clone(), Limits::kinesis_shard());
    let mut builder = Pipeline::builder("limits", source).seed(7);
    for n in 0..OF_A_GROUP {
        builder = builder.subscribe(Subscription::new(format!("live-{n}"), live()).batch(BatchPolicy::of(100)));
        for behind in BEHIND {
            let start = StartPosition::Timestamp(stream.now() - Duration::from_secs(behind));
            let subscription = Subscription::new(format!("behind-{behind}-{n}"), handler(|_| async {}));
            builder = builder.subscribe(subscription.start_at(start).batch(BatchPolicy::of(100)));
        }
    }
    builder.build().expect("the configuration is valid")
}
