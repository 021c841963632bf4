//! The suite for sources over every wrapper of the core, bare and nested.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::source::{Caps, Harness};
use kinesis_core::conformance::{self, Report};
use kinesis_core::limit::Limits;
use kinesis_core::wrap::{Meter, Metered, Retrying, Throttled};
use kinesis_core::{RetryPolicy, SequenceNumber, ShardId, StreamSource};
use kinesis_mock::{MemoryStream, ReadLimits};

struct Wrapped {
    stream: MemoryStream,
    source: Arc<dyn StreamSource>,
    caps: Caps,
}

#[async_trait]
impl Harness for Wrapped {
    fn source(&self) -> Arc<dyn StreamSource> {
        Arc::clone(&self.source)
    }

    fn caps(&self) -> Caps {
        self.caps
    }

    async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
        self.stream.put(key, data).expect("the suite's records are within the limits")
    }

    async fn split(&self, shard: &ShardId) {
        self.stream.split(shard).expect("the suite splits open shards");
    }

    async fn merge(&self, a: &ShardId, b: &ShardId) {
        self.stream.merge(a, b).expect("the suite merges neighbours");
    }

    async fn trim(&self, _: &ShardId, through: &SequenceNumber) {
        self.stream.trim(*through);
    }
}

async fn report<S: StreamSource>(limits: Option<ReadLimits>, caps: Caps, wrap: impl Fn(MemoryStream) -> S) -> Report {
    let caps = caps.with_reshard().with_trim().with_refuses_trimmed();
    conformance::source_report(async || {
        let stream = MemoryStream::builder("wrapped").shards(4);
        let stream = limits.into_iter().fold(stream, |stream, limits| stream.read_limits(limits)).build();
        Wrapped { source: Arc::new(wrap(stream.clone())), stream, caps }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_metered_source_conforms() {
    let meter = Meter::default();
    report(None, Caps::none().with_virtual_time(), |stream| Metered::new(stream, meter.clone())).await.assert_kept();
    let metrics = meter.snapshot();
    assert!(metrics.records > 1_000 && metrics.opens.errors.contains_key("not-found"), "{metrics:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retrying_source_conforms() {
    let wrap = |stream| Retrying::new(stream, RetryPolicy::default()).with_seed(1);
    report(None, Caps::none().with_virtual_time(), wrap).await.assert_kept();
}

/// A throttled source takes its time by design, which is all that it declares less.
#[tokio::test(start_paused = true)]
async fn a_throttled_source_conforms_on_its_own_time() {
    report(None, Caps::none(), |stream| Throttled::new(stream, Limits::kinesis_shard())).await.assert_kept();
}

#[tokio::test(start_paused = true)]
async fn within_its_limits_a_throttled_source_is_not_turned_away_and_all_wrappers_together_conform() {
    let (asked, sent) = (Meter::default(), Meter::default());
    let wrap = |stream| {
        let inner = Throttled::new(Metered::new(stream, sent.clone()), Limits::kinesis_shard());
        Metered::new(Retrying::new(inner, RetryPolicy::default()).with_seed(1), asked.clone())
    };
    report(Some(ReadLimits::aws()), Caps::none(), wrap).await.assert_kept();
    let (asked, sent) = (asked.snapshot(), sent.snapshot());
    assert_eq!((sent.records, sent.reads.errors.len()), (asked.records, 0), "{sent:?}");
    assert!(sent.reads.begun < asked.reads.begun, "reads that were dropped while they waited were sent: {sent:?}");
}
