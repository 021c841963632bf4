//! Parents before children, for every subscription at its own time.

use super::*;

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
