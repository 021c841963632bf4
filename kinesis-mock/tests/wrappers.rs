//! The suite for sources over every wrapper of the core, by itself and all together.

use std::sync::Arc;

use kinesis_core::conformance::source::Caps;
use kinesis_core::conformance::{self, Report};
use kinesis_core::limit::Limits;
use kinesis_core::wrap::{Meter, Metered, Retrying, Throttled};
use kinesis_core::{RetryPolicy, StreamSource};
use kinesis_mock::{Faults, Faulty, MemoryHarness, MemoryStream, Odds, ReadLimits};

fn stream() -> MemoryStream {
    MemoryStream::new("wrapped", 4)
}

/// What a source over a memory stream can do when it takes its time.
fn unhurried() -> Caps {
    Caps::none().with_reshard().with_trim().with_refuses_trimmed()
}

/// Runs the suite on what `wrap` makes of a stream whose faults the suite can switch on.
async fn report<S: StreamSource>(wrap: impl Fn(Faulty<MemoryStream>) -> S) -> Report {
    conformance::source_report(async || {
        let (stream, faults) = (stream(), Faults::none());
        MemoryHarness::new(stream.clone(), wrap(Faulty::new(stream, faults.clone()))).with_faults(faults)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_metered_source_conforms_as_a_value_and_behind_a_pointer() {
    let meter = Meter::default();
    let bare = report(|source| Metered::new(source, meter.clone())).await;
    let erased = report(|source| Metered::new(Arc::new(source) as Arc<dyn StreamSource>, Meter::default())).await;
    for report in [bare, erased] {
        report.assert_kept();
        assert_eq!(report.skipped(), [""; 0]);
    }
    let metrics = meter.snapshot();
    assert!(metrics.records > 1_000, "{metrics:?}");
    assert!(metrics.reads.errors.contains_key("throttled") && metrics.opens.errors.contains_key("not-found"));
}

#[tokio::test(start_paused = true)]
async fn a_retrying_source_conforms_whatever_fails_in_passing() {
    for seed in 0..10 {
        conformance::source(async || {
            let odds = Odds { throttle: 0.1, fail: 0.1, ..Odds::none() };
            let (stream, faults) = (stream(), Faults::seeded(seed, odds));
            let source = Retrying::new(Faulty::new(stream.clone(), faults), RetryPolicy::default()).with_seed(seed);
            MemoryHarness::new(stream, source).with_caps(unhurried())
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_source_conforms_but_takes_its_time() {
    let report = report(|source| Throttled::new(source, Limits::kinesis_shard())).await;
    assert_eq!(report.broken(), ["T1"], "T1 says that a read takes no time, and a limiter is there to take some");
}

#[tokio::test(start_paused = true)]
async fn all_wrappers_together_conform_and_are_never_turned_away_by_the_limit_that_they_keep() {
    let (asked, sent) = (Meter::default(), Meter::default());
    conformance::source(async || {
        let stream = MemoryStream::builder("wrapped").shards(4).read_limits(ReadLimits::aws()).build();
        let inner = Throttled::new(Metered::new(stream.clone(), sent.clone()), Limits::kinesis_shard());
        let source = Metered::new(Retrying::new(inner, RetryPolicy::default()).with_seed(1), asked.clone());
        MemoryHarness::new(stream, source).with_caps(unhurried())
    })
    .await;
    let (asked, sent) = (asked.snapshot(), sent.snapshot());
    assert_eq!((sent.records, sent.reads.errors.len()), (asked.records, 0), "{sent:?}");
    assert!(sent.reads.begun < asked.reads.begun, "reads that were dropped while they waited were sent: {sent:?}");
}
