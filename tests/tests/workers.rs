//! Several workers on one stream: they share its shards, hand them over, and take over from those that are gone.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::{
    LeaseStore, MemoryLeaseStore, Ordering, Outcome, Pipeline, Record, SequenceNumber, Sink, StartPosition,
    StreamSource, Subscription, Summary, handler,
};
use kinesis_mock::{Call, Fault, Faults, Faulty, MemoryStream, Odds};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// What arrived first, by key; and when a worker delivered last on a shard.
type Arrived = Arc<Mutex<BTreeMap<String, Vec<SequenceNumber>>>>;

/// A stream, what came of it, and the workers that share it.
struct Fleet {
    stream: MemoryStream,
    store: MemoryLeaseStore,
    arrived: Arrived,
}

/// A worker under way.
struct Worker {
    stop: oneshot::Sender<()>,
    run: JoinHandle<kinesis_core::Result<Summary>>,
}

impl Worker {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.run.await.unwrap().unwrap();
    }

    /// It is gone at once, and says nothing to anybody.
    fn crash(self) {
        self.run.abort();
    }
}

impl Fleet {
    fn new(shards: usize) -> Self {
        Self { stream: MemoryStream::new("orders", shards), store: MemoryLeaseStore::new(), arrived: Arc::default() }
    }

    fn worker(&self, seed: u64) -> Worker {
        self.worker_over(self.store.clone(), seed)
    }

    /// A worker that has this way to the store.
    fn worker_over(&self, store: impl LeaseStore, seed: u64) -> Worker {
        let arrived = Arc::clone(&self.arrived);
        let sink = handler(move |record: Record| {
            let mut keys = arrived.lock().unwrap();
            let seen = keys.entry(record.partition_key.to_string()).or_default();
            if !seen.contains(&record.sequence_number) {
                seen.push(record.sequence_number);
            }
            let takes = Duration::from_millis(record.data.len() as u64 % 7 * 10);
            async move {
                sleep(takes).await;
                Outcome::Delivered
            }
        });
        self.worker_with(store, sink, seed)
    }

    fn worker_with(&self, store: impl LeaseStore, sink: impl Sink, seed: u64) -> Worker {
        let subscription =
            Subscription::new("story", sink).start_at(StartPosition::TrimHorizon).ordering(Ordering::per_key(4));
        let pipeline = Pipeline::builder("fleet", self.stream.clone()).leases(store).seed(seed);
        let pipeline = pipeline.subscribe(subscription).build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(pipeline.run_until(async { drop(stopped.await) }));
        Worker { stop, run }
    }

    /// How many shards each worker holds.
    async fn held(&self) -> BTreeMap<String, usize> {
        let mut held = BTreeMap::new();
        for row in self.store.list().await.unwrap() {
            row.owner.into_iter().for_each(|owner| *held.entry(owner.to_string()).or_default() += 1);
        }
        held
    }

    /// So many workers hold the shards, balanced within one.
    async fn expect_balanced(&self, workers: usize) {
        let held = self.held().await;
        let (least, most) = (held.values().min().unwrap(), held.values().max().unwrap());
        assert!(held.len() == workers && most - least <= 1, "{held:?}");
    }

    async fn put_for(&self, time: Duration) -> usize {
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < time {
            let record = |n: usize| (format!("key-{}", (count + n) % 40), "x".repeat(count % 11));
            self.stream.put_all((0..10).map(record)).unwrap();
            count += 10;
            sleep(SECOND / 5).await;
        }
        count
    }

