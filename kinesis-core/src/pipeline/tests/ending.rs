//! How a run ends: stopped, failed, drained.

use super::*;

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

/// The future of a run could not be spawned: closures that the handle's requests ran through kept it on its thread.
#[tokio::test(start_paused = true)]
async fn a_run_can_be_spawned() {
    let pipeline = Pipeline::builder("app", Log::of("a1")).subscribe(from_start("x", handler(|_| async {})));
    let summary = tokio::spawn(pipeline.build().unwrap().run_until(never())).await.unwrap().unwrap();
    assert_eq!(summary.subscriptions["x"].delivered, 1);
}
