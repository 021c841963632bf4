//! Which records come, in which order, and how many together.

use super::*;

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
