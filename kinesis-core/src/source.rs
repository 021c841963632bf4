//! The source side: a stream that lists its shards, and readers that read one shard each.
//!
//! These two traits are the contract between a backend and the pipeline. Implementing them takes no clock, no task and
//! no lease: pacing belongs to the feed, limits to [`wrap::Throttled`](crate::wrap::Throttled), ownership to the worker.

use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::error::Result;
use crate::limit::LimiterStatus;
use crate::record::Record;
use crate::shard::{Shard, ShardId, StartPosition, StreamId};

/// A stream of records in shards that any number of readers can read.
///
/// # Contract
///
/// [`conformance::source`](crate::conformance) proves these rules for an implementation:
///
/// 1. A reader never answers more than `max` records. An empty batch is an answer: neither an error nor the end.
/// 2. A reader that can wait for records may park until there are some, and declares [`SourceCaps::parks`]. One that
///    polls answers empty at once. Neither paces itself: the feed alone owns the idle interval.
/// 3. Dropping the future of a read loses nothing.
/// 4. An error does not move the cursor: the next read continues where the last success ended.
/// 5. [`StartPosition::Latest`] is fixed when `open_shard` returns. A reader that has to re-open its backend before its
///    first record re-opens at that instant, never at the new tip. Its first read answers at once, records or not, with
///    that place as [`Batch::resume`], even where it parks afterwards: so a start at the tip can be written down.
/// 6. Sequence numbers strictly increase within a reader.
/// 7. After the end comes the same end again: empty batches with the same children.
/// 8. Payloads are never copied: cloning a record shares them.
/// 9. One stored record that expands to several (an aggregate) may have more than `max`: the reader holds the rest.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StreamSource: Debug + Send + Sync + 'static {
    /// Which stream this is. Part of every stored key.
    fn stream(&self) -> &StreamId;

    /// What this source can do; the default suits a replayable log.
    fn caps(&self) -> SourceCaps {
        SourceCaps::default()
    }

    /// How the limiter of the shard's reads stands, where the source has one: for whoever asks for a pipeline's status.
    fn limiter(&self, shard: &ShardId) -> Option<LimiterStatus> {
        let _ = shard;
        None
    }

    /// Lists every shard still retained, closed ones included.
    ///
    /// # Errors
    ///
    /// Whatever keeps the backend from answering; [`NotFound`](crate::ErrorKind::NotFound) when the stream is missing.
    async fn list_shards(&self) -> Result<Vec<Shard>>;

    /// Opens a reader on `shard` at `from`. The position is fixed when this returns.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) for an unknown shard (here or at the first read),
    /// [`PositionExpired`](crate::ErrorKind::PositionExpired) for a position that was trimmed, unless the source starts
    /// at the horizon then, [`Unsupported`](crate::ErrorKind::Unsupported) for a timestamp it cannot look up.
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>>;
}

/// A cursor in one shard that reads forward.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ShardReader: Debug + Send + 'static {
    /// Reads up to `max` records from the cursor on and moves the cursor behind them.
    ///
    /// # Errors
    ///
    /// Retryable kinds may be followed by another call, which continues where the last success ended. A permanent
    /// error repeats; it does not turn into an empty batch.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready moves nothing: the next call answers what this one would have answered.
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch>;
}

/// What a source can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceCaps {
    /// Whether old records can be read again by opening at their position. A pipe cannot; a log can.
    pub replayable: bool,
    /// Whether [`StartPosition::Timestamp`] works; then records carry their time of arrival.
    pub timestamps: bool,
    /// Whether a read waits for records by itself, so that no idle interval is needed.
    pub parks: bool,
    /// Whether opening or reading at a position fails with [`PositionExpired`](crate::ErrorKind::PositionExpired) when
    /// records behind it were trimmed. Where it does not, as with Kinesis, which goes on at the horizon without a word,
    /// the pipeline asks for the last record again to find out.
    pub refuses_trimmed: bool,
    /// The least time for which the stream keeps a record, where that is known: 24 hours on Kinesis (quotas page of its
    /// developer guide). A record that is gone of such an age tells nothing of younger ones; and a reader further behind
    /// than this is opened anew for every read, where trimming is not refused, so that no gap is overlooked.
    pub retains: Option<Duration>,
}

impl Default for SourceCaps {
    fn default() -> Self {
        Self { replayable: true, timestamps: true, parks: false, refuses_trimmed: false, retains: None }
    }
}

