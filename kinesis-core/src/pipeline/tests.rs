//! Whole pipelines over a small log, on a paused clock.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::{
    Batch, Demand, Error, ErrorKind, LeaseStore, Outcome, Record, RetryPolicy, SequenceNumber, Shard, ShardEnd,
    ShardId, ShardReader, StartPosition, StreamId, SubscriptionRecord, handler,
};
use crate::{Cursor, CursorPosition, Lease, MemoryLeaseStore, Progress, ShardKey, channel_sink};

type Shards = BTreeMap<ShardId, (Shard, Vec<Record>)>;

/// A log in memory, shards made by hand.
#[derive(Debug, Clone)]
struct Log {
    stream: StreamId,
    shards: Arc<Mutex<Shards>>,
    /// An error that every further read gets, once the records are through.
    fails: Option<ErrorKind>,
}

impl Log {
    /// One shard "0" of records named key and number, "a1", closed behind them.
    fn of(names: &str) -> Self {
        let log = Self { stream: StreamId::new("log"), shards: Arc::default(), fails: None };
        log.shard(Shard::new("0").with_end(None), names);
        log
    }

    fn shard(&self, shard: Shard, names: &str) {
        let record =
            |(n, name): (usize, &str)| Record::new(SequenceNumber::from(n as u64), &name[..1], name.to_owned());
        let records = names.split_whitespace().enumerate().map(record).collect();
        self.shards.lock().unwrap().insert(shard.id.clone(), (shard, records));
    }
}

#[async_trait]
impl StreamSource for Log {
    fn stream(&self) -> &StreamId {
        &self.stream
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(self.shards.lock().unwrap().values().map(|(shard, _)| shard.clone()).collect())
    }
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let next = self.shards.lock().unwrap().get(shard).map(|(_, records)| from.index_in(records));
        let next = next.ok_or_else(|| Error::not_found(format!("no shard {shard}")))?;
        Ok(Box::new(Reader { log: self.clone(), shard: shard.clone(), next }))
    }
}

#[derive(Debug)]
struct Reader {
    log: Log,
    shard: ShardId,
    next: usize,
}

#[async_trait]
impl ShardReader for Reader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let shards = self.log.shards.lock().unwrap();
        let (shard, records) = &shards[&self.shard];
        let batch: Vec<Record> = records[self.next..].iter().take(max.get()).cloned().collect();
        self.next += batch.len();
        let at_end = batch.is_empty();
        if at_end && let Some(kind) = self.log.fails {
            return Err(Error::new(kind, "the log is torn"));
        }
        let batch = Batch::new(batch);
        if !at_end || !shard.closed {
            return Ok(batch);
        }
        let children = shards.values().map(|(shard, _)| shard).filter(|child| child.parents.contains(&self.shard));
        Ok(batch.with_end(ShardEnd::new(children.cloned().collect())))
    }
}

/// Collects what it is given, as text; fails as told.
#[derive(Debug, Clone, Default)]
struct Collect {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Collect {
    fn sink(&self, judge: impl Fn(&str, usize) -> Outcome + Send + Sync + 'static) -> impl crate::Sink {
        let seen = Arc::clone(&self.seen);
        handler(move |record| {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            let mut seen = seen.lock().unwrap();
            let before = seen.iter().filter(|earlier| earlier.trim_end_matches('!') == text).count();
            let outcome = judge(&text, before);
            seen.push(if outcome == Outcome::Delivered { text } else { format!("{text}!") });
            std::future::ready(outcome)
        })
    }

    fn text(&self) -> String {
        self.seen.lock().unwrap().join(" ")
    }

    fn delivered(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|text| !text.ends_with('!')).cloned().collect()
    }
}

fn all(_: &str, _: usize) -> Outcome {
    Outcome::Delivered
}

fn from_start(name: &str, sink: impl crate::Sink) -> Subscription {
    Subscription::new(name, sink).start_at(StartPosition::TrimHorizon)
}

fn never() -> impl Future<Output = ()> + Send {
    std::future::pending()
}

