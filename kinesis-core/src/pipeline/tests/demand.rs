//! What is in flight never exceeds what was asked for.

use super::*;

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
