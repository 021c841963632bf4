//! Keeps a source within a limit: each call waits for its shard's limiter, and an answer is paid for.

use std::num::NonZeroUsize;

use async_trait::async_trait;

use crate::error::Result;
use crate::limit::{Limiter, LimiterStatus, ShardLimiters};
use crate::record::Record;
use crate::shard::{Shard, ShardId, StartPosition, StreamId};
use crate::source::{Batch, ShardReader, SourceCaps, StreamSource};

/// A source that is asked no more often, and for no more bytes, than its limiters allow.
///
/// Limiters are kept by shard id, so that opening a shard anew does not fill its bucket. A read that is dropped while
/// it waits takes nothing; one that is dropped later has cost its call.
#[derive(Debug)]
pub struct Throttled<S> {
    inner: S,
    limiters: ShardLimiters,
}

impl<S> Throttled<S> {
    /// Wraps `inner`: in limiters of its own, given [`Limits`](crate::limit::Limits), or in
    /// [`ShardLimiters`] that it shares with another source over the same stream.
    pub fn new(inner: S, limiters: impl Into<ShardLimiters>) -> Self {
        Self { inner, limiters: limiters.into() }
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
impl<S: StreamSource> StreamSource for Throttled<S> {
    fn stream(&self) -> &StreamId {
        self.inner.stream()
    }

    fn caps(&self) -> SourceCaps {
        self.inner.caps()
    }

    fn limiter(&self, shard: &ShardId) -> Option<LimiterStatus> {
        Some(self.limiters.reading(shard).status())
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        self.limiters.listing().acquire().await;
        let shards = self.inner.list_shards().await?;
        self.limiters.keep_listed(&shards);
        Ok(shards)
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        self.limiters.opening(shard).acquire().await;
        let inner = self.inner.open_shard(shard, from).await?;
        Ok(Box::new(ThrottledReader { inner, limiter: self.limiters.reading(shard) }))
    }
}

#[derive(Debug)]
struct ThrottledReader {
    inner: Box<dyn ShardReader>,
    limiter: Limiter,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ShardReader for ThrottledReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        self.limiter.acquire().await;
        let batch = self.inner.next_batch(max).await?;
        self.limiter.charge(batch.records.iter().map(Record::size).sum());
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Limits;
    use crate::wrap::scripted::{MANY, Scripted, batch, empty, hangs};
    use std::time::Duration;
    use tokio::time::timeout;

    const SHARD: &str = "0";

    async fn open<S: StreamSource>(source: &S) -> Box<dyn ShardReader> {
        source.open_shard(&ShardId::from(SHARD), StartPosition::TrimHorizon).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn reads_of_a_shard_keep_their_distance_even_when_it_is_opened_anew() {
        let source = Throttled::new(Scripted::new([SHARD]), Limits::kinesis_shard());
        for _ in 0..2 {
            let mut reader = open(&source).await;
            for _ in 0..2 {
                reader.next_batch(MANY).await.unwrap();
            }
        }
        assert_eq!(
            source.get_ref().log(),
            ["0 open 0", "0 read 0", "200 read 0", "200 open 0", "400 read 0", "600 read 0"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_answer_is_paid_for_by_the_next_read() {
        let script = Scripted::new([SHARD]).then(SHARD, batch([(1, 4_000_000 - "key".len())])).then(SHARD, empty());
        let source = Throttled::new(script, Limits::kinesis_shard());
        let mut reader = open(&source).await;
        for _ in 0..3 {
            reader.next_batch(MANY).await.unwrap();
        }
        assert_eq!(source.into_inner().log(), ["0 open 0", "0 read 0", "2000 read 0", "2200 read 0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_is_dropped_while_it_waits_takes_nothing_but_one_that_began_costs_its_call() {
        let script = Scripted::new([SHARD]).then(SHARD, hangs()).then(SHARD, empty());
        let source = Throttled::new(script, Limits::kinesis_shard());
        let mut reader = open(&source).await;
        // The first of these begins to read and hangs; the others wait for the limiter and never come to it.
        for _ in 0..5 {
            assert!(timeout(Duration::from_millis(20), reader.next_batch(MANY)).await.is_err());
        }
        reader.next_batch(MANY).await.unwrap();
        assert_eq!(source.get_ref().log(), ["0 open 0", "0 read 0", "200 read 0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn sources_that_share_limiters_stay_within_one_limit() {
        let limiters = ShardLimiters::new(Limits::kinesis_shard());
        let one = Throttled::new(Scripted::new([SHARD]), limiters.clone());
        let other = Throttled::new(Scripted::new([SHARD]), limiters);
        one.list_shards().await.unwrap();
        other.list_shards().await.unwrap();
        assert_eq!(other.get_ref().log(), ["200 list"]);
    }
}
