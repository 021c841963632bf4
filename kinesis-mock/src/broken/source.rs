//! Sources that break a rule.

use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{
    Batch, Error, ErrorKind, Result, Shard, ShardEnd, ShardId, ShardReader, SourceCaps, StartPosition, StreamId,
    StreamSource,
};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

super::flaws! {
    /// What is wrong with a [`BrokenSource`].
    SourceFlaw {
        /// A closed shard is not listed.
        HidesClosedShards => "D3",
        /// A shard is its own parent.
        NamesItselfAsParent => "D4",
        /// A reader at the tip finds its place at its first read.
        FindsTheTipLate => "O3",
        /// Opened after a record, it reads that record again.
        RepeatsAtReopening => "O5",
        /// Opened at a time, it passes over what arrived at that time.
        TakesTimesAsAfter => "O8",
        /// An unknown shard is a shard without records.
        InventsShards => "O10",
        /// Trimming is refused without a word about that.
        RefusesUndeclared => "O13",
        /// Trimming is not refused, though that was promised.
        HidesTrimming => "O13",
        /// A place behind which nothing is missing is refused with those where something is.
        RefusesWhatItHas => "O13",
        /// A batch has one record too many.
        ExceedsMax => "R1",
        /// Nothing there is an error.
        FailsWhenEmpty => "R2",
        /// The records of a batch come in reverse.
        ReversesBatches => "R5",
        /// Payloads are taken for text.
        CopiesAsText => "R7",
        /// Partition keys are cut.
        CutsKeys => "R8",
        /// A reader that has read everything is still behind.
        IsAlwaysBehind => "R12",
        /// After a long pause, a reader goes on at the tip.
        RenewsAtTheTip => "R15",
        /// What was read is gone when the read is dropped before it answers.
        MovesOnCancel => "C2",
        /// An error costs a record.
        SkipsOnError => "E1",
        /// Throttling is told as a failure of another kind.
        HidesThrottling => "E2",
        /// An error for good is answered as nothing there.
        SwallowsErrors => "E3",
        /// A closed shard ends with its first batch.
        EndsTooEarly => "S1",
        /// The end comes once only.
        ForgetsTheEnd => "S3",
        /// One of the children is missing at the end.
        LosesAChild => "S4",
        /// A child that is opened at the horizon is read from the tip.
        StartsChildrenAtTheTip => "S5",
        /// A shard without records has no end.
        EndsOnRecordsOnly => "S7",
        /// Nothing there is answered after a pause.
        PausesWhenEmpty => "T1",
    }
}

/// A source that works but for one flaw.
#[derive(Debug, Clone)]
pub struct BrokenSource<S> {
    inner: S,
    flaw: SourceFlaw,
}

impl<S> BrokenSource<S> {
    /// Breaks `inner`.
    pub const fn new(inner: S, flaw: SourceFlaw) -> Self {
        Self { inner, flaw }
    }
}

#[async_trait]
impl<S: StreamSource + Clone> StreamSource for BrokenSource<S> {
    fn stream(&self) -> &StreamId {
        self.inner.stream()
    }

    fn caps(&self) -> SourceCaps {
        let caps = self.inner.caps();
        if self.flaw == SourceFlaw::RefusesUndeclared { caps.with_refuses_trimmed(false) } else { caps }
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        let mut shards = self.inner.list_shards().await?;
        match self.flaw {
            SourceFlaw::HidesClosedShards => shards.retain(|shard| !shard.closed),
            SourceFlaw::NamesItselfAsParent => {
                for shard in &mut shards {
                    shard.parents = vec![shard.id.clone()];
                }
            }
            _ => {}
        }
        Ok(shards)
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let listed = self.inner.list_shards().await?.into_iter().find(|listed| listed.id == *shard);
        let is_child = listed.as_ref().is_some_and(|listed| !listed.parents.is_empty());
        let from = match (self.flaw, from) {
            (SourceFlaw::StartsChildrenAtTheTip, StartPosition::TrimHorizon) if is_child => StartPosition::Latest,
            (SourceFlaw::RepeatsAtReopening, StartPosition::After(number)) => StartPosition::At(number),
            (SourceFlaw::TakesTimesAsAfter, StartPosition::Timestamp(time)) => {
                StartPosition::Timestamp(time + Duration::from_millis(1))
            }
            (SourceFlaw::RefusesWhatItHas, StartPosition::After(number)) => StartPosition::At(number),
            (_, from) => from,
        };
        let inner = match self.inner.open_shard(shard, from).await {
            Err(error) if self.flaw == SourceFlaw::InventsShards && error.kind() == ErrorKind::NotFound => None,
            Err(error) if self.flaw == SourceFlaw::HidesTrimming && error.kind() == ErrorKind::PositionExpired => {
                Some(self.inner.open_shard(shard, StartPosition::TrimHorizon).await?)
            }
            opened => Some(opened?),
        };
        Ok(Box::new(BrokenReader {
            source: self.inner.clone(),
            shard: shard.clone(),
            inner,
            flaw: self.flaw,
            at_tip: self.flaw == SourceFlaw::FindsTheTipLate && from == StartPosition::Latest,
            skip: false,
            seen: false,
            ended: false,
            closed: listed.is_some_and(|listed| listed.closed),
            read_at: Instant::now(),
        }))
    }
}

