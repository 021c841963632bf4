//! What is asked of a pipeline while it runs, to the tick.

use tokio::sync::Semaphore;

use super::*;

/// A sink that takes one record a permit, and keeps what it has taken.
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

/// The lane of a seek got the id of the lane before it. A report of that one that was under way settled what the new one
/// had just sent off: the cursor passed a record that the sink had not taken again.
#[tokio::test(start_paused = true)]
async fn a_report_of_a_lane_that_is_gone_settles_nothing_of_the_next_one() {
    let (permits, collect, store) = (Arc::new(Semaphore::new(0)), Collect::default(), MemoryLeaseStore::default());
    let build = |sink: Box<dyn crate::Sink>| {
        let subscription = from_start("x", sink).ordering(Ordering::PerShard);
        Pipeline::builder("app", Log::of("a1 a2 a3"))
            .leases(store.clone())
            .drain_within(Duration::from_secs(1))
            .subscribe(subscription)
            .build()
            .unwrap()
    };
    let pipeline = build(Box::new(metered(&permits, &collect)));
    let handle = pipeline.handle();
    let run = tokio::spawn(pipeline.run_until(tokio::time::sleep(Duration::from_secs(5))));
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Both arrive at the runner in the same tick.
    let (sought, ()) = tokio::join!(handle.seek("x", StartPosition::TrimHorizon), async { permits.add_permits(1) });
    sought.unwrap();
    run.await.unwrap().unwrap();
    assert_eq!(collect.text(), "a1", "the first lane's only delivery");
    build(Box::new(collect.sink(all))).run_until(never()).await.unwrap();
    assert_eq!(collect.text(), "a1 a1 a2 a3", "everything comes again after the seek");
}
