//! Door one: the stream as a source for the pipeline.

use std::mem;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{
    Batch, Result, Shard, ShardEnd, ShardId, ShardReader, SourceCaps, StartPosition, StreamId, StreamSource,
};

use super::MemoryStream;
use super::shard_log::Request;

/// The largest answer in bytes where reads are limited, as `GetRecords` has it.
pub(crate) const MAX_ANSWER: usize = 10 << 20;

#[async_trait]
impl StreamSource for MemoryStream {
    fn stream(&self) -> &StreamId {
        self.id()
    }

    fn caps(&self) -> SourceCaps {
        let settings = self.settings();
        let caps = SourceCaps::log().with_parks(settings.parks).with_refuses_trimmed(!settings.trims_silently);
        match (settings.declares_retention, settings.trims_silently) {
            (true, _) => caps.with_retains(settings.retention),
            // Whoever trims by hand keeps nothing for certain.
            (false, true) => caps.with_retains(Duration::ZERO),
            (false, false) => caps,
        }
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(self.shards())
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let tells_tip = from == StartPosition::Latest;
        let cursor = self.with_log(|log, _| {
            let shard = log.get(shard)?;
            self.check_retained(shard, from)?;
            Ok(match from {
                // No record of this shard need have that number, so the place is before the next one.
                StartPosition::Latest => StartPosition::At(log.last_number().plus(1)),
                pinned => pinned,
            })
        })?;
        Ok(Box::new(MemoryReader { stream: self.clone(), shard: shard.clone(), cursor, tells_tip, end: None }))
    }
}

/// A cursor in one shard. It holds a position, not an index, so that trimming cannot shift it.
#[derive(Debug)]
struct MemoryReader {
    stream: MemoryStream,
    shard: ShardId,
    cursor: StartPosition,
    /// Opened at the tip, it tells first where that is, even when it waits for records otherwise.
    tells_tip: bool,
    end: Option<ShardEnd>,
}

impl MemoryReader {
    /// Reads what is there. `first` says that this is a new call and not the same one waiting on.
    fn read(&mut self, max: NonZeroUsize, first: bool) -> Result<Batch> {
        let limited = self.stream.settings().read_limits.is_some();
        let request = Request { from: self.cursor, max_records: max.get(), max_bytes: limited.then_some(MAX_ANSWER) };
        let (found, children) =
            self.stream.read(&self.shard, &request, first, |log| self.stream.check_retained(log, self.cursor))?;
        self.cursor = found.next;
        self.end = children.map(ShardEnd::new);
        let mut batch = Batch::new(found.records).with_behind_latest(found.behind);
        batch.end = self.end.clone();
        batch.served_at = Some(self.stream.now());
        batch.resume = batch.records.is_empty().then_some(self.cursor);
        Ok(batch)
    }
}

#[async_trait]
impl ShardReader for MemoryReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        // The end is remembered here, because the shard itself disappears some day.
        if let Some(end) = &self.end {
            return Ok(Batch::empty().with_behind_latest(Duration::ZERO).with_end(end.clone()));
        }
        if !self.stream.settings().parks {
            return self.read(max, true);
        }
        let mut first = true;
        loop {
            let stream = self.stream.clone();
            // Listening before looking: a put in between is not missed.
            let mut changed = pin!(stream.changed());
            changed.as_mut().enable();
            let batch = self.read(max, first)?;
            if !batch.records.is_empty() || batch.end.is_some() || mem::take(&mut self.tells_tip) {
                return Ok(batch);
            }
            first = false;
            changed.await;
        }
    }
}
