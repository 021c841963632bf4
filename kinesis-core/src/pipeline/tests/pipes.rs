//! Sources that can be read once only: nothing of them comes again, so the slowest subscription holds the feed back.

use tokio::sync::Semaphore;

use super::*;
use crate::{LaneState, SourceCaps};

/// Numbered records, as many as are asked for, and each once: every reader goes on where the one before stopped.
#[derive(Debug, Clone)]
struct Pipe {
    stream: StreamId,
    /// Records that may be read, and that were.
    filled: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
    closed: Arc<std::sync::atomic::AtomicBool>,
}

impl Pipe {
    fn of(records: u64) -> Self {
        let pipe = Self {
            stream: StreamId::new("pipe"),
            filled: Arc::default(),
            read: Arc::default(),
            closed: Arc::default(),
        };
        pipe.fill(records);
        pipe
    }

    fn fill(&self, records: u64) {
        self.filled.fetch_add(records, AtomicOrdering::SeqCst);
    }

    fn read(&self) -> u64 {
        self.read.load(AtomicOrdering::SeqCst)
    }

    fn close(&self) {
        self.closed.store(true, AtomicOrdering::SeqCst);
    }
}

#[async_trait]
impl StreamSource for Pipe {
    fn stream(&self) -> &StreamId {
        &self.stream
    }
    fn caps(&self) -> SourceCaps {
        SourceCaps::pipe().with_parks(false)
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(vec![Shard::new("0")])
    }
    async fn open_shard(&self, _: &ShardId, _: StartPosition) -> Result<Box<dyn ShardReader>> {
        Ok(Box::new(PipeReader(self.clone())))
    }
}

#[derive(Debug)]
struct PipeReader(Pipe);

#[async_trait]
impl ShardReader for PipeReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let from = self.0.read();
        let to = self.0.filled.load(AtomicOrdering::SeqCst).min(from + max.get() as u64);
        self.0.read.store(to, AtomicOrdering::SeqCst);
        let record = |n| Record::new(SequenceNumber::from(n), format!("{}", n % 5), format!("{n}"));
        let batch = Batch::new((from..to).map(record).collect());
        let ended = from == to && self.0.closed.load(AtomicOrdering::SeqCst);
        Ok(if ended { batch.with_end(ShardEnd::default()) } else { batch })
    }
}

/// Takes one record a permit, and keeps what it has taken.
fn metered(permits: &Arc<Semaphore>, collect: &Collect) -> impl crate::Sink + use<> {
    let (permits, seen) = (Arc::clone(permits), Arc::clone(&collect.seen));
    handler(move |record: Record| {
        let (permits, seen) = (Arc::clone(&permits), Arc::clone(&seen));
        async move {
            permits.acquire().await.unwrap().forget();
            seen.lock().unwrap().push(String::from_utf8_lossy(&record.data).into_owned());
        }
    })
}

/// Takes everything.
fn open(collect: &Collect) -> impl crate::Sink + use<> {
    metered(&Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), collect)
}

/// Waits for the end of a run.
async fn end(run: tokio::task::JoinHandle<Result<Summary>>) {
    tokio::time::timeout(Duration::from_secs(3_600), run).await.expect("the run ends").unwrap().unwrap();
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

async fn passes(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn small(name: &str, sink: impl crate::Sink) -> Subscription {
    let demand = Demand { min: 0, max: 10, max_ahead: 10, ..Demand::default() };
    from_start(name, sink).ordering(Ordering::PerShard).demand(demand)
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscription_holds_the_feed_of_a_pipe_back_and_loses_nothing() {
    let (pipe, permits) = (Pipe::of(25_000), Arc::new(Semaphore::new(0)));
    let (fast, slow) = (Collect::default(), Collect::default());
    let pipeline = Pipeline::builder("app", pipe.clone())
        .subscribe(small("fast", open(&fast)))
        .subscribe(small("slow", metered(&permits, &slow)))
        .build()
        .unwrap();
    let run = tokio::spawn(pipeline.run_until(never()));
    passes(600).await;
    // What the ring of a shard may hold, and not a record more.
    assert_eq!((pipe.read(), fast.delivered().len()), (20_000, 20_000));
    permits.add_permits(1_000_000);
    pipe.close();
    end(run).await;
    assert_eq!(fast.delivered(), numbers(0..25_000));
    assert_eq!(slow.delivered(), numbers(0..25_000));
}

/// Attached late, its place was looked for as on a log, where none was found any more: it waited for ever.
#[tokio::test(start_paused = true)]
async fn attached_late_to_a_pipe_it_joins_at_what_is_still_there() {
    let (pipe, permits) = (Pipe::of(50), Arc::new(Semaphore::new(0)));
    let (slow, late, tip) = (Collect::default(), Collect::default(), Collect::default());
    let pipeline = Pipeline::builder("app", pipe.clone()).subscribe(small("slow", metered(&permits, &slow)));
    let pipeline = pipeline.byte_budget(64 << 10).build().unwrap();
    let handle = pipeline.handle();
    let run = tokio::spawn(pipeline.run_until(never()));
    permits.add_permits(50);
    passes(10).await;
    pipe.fill(50);
    passes(10).await;
    assert_eq!(slow.delivered(), numbers(0..50));
    handle.attach(small("late", open(&late))).await.unwrap();
    let at_tip = Subscription::new("tip", open(&tip)).ordering(Ordering::PerShard);
    handle.attach(at_tip).await.unwrap();
    passes(10).await;
    pipe.fill(50);
    permits.add_permits(1_000);
    passes(10).await;
    pipe.close();
    end(run).await;
    assert_eq!(slow.delivered(), numbers(0..150), "nothing is lost to whoever was there");
    let first: u64 = late.delivered()[0].parse().unwrap();
    assert!(first <= 60, "what the slow one has not looked at is still there: {first}");
    assert_eq!(late.delivered(), numbers(first..150));
    let first: u64 = tip.delivered()[0].parse().unwrap();
    assert_eq!(tip.delivered(), numbers(first..150));
    assert!(first > 60, "the tip is behind what was read: {first}");
}

/// A subscription that was paused from the beginning had no place in the ring: what the others were done with was let go.
#[tokio::test(start_paused = true)]
async fn a_paused_subscription_holds_the_feed_of_a_pipe_back() {
    let (pipe, store) = (Pipe::of(10), MemoryLeaseStore::default());
    let (fast, paused) = (Collect::default(), Collect::default());
    let mut record = SubscriptionRecord::new(pipe.stream(), "paused".into(), StartPosition::TrimHorizon, ["0".into()]);
    record.paused = true;
    store.put_subscription(None, &record).await.unwrap();
    let pipeline = Pipeline::builder("app", pipe.clone())
        .leases(store)
        .subscribe(small("fast", open(&fast)))
        .subscribe(small("paused", open(&paused)))
        .build()
        .unwrap();
    let handle = pipeline.handle();
    let run = tokio::spawn(pipeline.run_until(never()));
    passes(10).await;
    pipe.fill(21_000);
    passes(600).await;
    assert_eq!(pipe.read(), 20_000);
    let status = handle.status().await.unwrap();
    assert_eq!(status.subscriptions["paused"].shards[&ShardId::from("0")].state, LaneState::Paused);
    handle.resume("paused").await.unwrap();
    passes(600).await;
    handle.pause("fast").await.unwrap();
    pipe.fill(21_000);
    passes(600).await;
    handle.resume("fast").await.unwrap();
    passes(600).await;
    pipe.close();
    end(run).await;
    assert_eq!(fast.delivered(), numbers(0..42_010));
    assert_eq!(paused.delivered(), numbers(0..42_010));
}
