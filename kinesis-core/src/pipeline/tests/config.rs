//! What cannot work is refused before anything runs.

use super::*;

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
    let twice = || Subscription::new("x", handler(|_| async {}));
    assert!(
        builder().subscribe(twice()).subscribe(twice()).build().unwrap_err().to_string().contains("two subscriptions")
    );
    let sink: Arc<dyn crate::Sink> = Arc::new(handler(|_| async {}));
    let own = Subscription { sink: Arc::clone(&sink), ..twice() }.on_reject(OnReject::DeadLetter(sink));
    assert!(builder().subscribe(own).build().unwrap_err().to_string().contains("the sink itself"));
}
