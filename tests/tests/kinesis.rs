//! Stories through the real SDK: a pipeline over `KinesisSource`, polled and pushed, and everything that goes wrong on the
//! way. All on a paused clock, against the wire of kinesis-mock in this process.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinesis_aws::KinesisSourceBuilder;
use kinesis_core::{
    BatchPolicy, Ordering, Outcome, Pipeline, Record, SequenceNumber, StartPosition, Subscription, handler,
};
use kinesis_mock::{Answer, MemoryStream, ReadLimits, WireClient, http_client};
use kinesis_tests::sdk::Way;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What arrived, by key: each number once, in the order of its first delivery.
#[derive(Debug, Clone, Default)]
struct Arrived(Arc<Mutex<BTreeMap<String, Vec<SequenceNumber>>>>);

impl Arrived {
    fn note(&self, record: &Record) {
        let mut keys = self.0.lock().unwrap();
        let seen = keys.entry(record.partition_key.to_string()).or_default();
        if !seen.contains(&record.sequence_number) {
            seen.push(record.sequence_number);
        }
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Everything that was put is there, and each key in its order.
    fn expect(&self, count: usize, way: &str) {
        assert_eq!(self.count(), count, "{way}");
        for (key, numbers) in &*self.0.lock().unwrap() {
            assert!(numbers.is_sorted(), "{way}: {key} is out of order");
        }
    }
}

/// Runs a pipeline until so many records have arrived, while `story` goes on.
async fn until(
    way: &str,
    source: KinesisSourceBuilder,
    count: usize,
    first_blocks: Duration,
    story: impl Future<Output = ()>,
) {
    let arrived = Arrived::default();
    let seen = arrived.clone();
    let began = Instant::now();
    let sink = handler(move |record: Record| {
        let seen = seen.clone();
        async move {
            sleep((first_blocks).saturating_sub(began.elapsed())).await;
            seen.note(&record);
            Outcome::Delivered
        }
    });
    let subscription = Subscription::new("story", sink)
        .start_at(StartPosition::TrimHorizon)
        .ordering(Ordering::per_key(4))
        .batch(BatchPolicy::of(10));
    let source = source.connect().await.unwrap_or_else(|error| panic!("{way}: {error}"));
    let pipeline = Pipeline::builder("stories", source).idle(SECOND).subscribe(subscription).build().unwrap();
    let all_there = async {
        while arrived.count() < count {
            sleep(SECOND / 10).await;
            assert!(began.elapsed() < Duration::from_secs(4 * 3600), "{way}: only {} arrived", arrived.count());
        }
        // What comes twice comes now.
        sleep(5 * SECOND).await;
    };
    let (summary, ()) = tokio::join!(pipeline.run_until(all_there), story);
    summary.unwrap_or_else(|error| panic!("{way}: {}", error.chain()));
    arrived.expect(count, way);
}

fn put(stream: &MemoryStream, from: usize, count: usize) {
    stream.put_all((from..from + count).map(|n| (format!("key-{}", n % 7), n.to_string()))).unwrap();
}

/// Every way in turn, each with a stream of its own.
async fn each_way(tell: impl AsyncFn(&str, KinesisSourceBuilder, MemoryStream, WireClient)) {
    for way in Way::ALL {
        let stream = MemoryStream::builder("orders").shards(2).read_limits(ReadLimits::aws()).build();
        let http = http_client(&stream);
        tell(way.name, way.source(&http, "orders"), stream, http).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_blocks_for_ten_minutes_loses_nothing_though_iterators_expire() {
    each_way(async |way, source, stream, _| {
        let story = async {
            for n in 0..24 {
                put(&stream, n * 40, 40);
                sleep(30 * SECOND).await;
            }
        };
        until(way, source, 960, 600 * SECOND, story).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_on_the_way_are_asked_for_anew() {
    each_way(async |way, source, stream, http| {
        let expired = || Answer::fail("ExpiredTokenException");
        http.script("GetRecords", [Answer::Serve, expired(), expired(), Answer::Serve, expired()]);
        http.script("SubscribeToShard", [Answer::interrupt(2, "InternalFailureException"), expired(), expired()]);
        let story = async {
            for n in 0..10 {
                put(&stream, n * 20, 20);
                sleep(2 * SECOND).await;
            }
        };
        until(way, source, 200, Duration::ZERO, story).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_split_and_a_merge_while_the_service_throttles_keep_every_key_in_order() {
    each_way(async |way, source, stream, http| {
        let throttled = || [Answer::fail("ProvisionedThroughputExceededException"), Answer::DropReply, Answer::Serve];
        http.script("GetRecords", (0..40).flat_map(|_| throttled()));
        http.script("GetShardIterator", (0..6).flat_map(|_| throttled()));
        http.script("SubscribeToShard", [Answer::Serve, Answer::fail("LimitExceededException"), Answer::HalfOpen(2)]);
        http.script("ListShards", [Answer::Serve, Answer::fail("LimitExceededException"), Answer::Drop]);
        let story = async {
            let first = stream.shards()[0].id.clone();
            put(&stream, 0, 100);
            sleep(2 * SECOND).await;
            let [low, high] = stream.split(&first).unwrap();
            put(&stream, 100, 100);
            sleep(3 * SECOND).await;
            stream.merge(&low.id, &high.id).unwrap();
            put(&stream, 200, 100);
        };
        until(way, source, 300, Duration::ZERO, story).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_cut_at_five_hundred_places_lose_nothing() {
    let mut rng = fastrand::Rng::with_seed(7);
    let cuts: Vec<Answer> = (0..500).map(|_| Answer::Cut(rng.usize(..1500))).collect();
    each_way(async |way, source, stream, http| {
        // Pushed, a cut costs five seconds; there are other tests of it, so that fewer do.
        http.script("GetRecords", cuts.iter().cloned());
        http.script("SubscribeToShard", cuts.iter().take(100).cloned());
        let story = async {
            for n in 0..100 {
                put(&stream, n * 3, 3);
                sleep(5 * SECOND).await;
            }
        };
        until(way, source, 300, Duration::ZERO, story).await;
    })
    .await;
}
