//! What cannot work is refused before anything runs: at `build`, and at `attach` while it runs.

use super::*;
use crate::SourceCaps;

fn plain() -> Subscription {
    Subscription::new("audit", handler(|_| async {}))
}

fn demand(change: impl Fn(&mut Demand)) -> Subscription {
    let mut demand = Demand::default();
    change(&mut demand);
    plain().demand(demand)
}

fn batch(change: impl Fn(&mut BatchPolicy)) -> Subscription {
    let mut batch = BatchPolicy::default();
    change(&mut batch);
    plain().batch(batch)
}

fn retry(change: impl Fn(&mut RetryPolicy)) -> Subscription {
    let mut retry = RetryPolicy::default();
    change(&mut retry);
    plain().retry(retry)
}

/// What is refused of a subscription, with the field, the value and the way out that the error has to name.
fn refusals() -> Vec<(Subscription, &'static str, &'static str, &'static str)> {
    let own: Arc<dyn crate::Sink> = Arc::new(handler(|_| async {}));
    let to_itself = Subscription { sink: Arc::clone(&own), ..plain() }.on_reject(OnReject::DeadLetter(own));
    let number = StartPosition::After(SequenceNumber::from(77));
    let named = |name: &str| Subscription { name: name.into(), ..plain() };
    vec![
        (named(" "), "name", "empty", "another one"),
        (named(&"n".repeat(257)), "name", "257", "shorten"),
        (plain().channels(Vec::<String>::new()), "`channels`", "empty", "leave it out"),
        (plain().start_at(number), "`start_at`", "77", "`Handle::seek_shard`"),
        (demand(|demand| demand.max = 0), "`demand.max`", "0", "at least 1"),
        (demand(|demand| demand.max_bytes = 0), "`demand.max_bytes`", "0", "at least 1"),
        (demand(|demand| demand.max_ahead = 0), "`demand.max_ahead`", "0", "at least 1"),
        (demand(|demand| (demand.min, demand.max) = (9, 9)), "`demand.min`", "9", "`demand.max`"),
        (demand(|demand| demand.max_ahead = 999), "`demand.max`", "1000", "`demand.max_ahead`"),
        (batch(|batch| batch.max_records = 0), "`batch.max_records`", "0", "at least 1"),
        (batch(|batch| batch.max_records = 1_001), "`batch.max_records`", "1001", "`demand.max`"),
        (batch(|batch| batch.max_bytes = 0), "`batch.max_bytes`", "0", "at least 1"),
        (batch(|batch| batch.max_bytes = 9 << 20), "`batch.max_bytes`", "9437184", "`demand.max_bytes`"),
        (plain().cap(0), "`cap`", "0", "at least 1"),
        (plain().cap((1 << 20) + 1), "`cap`", "1048577", "`byte_budget`"),
        (retry(|retry| retry.cap = Duration::from_millis(1)), "`retry.base`", "200ms", "lower the one"),
        (retry(|retry| retry.max_age = Duration::ZERO), "`retry.max_age`", "0", "`retry.attempts`"),
        (to_itself, "`on_reject`", "the sink itself", "use another one"),
    ]
}

fn assert_refused(error: &Error, name: &str, says: [&str; 3]) {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("subscription {name:?}: ")), "{text}");
    for what in says {
        assert!(text.contains(what), "{what:?} is missing: {text}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_the_subscription_the_field_the_value_and_the_way_out() {
    for (subscription, field, value, way_out) in refusals() {
        let name = subscription.name().to_string();
        let builder = Pipeline::builder("app", Log::of("")).byte_budget(1 << 20);
        let error = builder.subscribe(subscription).build().unwrap_err();
        assert_refused(&error, &name, [field, value, way_out]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_build_refuses_is_refused_to_whoever_attaches_and_the_run_goes_on() {
    let log = Log::of("a1");
    log.shard(Shard::new("1"), "");
    let collect = Collect::default();
    let pipeline = Pipeline::builder("app", log).byte_budget(1 << 20).subscribe(from_start("x", collect.sink(all)));
    let pipeline = pipeline.build().unwrap();
    let handle = pipeline.handle();
    let run = tokio::spawn(pipeline.run_until(tokio::time::sleep(Duration::from_secs(60))));
    for (subscription, field, value, way_out) in refusals() {
        let name = subscription.name().to_string();
        assert_refused(&handle.attach(subscription).await.unwrap_err(), &name, [field, value, way_out]);
    }
    run.await.unwrap().unwrap();
    assert_eq!(collect.text(), "a1");
}

#[test]
fn a_pipeline_that_cannot_work_is_refused() {
    let builder = || Pipeline::builder("app", Log::of(""));
    let refused = |builder: PipelineBuilder, says: [&str; 2]| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(says.iter().all(|what| error.to_string().contains(what)), "{error}");
    };
    refused(Pipeline::builder(" ", Log::of("")), ["application", "no name"]);
    refused(builder().byte_budget(0), ["`byte_budget` is 0", "at least 1"]);
    refused(builder().commit_every(Duration::ZERO), ["commit_every is 0", "longer"]);
    refused(builder().failover(Duration::ZERO), ["failover is 0", "longer"]);
    refused(builder().subscribe(plain()).subscribe(plain()), ["\"audit\"", "names must differ"]);
    assert!(builder().build().is_ok(), "subscriptions may be attached later");
}

/// A log that knows no times.
#[derive(Debug)]
struct Timeless(Log);

#[async_trait]
impl StreamSource for Timeless {
    fn stream(&self) -> &StreamId {
        self.0.stream()
    }
    fn caps(&self) -> SourceCaps {
        SourceCaps::log().with_timestamps(false)
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        self.0.list_shards().await
    }
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        match from {
            StartPosition::Timestamp(_) => Err(Error::unsupported("no times here")),
            from => self.0.open_shard(shard, from).await,
        }
    }
}

/// It was taken, and the first read ended the run for everybody.
#[tokio::test(start_paused = true)]
async fn a_start_at_a_time_is_refused_where_the_source_knows_none() {
    let at = || plain().start_at(StartPosition::Timestamp(std::time::UNIX_EPOCH));
    let log = Log::of("a1");
    log.shard(Shard::new("1"), "");
    let error = Pipeline::builder("app", Timeless(log.clone())).subscribe(at()).build().unwrap_err();
    assert_refused(&error, "audit", ["`start_at`", "a time", "start elsewhere"]);
    let pipeline = Pipeline::builder("app", Timeless(log)).subscribe(from_start("x", handler(|_| async {})));
    let pipeline = pipeline.build().unwrap();
    let handle = pipeline.handle();
    let run = tokio::spawn(pipeline.run_until(tokio::time::sleep(Duration::from_secs(60))));
    let error = handle.attach(at()).await.unwrap_err();
    assert_refused(&error, "audit", ["`start_at`", "a time", "start elsewhere"]);
    let sought = handle.seek("x", StartPosition::Timestamp(std::time::UNIX_EPOCH)).await.unwrap_err();
    assert_eq!(sought.kind(), ErrorKind::Unsupported);
    run.await.unwrap().unwrap();
}