    /// Everything arrived, each key in its order.
    fn expect_all(&self, count: usize) {
        let keys = self.arrived.lock().unwrap();
        assert_eq!(keys.values().map(Vec::len).sum::<usize>(), count);
        keys.iter().for_each(|(key, numbers)| assert!(numbers.is_sorted(), "{key} is out of order"));
    }
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_handed_their_share_and_nothing_is_lost_or_out_of_order() {
    let fleet = Fleet::new(16);
    let first = fleet.worker(1);
    let mut count = fleet.put_for(5 * SECOND).await;
    fleet.expect_balanced(1).await;
    let second = fleet.worker(2);
    count += fleet.put_for(20 * SECOND).await;
    fleet.expect_balanced(2).await;
    let third = fleet.worker(3);
    count += fleet.put_for(30 * SECOND).await;
    fleet.expect_balanced(3).await;
    sleep(5 * SECOND).await;
    fleet.expect_all(count);
    for worker in [first, second, third] {
        worker.stop().await;
    }
    assert!(fleet.held().await.is_empty(), "a worker that stops lets go of what it holds");
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_lets_go_at_its_stop_is_read_by_another_one_within_two_seconds() {
    let fleet = Fleet::new(8);
    let (first, second) = (fleet.worker(1), fleet.worker(2));
    let mut count = fleet.put_for(30 * SECOND).await;
    fleet.expect_balanced(2).await;
    first.stop().await;
    count += fleet.put_for(2 * SECOND).await;
    fleet.expect_balanced(1).await;
    sleep(SECOND).await;
    fleet.expect_all(count);
    second.stop().await;
}

/// Others left what it had let go for the worker itself, until its last delivery was over: it had too few shards by then, and
/// lived.
#[tokio::test(start_paused = true)]
async fn what_a_worker_lets_go_at_its_stop_is_read_at_once_while_another_shard_is_still_delivered() {
    let fleet = Fleet::new(8);
    let (stuck, arrived) = (Arc::new(Mutex::new(None)), Arc::clone(&fleet.arrived));
    let sink = {
        let stuck = Arc::clone(&stuck);
        handler(move |record: Record| {
            let (is_stuck, arrived) =
                (*stuck.lock().unwrap() == Some(record.partition_key.clone()), Arc::clone(&arrived));
            async move {
                if is_stuck {
                    sleep(15 * SECOND).await;
                }
                let mut keys = arrived.lock().unwrap();
                let seen = keys.entry(record.partition_key.to_string()).or_default();
                if !seen.contains(&record.sequence_number) {
                    seen.push(record.sequence_number);
                }
                Outcome::Delivered
            }
        })
    };
    let (first, second) = (fleet.worker_with(fleet.store.clone(), sink, 1), fleet.worker(2));
    let mut count = fleet.put_for(30 * SECOND).await;
    fleet.expect_balanced(2).await;
    // Whoever has this key, one delivery of four shards takes its time, or none: then the other worker is stopped instead.
    *stuck.lock().unwrap() = Some("key-0".into());
    count += fleet.put_for(2 * SECOND).await;
    first.stop.send(()).unwrap();
    sleep(2 * SECOND).await;
    assert_eq!(fleet.held().await.values().sum::<usize>(), 8, "{:?}", fleet.held().await);
    assert!(!first.run.is_finished(), "it still delivers a record");
    first.run.await.unwrap().unwrap();
    count += fleet.put_for(2 * SECOND).await;
    sleep(2 * SECOND).await;
    fleet.expect_balanced(1).await;
    fleet.expect_all(count);
    second.stop().await;
}

/// A stop in the middle of a claim left the lease to run out: whoever came next waited for it for ten seconds.
#[tokio::test(start_paused = true)]
async fn a_stop_while_a_claim_is_not_answered_leaves_no_lease_behind() {
    let fleet = Fleet::new(2);
    let faults = Faults::none().on(Call::Claim, 1, Fault::DropReply);
    let worker = fleet.worker_over(Faulty::new(fleet.store.clone(), faults), 1);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fleet.held().await.values().sum::<usize>(), 1, "it does not know that it holds this");
    worker.stop().await;
    assert!(fleet.held().await.is_empty(), "{:?}", fleet.held().await);
}

#[tokio::test(start_paused = true)]
async fn those_that_live_share_what_one_that_crashed_has_left_after_a_failover_time() {
    let fleet = Fleet::new(9);
    let (first, second, third) = (fleet.worker(1), fleet.worker(2), fleet.worker(3));
    let mut count = fleet.put_for(40 * SECOND).await;
    fleet.expect_balanced(3).await;
    second.crash();
    count += fleet.put_for(30 * SECOND).await;
    fleet.expect_balanced(2).await;
    sleep(5 * SECOND).await;
    fleet.expect_all(count);
    first.stop().await;
    third.stop().await;
}

#[tokio::test(start_paused = true)]
async fn children_are_shared_and_none_is_read_before_its_parents_wherever_those_are() {
    let fleet = Fleet::new(4);
    let workers = [fleet.worker(1), fleet.worker(2)];
    let mut count = fleet.put_for(30 * SECOND).await;
    for _ in 0..3 {
        let open: Vec<_> =
            fleet.stream.list_shards().await.unwrap().into_iter().filter(|shard| !shard.closed).collect();
        let [low, high] = fleet.stream.split(&open[0].id).unwrap();
        fleet.stream.split(&open[1].id).unwrap();
        count += fleet.put_for(10 * SECOND).await;
        fleet.stream.merge(&low.id, &high.id).unwrap();
        count += fleet.put_for(30 * SECOND).await;
    }
    sleep(20 * SECOND).await;
    fleet.expect_all(count);
    for worker in workers {
        worker.stop().await;
    }
}

/// A worker that held nothing ended by itself when another one had come to the end of a shard whose children had no row yet.
#[tokio::test(start_paused = true)]
async fn a_worker_without_shards_waits_for_the_children_of_those_of_others() {
    let fleet = Fleet::new(1);
    // The first makes its second row, that of a child, when the other one has looked.
    let slow = Faults::none().on(Call::Create, 2, Fault::Delay(5 * SECOND));
    let first = fleet.worker_over(Faulty::new(fleet.store.clone(), slow), 1);
    sleep(SECOND).await;
    let second = fleet.worker(2);
    let mut count = fleet.put_for(5 * SECOND).await;
    fleet.stream.split(&fleet.stream.shards()[0].id).unwrap();
    count += fleet.put_for(40 * SECOND).await;
    assert!(!first.run.is_finished() && !second.run.is_finished());
    fleet.expect_balanced(2).await;
    sleep(5 * SECOND).await;
    fleet.expect_all(count);
    first.stop().await;
    second.stop().await;
}

/// A subscription that waits for a parent was let in only where its worker had read the parent itself: finished elsewhere, it
/// waited for ever.
#[tokio::test(start_paused = true)]
async fn a_child_is_read_when_another_worker_has_finished_its_parent() {
    let fleet = Fleet::new(1);
    let slow_ones: Arc<Mutex<BTreeSet<SequenceNumber>>> = Arc::default();
    let started = |seed| {
        let slow_ones = Arc::clone(&slow_ones);
        let slow = handler(move |record: Record| {
            let slow_ones = Arc::clone(&slow_ones);
            async move {
                sleep(20 * SECOND).await;
                slow_ones.lock().unwrap().insert(record.sequence_number);
                Outcome::Delivered
            }
        });
        let quick = handler(|_: Record| async {});
        let mut pipeline = Pipeline::builder("fleet", fleet.stream.clone()).leases(fleet.store.clone()).seed(seed);
        pipeline = pipeline.subscribe(Subscription::new("quick", quick).start_at(StartPosition::TrimHorizon));
        pipeline = pipeline.subscribe(Subscription::new("slow", slow).start_at(StartPosition::TrimHorizon));
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(pipeline.build().unwrap().run_until(async { drop(stopped.await) }));
        Worker { stop, run }
    };
    fleet.stream.put_all((0..4).map(|n| (format!("key-{n}"), "x"))).unwrap();
    let first = started(1);
    sleep(SECOND).await;
    fleet.stream.split(&fleet.stream.shards()[0].id).unwrap();
    fleet.stream.put_all((0..4).map(|n| (format!("key-{n}"), "x"))).unwrap();
    sleep(2 * SECOND).await;
    // It is handed a child while the first still delivers the parent to the slow one.
    let second = started(2);
    sleep(400 * SECOND).await;
    assert_eq!(slow_ones.lock().unwrap().len(), 8);
    first.stop().await;
    second.stop().await;
}

/// Handing over one shard late was told as a drain of the whole worker that had timed out.
#[tokio::test(start_paused = true)]
async fn a_shard_whose_sink_does_not_end_in_time_is_handed_over_all_the_same_and_the_worker_goes_on() {
    let fleet = Fleet::new(2);
    let began = Instant::now();
    let started = |seed| {
        let arrived = Arc::clone(&fleet.arrived);
        let sink = handler(move |record: Record| {
            let arrived = Arc::clone(&arrived);
            async move {
                // The first worker had to let go after thirty seconds, before this is over.
                sleep((40 * SECOND).saturating_sub(began.elapsed())).await;
                arrived
                    .lock()
                    .unwrap()
                    .entry(record.partition_key.to_string())
                    .or_default()
                    .push(record.sequence_number);
                Outcome::Delivered
            }
        });
        fleet.worker_with(fleet.store.clone(), sink, seed)
    };
    fleet.stream.put_all((0..10).map(|n| (format!("key-{n}"), "x"))).unwrap();
    let first = started(1);
    sleep(SECOND).await;
    let second = started(2);
    sleep(38 * SECOND).await;
    fleet.expect_balanced(2).await;
    sleep(60 * SECOND).await;
    assert_eq!(fleet.arrived.lock().unwrap().len(), 10);
    first.stop.send(()).unwrap();
    assert!(!first.run.await.unwrap().unwrap().drain_timed_out);
    second.stop().await;
}

/// A renewal had all the time that the store took: a worker whose call hung worked on beside the one that had taken over.
#[tokio::test(start_paused = true)]
async fn a_worker_whose_renewal_hangs_delivers_nothing_once_its_lease_has_run_out() {
    let fleet = Fleet::new(1);
    let began = Instant::now();
    let last: Arc<Mutex<Duration>> = Arc::default();
    let told = Arc::clone(&last);
    let sink = handler(move |_: Record| {
        *told.lock().unwrap() = began.elapsed();
        async { Outcome::Delivered }
    });
    // From the third write on none has an answer for an hour, nor has another claim.
    let hour = || Fault::Delay(3600 * SECOND);
    let hangs = (3..20).fold(Faults::none(), |faults, nth| faults.on(Call::Advance, nth, hour()));
    let hangs = (2..20).fold(hangs, |faults, nth| faults.on(Call::Claim, nth, hour()));
    let worker = fleet.worker_with(Faulty::new(fleet.store.clone(), hangs), sink, 1);
    fleet.put_for(60 * SECOND).await;
    // Two writes were answered, within the interval of five seconds each, and a failover time is ten.
    assert!(*last.lock().unwrap() <= 20 * SECOND, "still delivering after {:?}", last.lock().unwrap());
    worker.crash();
}

/// Splits or merges at random, as far as the stream allows it.
fn reshard(stream: &MemoryStream, rng: &mut Rng) {
    let open: Vec<_> = stream.shards().into_iter().filter(|shard| !shard.closed).collect();
    let shard = &open[rng.usize(..open.len())].id;
    if rng.bool() {
        drop(stream.split(shard));
    } else {
        // Those that are no neighbours are refused.
        drop(open.iter().find_map(|other| stream.merge(shard, &other.id).ok()));
    }
}

/// Up to six workers that come, stop and crash at random, each with a bad way to the store, while shards split and merge.
#[tokio::test(start_paused = true)]
async fn whoever_comes_and_goes_nothing_is_lost_or_out_of_order() {
    for seed in 0..60 {
        let rng = &mut Rng::with_seed(seed);
        let fleet = Fleet::new(rng.usize(1..=8));
        let (mut workers, mut ways, mut count) = (Vec::new(), Vec::new(), 0);
        for step in 0..rng.u64(6..16) {
            match rng.u8(..8) {
                0..3 if workers.len() < 6 => {
                    let odds = Odds {
                        throttle: 0.03,
                        fail: 0.05,
                        delay: 0.2,
                        drop_reply: 0.05,
                        expire: 0.002,
                        ..Odds::none()
                    };
                    let way = Faulty::new(fleet.store.clone(), Faults::seeded(rng.u64(..), odds));
                    workers.push(fleet.worker_over(way.clone(), step));
                    ways.push(way);
                }
                3 if !workers.is_empty() => workers.swap_remove(rng.usize(..workers.len())).stop().await,
                4 | 5 if !workers.is_empty() => workers.swap_remove(rng.usize(..workers.len())).crash(),
                _ => reshard(&fleet.stream, rng),
            }
            count += fleet.put_for(SECOND.mul_f64(rng.f64() * 15.0)).await;
        }
        ways.iter().for_each(|way| way.faults().stop());
        workers.push(fleet.worker(99));
        fleet.stream.finish();
        for worker in workers {
            worker.run.await.unwrap().unwrap_or_else(|error| panic!("seed {seed}: {}", error.chain()));
        }
        fleet.expect_all(count);
    }
}
