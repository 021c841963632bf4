//! A subscription that halts stops everywhere, and nobody else does.

use super::*;

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