#[tokio::test(start_paused = true)]
async fn every_subscription_gets_its_channels_in_order_and_a_finite_source_ends_the_run() {
    let (every, some) = (Collect::default(), Collect::default());
    let pipeline = Pipeline::builder("app", Log::of("a1 b1 a2 c1 b2 a3"))
        .subscribe(from_start("every", every.sink(all)).ordering(Ordering::PerShard))
        .subscribe(from_start("some", some.sink(all)).channels(["a", "c", "none"]).ordering(Ordering::PerShard))
        .build()
        .unwrap();
    let summary = pipeline.run_until(never()).await.unwrap();
    assert_eq!(every.text(), "a1 b1 a2 c1 b2 a3");
    assert_eq!(some.text(), "a1 a2 c1 a3");
    let counts = &summary.subscriptions["some"];
    assert_eq!((counts.delivered, counts.filtered, counts.unsettled), (4, 2, 0));
    assert_eq!((summary.records_read, summary.shards_finished), (6, 1));
    assert!(counts.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_retry_holds_its_key_and_not_its_neighbours() {
    let collect = Collect::default();
    let sink =
        collect.sink(|text, before| if text == "a1" && before < 3 { Outcome::Retry } else { Outcome::Delivered });
    let pipeline = Pipeline::builder("app", Log::of("a1 b1 a2 b2 a3 b3"))
        .subscribe(from_start("x", sink).ordering(Ordering::per_key(1)))
        .build()
        .unwrap();
    pipeline.run_until(never()).await.unwrap();
    let text = collect.text();
    assert!(text.starts_with("a1! b1 b2 b3"), "{text}");
    assert!(text.ends_with("a1 a2 a3"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn deliveries_fill_up_to_the_bounds_or_the_wait() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (sink, mut deliveries) = channel_sink();
    let seen = Arc::clone(&sizes);
    tokio::spawn(async move {
        use tokio_stream::StreamExt;
        while let Some(delivery) = deliveries.next().await {
            seen.lock().unwrap().push(delivery.len());
            delivery.delivered();
        }
    });
    let pipeline = Pipeline::builder("app", Log::of("a1 b1 a2 c1 b2 a3 a4"))
        .subscribe(from_start("x", sink).ordering(Ordering::PerShard).batch(BatchPolicy::of(3)))
        .build()
        .unwrap();
    pipeline.run_until(never()).await.unwrap();
    assert_eq!(*sizes.lock().unwrap(), [3, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn children_start_when_their_parents_are_finished_and_every_subscription_at_its_own_time() {
    let log = Log::of("a1 b1 a2");
    log.shard(Shard::new("1").with_parents([ShardId::from("0")]).with_end(None), "a3 a4");
    log.shard(Shard::new("2").with_parents([ShardId::from("0")]).with_end(None), "b2");
    log.shard(Shard::new("3").with_parents([ShardId::from("1"), ShardId::from("2")]).with_end(None), "b3 a5");
    let (fast, slow) = (Collect::default(), Collect::default());
    let slow_sink =
        slow.sink(|text, before| if text == "a1" && before < 5 { Outcome::Retry } else { Outcome::Delivered });
    let pipeline = Pipeline::builder("app", log)
        .subscribe(from_start("fast", fast.sink(all)))
        .subscribe(from_start("slow", slow_sink))
        .build()
        .unwrap();
    let summary = pipeline.run_until(never()).await.unwrap();
    assert_eq!(summary.shards_finished, 4);
    for collect in [&fast, &slow] {
        for key in ["a", "b"] {
            let of_key: Vec<String> = collect.delivered().into_iter().filter(|text| text.starts_with(key)).collect();
            let mut sorted = of_key.clone();
            sorted.sort();
            assert_eq!(of_key, sorted);
        }
        assert_eq!(collect.delivered().len(), 8);
    }
}

/// A subscription that waited for the parents had a cursor stored in the child all the same. The parent had no row yet,
/// so that cursor was taken as proof that it had been read: the child was opened, and the parent's records were lost.
#[tokio::test(start_paused = true)]
async fn who_waits_at_a_grandchild_still_reads_the_parent_first() {
    let log = Log::of("a1");
    log.shard(Shard::new("1").with_parents([ShardId::from("0")]).with_end(None), "a2");
    log.shard(Shard::new("2").with_parents([ShardId::from("1")]).with_end(None), "a3");
    // The worker looks at the rows when one of these is finished, and at the gates when the other one is.
    log.shard(Shard::new("8").with_end(None), "b1");
    log.shard(Shard::new("9").with_end(None), "c1");
    let store = MemoryLeaseStore::default();
    let shards = ["0", "1", "2", "8", "9"].map(ShardId::from);
    let mut new = SubscriptionRecord::new(log.stream(), "new".into(), StartPosition::Latest, shards);
    new.pins.insert("2".into(), StartPosition::TrimHorizon);
    store.put_subscription(None, &new).await.unwrap();
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&delivered);
    let slow = handler(move |record: Record| {
        let seen = Arc::clone(&seen);
        async move {
            let seconds = match &*record.partition_key {
                "a" => 10,
                "b" => 1,
                _ => 2,
            };
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            seen.lock().unwrap().push(String::from_utf8_lossy(&record.data).into_owned());
        }
    });
    let pipeline = Pipeline::builder("app", log)
        .leases(store)
        .commit_every(Duration::from_millis(1))
        .subscribe(Subscription::new("new", handler(|_| async {})))
        .subscribe(from_start("old", slow))
        .build()
        .unwrap();
    pipeline.run_until(never()).await.unwrap();
    assert_eq!(*delivered.lock().unwrap(), ["b1", "c1", "a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_behind_what_was_settled() {
    let (store, log, collect) = (MemoryLeaseStore::default(), Log::of("a1 b1 a2 c1 b2 a3"), Collect::default());
    let slow = Arc::new(collect.sink(all));
    let slow = handler(move |record| {
        let slow = Arc::clone(&slow);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let delivery = crate::Delivery::new(StreamId::new("log"), "0", "x", vec![record]);
            crate::Sink::deliver(&slow, &delivery).await.map(drop)
        }
    });
    let first = Pipeline::builder("app", log.clone())
        .leases(store.clone())
        .subscribe(from_start("x", slow).ordering(Ordering::PerShard))
        .build()
        .unwrap();
    let summary = first.run_until(tokio::time::sleep(Duration::from_millis(2_500))).await.unwrap();
    assert!(!summary.drain_timed_out);
    assert_eq!(collect.text(), "a1 b1 a2", "the third was in flight when the stop came");
    let second = Pipeline::builder("app", log)
        .leases(store)
        .subscribe(from_start("x", collect.sink(all)).ordering(Ordering::PerShard))
        .build()
        .unwrap();
    second.run_until(never()).await.unwrap();
    assert_eq!(collect.text(), "a1 b1 a2 c1 b2 a3");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_for_good_ends_the_run_after_what_came_before() {
    let collect = Collect::default();
    let log = Log { fails: Some(ErrorKind::Invalid), ..Log::of("a1 b1 a2") };
    let pipeline = Pipeline::builder("app", log).subscribe(from_start("x", collect.sink(all))).build().unwrap();
    let handle = pipeline.handle();
    let error = pipeline.run_until(never()).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, "the log is torn (shard 0)".to_owned()));
    assert_eq!(handle.summary().subscriptions["x"].delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_halts_stops_alone() {
    let (halts, goes) = (Collect::default(), Collect::default());
    let rejecting = halts.sink(|text, _| if text == "b1" { Outcome::rejected("never") } else { Outcome::Delivered });
    let pipeline = Pipeline::builder("app", Log::of("a1 b1 a2 b2"))
        .subscribe(from_start("halts", rejecting).ordering(Ordering::PerShard))
        .subscribe(from_start("goes", goes.sink(all)))
        .build()
        .unwrap();
    let summary = pipeline.run_until(never()).await.unwrap();
    assert_eq!(summary.subscriptions["halts"].halted.as_deref(), Some("never"));
    assert_eq!(halts.text(), "a1 b1!");
    assert_eq!(goes.delivered().len(), 4);
}

/// A subscription that halted on one shard used to go on with the others, and the run never ended.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_halts_stops_on_every_shard() {
    let log = Log::of("b1");
    log.shard(Shard::new("1"), "a1 a2");
    let collect = Collect::default();
    let rejecting = collect.sink(|text, _| if text == "b1" { Outcome::rejected("never") } else { Outcome::Delivered });
    let pipeline = Pipeline::builder("app", log).subscribe(from_start("x", rejecting)).build().unwrap();
    let summary = pipeline.run_until(tokio::time::sleep(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(summary.subscriptions["x"].halted.as_deref(), Some("never"));
}

/// The lanes of a halted subscription waited for ever at the children of the shard where it had halted, and the run with
/// them.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_halts_waits_at_no_child() {
    let log = Log::of("a1");
    log.shard(Shard::new("1").with_parents([ShardId::from("0")]).with_end(None), "a2");
    let rejecting = handler(|_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Outcome::rejected("never")
    });
    let store = MemoryLeaseStore::default();
    let key = ShardKey::new(log.stream(), &"1".into());
    let pipeline = Pipeline::builder("app", log)
        .leases(store.clone())
        .subscribe(from_start("halts", rejecting))
        .subscribe(from_start("goes", handler(|_| async {})))
        .build()
        .unwrap();
    let summary = tokio::time::timeout(Duration::from_secs(3_600), pipeline.run_until(never())).await.unwrap().unwrap();
    assert!(summary.subscriptions["halts"].halted.is_some());
    assert_eq!(summary.subscriptions["goes"].delivered, 2);
    // Its lane there halted, too, and stored a cursor that said that the parent was read.
    let row = store.get(&key).await.unwrap().unwrap();
    assert_eq!(row.cursors.keys().collect::<Vec<_>>(), ["goes"]);
}

/// The run waited for ever for the lease of a dead worker that only the halted subscription had wanted.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_lease_that_only_a_halted_subscription_wanted() {
    let log = Log::of("a1");
    log.shard(Shard::new("1").with_end(None), "b1");
    let store = MemoryLeaseStore::default();
    let row = Lease::new(log.stream(), &Shard::new("1"));
    store.create(&row).await.unwrap();
    let mut dead = store.claim(&row, &"dead".into()).await.unwrap().unwrap();
    let end = Cursor::new(1, CursorPosition::End);
    store.advance(&mut dead, Some(&Progress::new([("goes".into(), end)]))).await.unwrap();
    let pipeline = Pipeline::builder("app", log)
        .leases(store)
        .subscribe(from_start("halts", handler(|_| async { Outcome::rejected("never") })))
        .subscribe(from_start("goes", handler(|_| async {})))
        .build()
        .unwrap();
    let summary = tokio::time::timeout(Duration::from_secs(3_600), pipeline.run_until(never())).await.unwrap().unwrap();
    assert!(summary.subscriptions["halts"].halted.is_some());
    assert_eq!(summary.subscriptions["goes"].delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_in_flight_and_says_when_it_could_not() {
    let start = Instant::now();
    let slow = handler(|_| tokio::time::sleep(Duration::from_secs(5)));
    let pipeline = Pipeline::builder("app", Log::of("a1 a2 a3")).subscribe(from_start("x", slow)).build().unwrap();
    let summary = pipeline.run_until(tokio::time::sleep(Duration::from_secs(1))).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!((summary.subscriptions["x"].delivered, summary.drain_timed_out), (1, false));
    assert_eq!(summary.subscriptions["x"].unsettled, 2);

    let stuck = handler(|_| std::future::pending::<()>());
    let pipeline = Pipeline::builder("app", Log::of("a1")).subscribe(from_start("x", stuck)).build().unwrap();
    let start = Instant::now();
    let summary = pipeline.run_until(tokio::time::sleep(Duration::from_secs(1))).await.unwrap();
    assert_eq!((start.elapsed().as_secs(), summary.drain_timed_out), (31, true));
}

#[tokio::test(start_paused = true)]
async fn never_more_is_in_flight_than_was_asked_for() {
    let in_flight = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let (now, peak) = (Arc::clone(&in_flight), Arc::clone(&most));
    let sink = handler(move |_| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            peak.fetch_max(now.fetch_add(1, AtomicOrdering::SeqCst) + 1, AtomicOrdering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            now.fetch_sub(1, AtomicOrdering::SeqCst);
        }
    });
    let names: Vec<String> = (0..200).map(|n| format!("{}{n}", char::from(b'a' + n % 26))).collect();
    let pipeline = Pipeline::builder("app", Log::of(&names.join(" ")))
        .subscribe(from_start("x", sink).ordering(Ordering::unordered(64)).demand(Demand {
            min: 2,
            max: 7,
            ..Demand::default()
        }))
        .build()
        .unwrap();
    let summary = pipeline.run_until(never()).await.unwrap();
    assert_eq!(summary.subscriptions["x"].delivered, 200);
    assert_eq!(most.load(AtomicOrdering::SeqCst), 7);
}

/// A lane that put all it had taken aside took no more until the held key was tried again.
#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_key_leaves_room_for_its_neighbours() {
    let (collect, busy) = (Collect::default(), std::sync::atomic::AtomicBool::new(false));
    let sink = collect.sink(move |text, _| match text {
        "a1" if !busy.swap(true, AtomicOrdering::SeqCst) => Outcome::busy(Some(Duration::from_secs(10))),
        _ => Outcome::Delivered,
    });
    let demand = Demand { min: 0, max: 1, ..Demand::default() };
    let pipeline = Pipeline::builder("app", Log::of("a1 a2 b1 b2"))
        .subscribe(from_start("x", sink).demand(demand))
        .build()
        .unwrap();
    pipeline.run_until(never()).await.unwrap();
    assert_eq!(collect.text(), "a1! b1 b2 a1 a2");
}

/// Records that had waited behind a held key were all sent off at once when it was released, past the demand.
#[tokio::test(start_paused = true)]
async fn what_waited_behind_a_key_comes_back_within_the_demand() {
    let (in_flight, most, tries) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    let (now, peak) = (Arc::clone(&in_flight), Arc::clone(&most));
    let sink = handler(move |record: Record| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        let stuck = &*record.data == b"a0" && tries.fetch_add(1, AtomicOrdering::SeqCst) < 2;
        async move {
            if &*record.data == b"a0" {
                return if stuck { Outcome::Retry } else { Outcome::Delivered };
            }
            peak.fetch_max(now.fetch_add(1, AtomicOrdering::SeqCst) + 1, AtomicOrdering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            now.fetch_sub(1, AtomicOrdering::SeqCst);
            Outcome::Delivered
        }
    });
    let names: Vec<String> = (0..400).map(|n| format!("{}{n}", ["a", "b", "c", "d", "e"][n % 5])).collect();
    let demand = Demand { min: 0, max: 1, ..Demand::default() };
    let pipeline = Pipeline::builder("app", Log::of(&names.join(" ")))
        .subscribe(from_start("x", sink).demand(demand))
        .seed(1)
        .build()
        .unwrap();
    let summary = pipeline.run_until(never()).await.unwrap();
    assert_eq!((summary.subscriptions["x"].delivered, most.load(AtomicOrdering::SeqCst)), (400, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_record_lets_the_others_run_ahead_so_far_and_no_further() {
    let collect = Collect::default();
    let sink = collect.sink(|text, _| if text == "z0" { Outcome::Retry } else { Outcome::Delivered });
    let names: Vec<String> = (0..100).map(|n| format!("{}{n}", char::from(b'a' + n % 20))).collect();
    let demand = Demand { min: 0, max: 1, max_ahead: 40, ..Demand::default() };
    let retry = RetryPolicy { attempts: NonZeroU32::new(6), ..RetryPolicy::default() };
    let pipeline = Pipeline::builder("app", Log::of(&format!("z0 {}", names.join(" "))))
        .subscribe(from_start("x", sink).demand(demand).retry(retry).on_reject(OnReject::Skip))
        .build()
        .unwrap();
    let summary = pipeline.run_until(never()).await.unwrap();
    assert_eq!((summary.subscriptions["x"].delivered, summary.subscriptions["x"].skipped), (100, 1));
    let text = collect.text();
    let last = text.split(' ').collect::<Vec<_>>().iter().rposition(|text| *text == "z0!").unwrap();
    assert_eq!(last - 5, 39, "records delivered before the stuck one was given up: {text}");
}

#[test]
fn misconfigurations_are_refused_with_the_field_and_the_way_out() {
    let refuse = |change: fn(Subscription) -> Subscription| {
        let subscription = change(Subscription::new("audit", handler(|_| async {})));
        Pipeline::builder("app", Log::of("")).subscribe(subscription).build().unwrap_err().to_string()
    };
    let messages: BTreeSet<String> = [
        refuse(|s| s.demand(Demand { min: 9, max: 9, ..Demand::default() })),
        refuse(|s| s.batch(BatchPolicy::of(2_000))),
        refuse(|s| s.batch(BatchPolicy::of(0))),
        refuse(|s| s.channels(Vec::<String>::new())),
        refuse(|s| s.retry(RetryPolicy { cap: Duration::ZERO, ..RetryPolicy::default() })),
    ]
    .into();
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().all(|message| message.starts_with("subscription \"audit\": ")), "{messages:#?}");
    let builder = || Pipeline::builder("app", Log::of(""));
    assert!(builder().build().unwrap_err().to_string().contains("no subscription"));
    let twice = || Subscription::new("x", handler(|_| async {}));
    assert!(
        builder().subscribe(twice()).subscribe(twice()).build().unwrap_err().to_string().contains("two subscriptions")
    );
    let sink: Arc<dyn crate::Sink> = Arc::new(handler(|_| async {}));
    let own = Subscription { sink: Arc::clone(&sink), ..twice() }.on_reject(OnReject::DeadLetter(sink));
    assert!(builder().subscribe(own).build().unwrap_err().to_string().contains("the sink itself"));
}