impl SourceCaps {
    /// The caps of a replayable log with timestamps that polls.
    #[must_use]
    pub fn log() -> Self {
        Self::default()
    }

    /// The caps of a pipe: records pass once, without timestamps, and a read waits for them.
    #[must_use]
    pub fn pipe() -> Self {
        Self { replayable: false, timestamps: false, parks: true, refuses_trimmed: false, retains: None }
    }

    /// Sets whether old records can be read again.
    #[must_use]
    pub fn with_replayable(mut self, replayable: bool) -> Self {
        self.replayable = replayable;
        self
    }

    /// Sets whether opening at a timestamp works.
    #[must_use]
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets whether a trimmed position is refused.
    #[must_use]
    pub fn with_refuses_trimmed(mut self, refuses: bool) -> Self {
        self.refuses_trimmed = refuses;
        self
    }

    /// Sets for how long a record is kept at least.
    #[must_use]
    pub fn with_retains(mut self, least: Duration) -> Self {
        self.retains = Some(least);
        self
    }

    /// Sets whether reads wait for records.
    #[must_use]
    pub fn with_parks(mut self, parks: bool) -> Self {
        self.parks = parks;
        self
    }
}

/// What one read returned.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Batch {
    /// The records, in shard order.
    pub records: Vec<Record>,
    /// How far the reader is behind the tip now, where the source knows; zero means caught up.
    pub behind_latest: Option<Duration>,
    /// The end of the shard, with or after its last record.
    pub end: Option<ShardEnd>,
    /// Where to re-open after this batch, when that is better than "after the last record": a reader opened at the tip
    /// says here what it pinned, before it has seen a record. `After` a number only where that is a record of the shard:
    /// it may be asked for again. A place between records is `At` a number.
    pub resume: Option<StartPosition>,
    /// When asking again makes sense, where the source knows.
    pub again: Option<Duration>,
    /// The time at which the stream answered, by its own clock and rounded down, where the source knows.
    pub served_at: Option<SystemTime>,
}

impl Batch {
    /// A batch of these records.
    #[must_use]
    pub fn new(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }

    /// No records: ask again later.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Sets how far the reader is behind the tip.
    #[must_use]
    pub fn with_behind_latest(mut self, behind: Duration) -> Self {
        self.behind_latest = Some(behind);
        self
    }

    /// Marks the end of the shard.
    #[must_use]
    pub fn with_end(mut self, end: ShardEnd) -> Self {
        self.end = Some(end);
        self
    }

    /// Sets where to re-open after this batch.
    #[must_use]
    pub fn with_resume(mut self, resume: StartPosition) -> Self {
        self.resume = Some(resume);
        self
    }

    /// Sets the time at which the stream answered.
    #[must_use]
    pub fn with_served_at(mut self, at: SystemTime) -> Self {
        self.served_at = Some(at);
        self
    }

    /// Sets when asking again makes sense.
    #[must_use]
    pub fn with_again(mut self, again: Duration) -> Self {
        self.again = Some(again);
        self
    }
}

/// The end of a shard: it takes no more records, and these shards carry on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardEnd {
    /// The shards that carry on; empty when the stream itself ends here, or when the source leaves it to the listing.
    pub children: Vec<Shard>,
}

impl ShardEnd {
    /// An end after which `children` carry on.
    #[must_use]
    pub fn new(children: Vec<Shard>) -> Self {
        Self { children }
    }
}

macro_rules! forward_source {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: StreamSource + ?Sized> StreamSource for $pointer<T> {
            fn stream(&self) -> &StreamId {
                (**self).stream()
            }
            fn caps(&self) -> SourceCaps {
                (**self).caps()
            }
            fn limiter(&self, shard: &ShardId) -> Option<LimiterStatus> {
                (**self).limiter(shard)
            }
            async fn list_shards(&self) -> Result<Vec<Shard>> {
                (**self).list_shards().await
            }
            async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
                (**self).open_shard(shard, from).await
            }
        }
    };
}

forward_source!(Arc);
forward_source!(Box);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: ShardReader + ?Sized> ShardReader for Box<T> {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        (**self).next_batch(max).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_traits_are_object_safe() {
        fn source(_: Option<&dyn StreamSource>) {}
        fn reader(_: Option<&mut dyn ShardReader>) {}
        source(None);
        reader(None);
    }
}
