//! What is asked of a pipeline while it runs, to the tick.

use tokio::sync::Semaphore;

use super::*;

/// A sink that takes one record a permit, and keeps what it has taken, each with how often it had been asked by then.
fn metered(permits: &Arc<Semaphore>, taken: &Arc<Mutex<Vec<(u64, String)>>>) -> impl crate::Sink + use<> {
    let (permits, taken, asked) = (Arc::clone(permits), Arc::clone(taken), Arc::new(AtomicU64::new(0)));
    handler(move |record: Record| {
        let (permits, taken) = (Arc::clone(&permits), Arc::clone(&taken));
        let nth = asked.fetch_add(1, AtomicOrdering::SeqCst) + 1;
        async move {
            permits.acquire().await.unwrap().forget();
            taken.lock().unwrap().push((nth, String::from_utf8_lossy(&record.data).into_owned()));
        }
    })
}

/// The lane of a seek got the id of the lane before it. A report of that one that was under way settled what the new one
/// had just sent off: the cursor passed a record that the sink had not taken again.
#[tokio::test(start_paused = true)]
async fn a_report_of_a_lane_that_is_gone_settles_nothing_of_the_next_one() {
    // The report and the new lane arrive at the runner in the same tick, one before the other or behind it.
    for ticks in 0..12 {
        let (permits, taken, store) = (Arc::new(Semaphore::new(0)), Arc::default(), MemoryLeaseStore::default());
        // One that is stuck at the first record keeps the others in the ring.
        let demand = Demand { min: 0, max: 1, max_ahead: 1, ..Demand::default() };
        let stuck = || from_start("stuck", handler(|_| std::future::pending::<()>())).demand(demand);
        let build = |sink: Box<dyn crate::Sink>| {
            Pipeline::builder("app", Log::of("a1 a2 a3"))
                .leases(store.clone())
                .drain_within(Duration::from_secs(1))
                .subscribe(from_start("x", sink).ordering(Ordering::PerShard))
                .subscribe(stuck())
                .build()
                .unwrap()
        };
        let pipeline = build(Box::new(metered(&permits, &taken)));
        let handle = pipeline.handle();
        let run = tokio::spawn(pipeline.run_until(tokio::time::sleep(Duration::from_secs(5))));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (first, second) = (ticks % 4, ticks / 4);
        let (sought, ()) = tokio::join!(
            async {
                for _ in 0..first {
                    tokio::task::yield_now().await;
                }
                handle.seek("x", StartPosition::TrimHorizon).await
            },
            async {
                for _ in 0..second {
                    tokio::task::yield_now().await;
                }
                permits.add_permits(1);
            }
        );
        sought.unwrap();
        run.await.unwrap().unwrap();
        let by_the_old_lane = taken.lock().unwrap()[0].0 == 1;
        let collect = Collect::default();
        build(Box::new(collect.sink(all))).run_until(tokio::time::sleep(Duration::from_secs(60))).await.unwrap();
        let wanted = if by_the_old_lane { "a1 a2 a3" } else { "a2 a3" };
        assert_eq!(collect.text(), wanted, "{ticks}: what the old lane delivered comes again after the seek");
    }
}

/// It was written down first and opened then: what the source refused ended the run, for everybody and again after each
/// restart.
#[tokio::test(start_paused = true)]
async fn a_place_that_the_source_refuses_is_refused_to_whoever_seeks_it_and_the_run_goes_on() {
    let log = Log::of("");
    log.shard(Shard::new("0"), "a1 a2");
    let collect = Collect::default();
    let pipeline = Pipeline::builder("app", log).subscribe(from_start("x", collect.sink(all))).build().unwrap();
    let handle = pipeline.handle();
    let run = tokio::spawn(pipeline.run_until(tokio::time::sleep(Duration::from_secs(20))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let nowhere = StartPosition::At(SequenceNumber::from(Log::HIGHEST + 1));
    let refused = handle.seek_shard("x", &"0".into(), nowhere).await.unwrap_err();
    assert_eq!((refused.kind(), refused.shard().map(|shard| &**shard)), (ErrorKind::Invalid, Some("0")));
    handle.seek_shard("x", &"0".into(), StartPosition::After(0u64.into())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(collect.text(), "a1 a2 a2");
    run.await.unwrap().unwrap();
}
