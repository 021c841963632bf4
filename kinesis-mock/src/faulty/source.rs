//! Faults of a source and its readers.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use kinesis_core::limit::LimiterStatus;
use kinesis_core::{Batch, Result, Shard, ShardId, ShardReader, SourceCaps, StartPosition, StreamId, StreamSource};
use tokio::time::sleep;

use super::faults::{Call, Fault, Injected};
use super::{Faults, Faulty};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StreamSource> StreamSource for Faulty<S> {
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
        self.faults.around(Call::ListShards, self.inner.list_shards()).await
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let opened = self.faults.around(Call::OpenShard, self.inner.open_shard(shard, from)).await;
        let inner = opened.map_err(|error| error.on_shard(shard))?;
        let reader = FaultyReader {
            inner,
            shard: shard.clone(),
            faults: self.faults.clone(),
            held_back: None,
            expired: None,
            ended: false,
        };
        Ok(Box::new(reader))
    }
}

#[derive(Debug)]
struct FaultyReader {
    inner: Box<dyn ShardReader>,
    shard: ShardId,
    faults: Faults,
    /// What was read when the answer was lost. The cursor has not moved for the caller, so it is answered later.
    held_back: Option<Batch>,
    expired: Option<Injected>,
    ended: bool,
}

#[async_trait]
impl ShardReader for FaultyReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let answer = self.read(max).await;
        if let Ok(batch) = &answer {
            self.ended |= batch.end.is_some();
        }
        answer.map_err(|error| error.on_shard(&self.shard))
    }
}

impl FaultyReader {
    async fn read(&mut self, max: NonZeroUsize) -> Result<Batch> {
        if let Some(expired) = self.expired {
            return Err(expired.error());
        }
        let Some(injected) = self.faults.draw(Call::Read) else { return self.answer(max).await };
        match injected.fault {
            Fault::Delay(delay) => {
                sleep(delay).await;
                self.answer(max).await
            }
            Fault::Short => self.answer(NonZeroUsize::new(max.get() / 2).unwrap_or(NonZeroUsize::MIN)).await,
            // After the end comes the same end again, whatever goes wrong.
            Fault::Empty if self.ended => self.answer(max).await,
            Fault::Empty => Ok(Batch::empty()),
            Fault::DropReply => {
                if self.held_back.is_none() {
                    self.held_back = Some(self.inner.next_batch(max).await?);
                }
                Err(injected.error())
            }
            Fault::Expire => {
                self.expired = Some(injected);
                Err(injected.error())
            }
            Fault::Throttle { .. } | Fault::Fail | Fault::Break => Err(injected.error()),
        }
    }

    async fn answer(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let Some(mut batch) = self.held_back.take() else { return self.inner.next_batch(max).await };
        if batch.records.len() > max.get() {
            let rest = batch.records.split_off(max.get());
            let mut later = batch.clone();
            later.records = rest;
            self.held_back = Some(later);
            (batch.end, batch.resume, batch.behind_latest) = (None, None, None);
        }
        Ok(batch)
    }
}