#[derive(Debug)]
struct BrokenReader<S> {
    source: S,
    shard: ShardId,
    /// Absent for a shard that does not exist.
    inner: Option<Box<dyn ShardReader>>,
    flaw: SourceFlaw,
    /// Whether the tip is still to be found.
    at_tip: bool,
    /// Whether a record is to be lost.
    skip: bool,
    /// Whether there was a record.
    seen: bool,
    ended: bool,
    closed: bool,
    read_at: Instant,
}

#[async_trait]
impl<S: StreamSource> ShardReader for BrokenReader<S> {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let paused = self.read_at.elapsed() > Duration::from_secs(5 * 60);
        self.read_at = Instant::now();
        if std::mem::take(&mut self.at_tip) || (paused && self.flaw == SourceFlaw::RenewsAtTheTip) {
            self.inner = Some(self.source.open_shard(&self.shard, StartPosition::Latest).await?);
        }
        let Some(reader) = &mut self.inner else { return Ok(Batch::empty()) };
        if self.skip {
            reader.next_batch(NonZeroUsize::MIN).await?;
            self.skip = false;
        }
        let max = if self.flaw == SourceFlaw::ExceedsMax { max.saturating_add(1) } else { max };
        let answer = reader.next_batch(max).await;
        match (self.flaw, answer) {
            (SourceFlaw::SkipsOnError, Err(error)) => {
                self.skip = true;
                Err(error)
            }
            (SourceFlaw::HidesThrottling, Err(error)) if error.kind().is_retryable() => {
                Err(Error::transient("something went wrong").because(error))
            }
            (SourceFlaw::SwallowsErrors, Err(error)) if !error.kind().is_retryable() => Ok(Batch::empty()),
            (_, answer) => self.spoil(answer?).await,
        }
    }
}

impl<S> BrokenReader<S> {
    /// What is wrong with an answer.
    async fn spoil(&mut self, mut batch: Batch) -> Result<Batch> {
        let empty = batch.records.is_empty();
        match self.flaw {
            SourceFlaw::FailsWhenEmpty if empty => return Err(Error::permanent("there are no records")),
            SourceFlaw::PausesWhenEmpty if empty => sleep(Duration::from_secs(1)).await,
            SourceFlaw::MovesOnCancel => yield_now().await,
            SourceFlaw::ReversesBatches => batch.records.reverse(),
            SourceFlaw::CopiesAsText => {
                for record in &mut batch.records {
                    record.data = String::from_utf8_lossy(&record.data).into_owned().into();
                }
            }
            SourceFlaw::CutsKeys => {
                for record in &mut batch.records {
                    record.partition_key = record.partition_key.chars().take(128).collect::<String>().into();
                }
            }
            SourceFlaw::EndsTooEarly if self.closed && batch.end.is_none() => batch.end = Some(ShardEnd::default()),
            SourceFlaw::EndsOnRecordsOnly if empty && !self.seen => batch.end = None,
            SourceFlaw::IsAlwaysBehind => batch.behind_latest = Some(Duration::from_secs(1)),
            SourceFlaw::ForgetsTheEnd if self.ended => batch.end = None,
            SourceFlaw::LosesAChild => {
                if let Some(end) = &mut batch.end {
                    end.children.pop();
                }
            }
            _ => {}
        }
        self.seen |= !empty;
        self.ended |= batch.end.is_some();
        Ok(batch)
    }
}
