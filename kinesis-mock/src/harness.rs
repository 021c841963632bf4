//! The harness with which whatever reads a memory stream runs the conformance suite for sources.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::source::{Caps, Fault as Wanted, Harness};
use kinesis_core::{SequenceNumber, ShardId, StreamSource};

use crate::{Call, Fault, Faults, MemoryStream};

/// Runs the suite for a source that reads a [`MemoryStream`], by whatever way: the stream itself, a wrapper, or a client
/// through the wire. Needs a paused clock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use kinesis_core::conformance;
/// use kinesis_mock::{Faults, Faulty, MemoryHarness, MemoryStream};
///
/// conformance::source(async || {
///     let (stream, faults) = (MemoryStream::new("orders", 2), Faults::none());
///     let source = Faulty::new(stream.clone(), faults.clone());
///     MemoryHarness::new(stream, source).with_faults(faults)
/// })
/// .await;
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryHarness {
    stream: MemoryStream,
    source: Arc<dyn StreamSource>,
    faults: Option<Faults>,
    caps: Caps,
}

impl MemoryHarness {
    /// Checks `source`, which reads `stream`.
    pub fn new(stream: MemoryStream, source: impl StreamSource) -> Self {
        let caps = Caps::none().with_reshard().with_trim().with_refuses_trimmed().with_virtual_time();
        Self { stream, source: Arc::new(source), faults: None, caps }
    }

    /// Makes the suite's faults happen through this plan, of a [`Faulty`](crate::Faulty) below or in `source`.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self.caps = self.caps.with_faults();
        self
    }

    /// Declares other abilities, for a source that can do less than the stream.
    #[must_use]
    pub const fn with_caps(mut self, caps: Caps) -> Self {
        self.caps = caps;
        self
    }
}

#[async_trait]
impl Harness for MemoryHarness {
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

    async fn fail(&self, fault: Wanted) {
        let fault = match fault {
            Wanted::Throttled => Fault::Throttle { retry_after: None },
            Wanted::Permanent => Fault::Break,
            _ => Fault::Fail,
        };
        self.faults.as_ref().expect("faults are declared where there is a plan").next(Call::Read, fault);
    }
}
