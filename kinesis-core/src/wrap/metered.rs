//! Counts what is asked of a source and what it answers, into a [`Meter`].

use std::num::NonZeroUsize;

use async_trait::async_trait;

use super::Meter;
use crate::error::Result;
use crate::limit::LimiterStatus;
use crate::shard::{Shard, ShardId, StartPosition, StreamId};
use crate::source::{Batch, ShardReader, SourceCaps, StreamSource};

/// A source that counts into a [`Meter`].
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// Wraps `inner`. Keep a clone of `meter` to read it.
    pub const fn new(inner: S, meter: Meter) -> Self {
        Self { inner, meter }
    }

    /// The source inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Takes the source out.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StreamSource> StreamSource for Metered<S> {
    fn stream(&self) -> &StreamId {
        self.inner.stream()
    }

    fn caps(&self) -> SourceCaps {
        self.inner.caps()
    }

    fn limiter(&self, shard: &ShardId) -> Option<LimiterStatus> {
        self.inner.limiter(shard)
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        self.meter.list(self.inner.list_shards()).await
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let inner = self.meter.open(self.inner.open_shard(shard, from)).await?;
        Ok(Box::new(MeteredReader { inner, meter: self.meter.clone() }))
    }
}

#[derive(Debug)]
struct MeteredReader {
    inner: Box<dyn ShardReader>,
    meter: Meter,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ShardReader for MeteredReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        self.meter.read(self.inner.next_batch(max)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::wrap::scripted::{MANY, Scripted, batch, fails, hangs};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn calls_records_bytes_errors_and_time_are_counted() {
        let script = Scripted::new(["0"])
            .then("0", batch([(1, 100), (2, 20)]))
            .then("0", fails(Error::throttled(None, "slow down")))
            .then("0", hangs())
            .then("0", batch([(3, 3)]));
        let meter = Meter::default();
        let source = Metered::new(script, meter.clone());
        source.list_shards().await.unwrap();
        let mut reader = source.open_shard(&ShardId::from("0"), StartPosition::TrimHorizon).await.unwrap();
        assert!(source.open_shard(&ShardId::from("1"), StartPosition::TrimHorizon).await.is_err());
        reader.next_batch(MANY).await.unwrap();
        assert!(reader.next_batch(MANY).await.is_err());
        assert!(timeout(Duration::from_secs(2), reader.next_batch(MANY)).await.is_err());
        drop(reader.next_batch(MANY));
        reader.next_batch(MANY).await.unwrap();

        let metrics = meter.snapshot();
        assert_eq!((metrics.lists.begun, metrics.opens.begun, metrics.reads.begun), (1, 2, 4));
        assert_eq!((metrics.records, metrics.bytes), (3, 123 + 3 * "key".len() as u64));
        assert_eq!(metrics.reads.errors, [("throttled", 1)].into());
        assert_eq!(metrics.opens.errors, [("not-found", 1)].into());
        assert_eq!((metrics.reads.cancelled, metrics.reads.time), (1, Duration::from_secs(2)));
        assert_eq!(metrics, source.meter.snapshot());
        drop(source.into_inner());
    }
}
