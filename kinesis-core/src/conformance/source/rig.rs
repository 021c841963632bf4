//! What the checks of a source work with: one fresh harness, and puts that are remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::tail::{Tail, may_pass};
use super::{Caps, Harness};
use crate::conformance::check::{Bench, Broken, Kept, Need};
use crate::conformance::eventually::{Patience, eventually};
use crate::error::{ErrorKind, Result};
use crate::record::{Record, SequenceNumber};
use crate::shard::{Shard, ShardId, StartPosition};
use crate::source::StreamSource;

/// Longer than anything a backend remembers about a reader: Kinesis iterators and subscriptions live five minutes.
const IDLE: Duration = Duration::from_secs(20 * 60);

/// A record as it was put.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub(super) shard: ShardId,
    pub(super) number: SequenceNumber,
    pub(super) key: String,
    pub(super) data: Bytes,
}

/// One fresh harness and its source.
pub(in crate::conformance) struct Rig {
    pub(super) source: Arc<dyn StreamSource>,
    pub(super) harness: Box<dyn Harness>,
    pub(super) twin: Option<Box<Self>>,
}

impl Bench for Rig {
    fn meets(&self, need: Need) -> bool {
        let caps = self.caps();
        match need {
            Need::Replay => self.source.caps().replayable,
            Need::ManyReaders => !caps.single_reader && self.source.caps().replayable,
            Need::Reshard => caps.reshard,
            Need::Trim => caps.trim,
            Need::Faults => caps.faults,
            Need::Polling => !self.source.caps().parks,
            Need::VirtualTime => caps.virtual_time,
            Need::Twin => true,
            Need::Restart => false,
        }
    }

    fn limit(&self) -> Duration {
        self.harness.patience() * 20 + if self.caps().virtual_time { 10 * IDLE } else { Duration::ZERO }
    }
}

impl Rig {
    pub(super) fn new(harness: impl Harness) -> Self {
        Self { source: harness.source(), harness: Box::new(harness), twin: None }
    }

    pub(super) fn with_twin(mut self, harness: impl Harness) -> Self {
        self.twin = Some(Box::new(Self::new(harness)));
        self
    }

    pub(super) fn caps(&self) -> Caps {
        self.harness.caps()
    }

    pub(super) async fn put(&self, key: &str, data: impl Into<Bytes>) -> Put {
        let data = data.into();
        let (shard, number) = self.harness.put(key, data.clone()).await;
        Put { shard, number, key: key.to_owned(), data }
    }

    /// Puts `count` records of one key, and so into one shard.
    pub(super) async fn fill(&self, count: usize) -> Vec<Put> {
        let mut puts = Vec::with_capacity(count);
        for n in 0..count {
            puts.push(self.put("fill", format!("record {n} of {count}")).await);
        }
        puts
    }

    /// Puts `count` records of as many keys, which spreads them over the shards.
    pub(super) async fn spread(&self, count: usize) -> Vec<Put> {
        let mut puts = Vec::with_capacity(count);
        for n in 0..count {
            puts.push(self.put(&format!("key-{n}"), format!("record {n} of {count}")).await);
        }
        puts
    }

    pub(super) async fn shards(&self) -> Kept<Vec<Shard>> {
        let mut patience = Patience::of(self.harness.patience());
        loop {
            let listed = self.source.list_shards().await;
            if !may_pass(&listed) || !patience.wait().await {
                return Ok(listed?);
            }
        }
    }

    /// The shard as it is listed now.
    pub(super) async fn shard(&self, id: &ShardId) -> Kept<Shard> {
        let listed = self.shards().await?;
        let shard = listed.iter().find(|shard| shard.id == *id).cloned();
        shard.ok_or_else(|| Broken::new(format!("shard {id} is not listed among {}", ids(&listed))))
    }

    pub(super) async fn try_open(&self, shard: &ShardId, from: StartPosition) -> Result<Tail> {
        let mut patience = Patience::of(self.harness.patience());
        loop {
            let opened = self.source.open_shard(shard, from).await;
            if !may_pass(&opened) || !patience.wait().await {
                let parks = self.source.caps().parks;
                return opened.map(|reader| Tail::new(reader, parks, self.harness.patience()));
            }
        }
    }

    pub(super) async fn open(&self, shard: &ShardId, from: StartPosition) -> Kept<Tail> {
        Ok(self.try_open(shard, from).await?)
    }

    pub(super) async fn open_at_horizon(&self, shard: &ShardId) -> Kept<Tail> {
        self.open(shard, StartPosition::TrimHorizon).await
    }

    /// Reads these records, which are all that their shards have; returns them in the order of `puts`. Opens each shard
    /// once, as a source that is not replayable allows.
    pub(super) async fn read_back(&self, puts: &[Put]) -> Kept<Vec<Record>> {
        let shards: BTreeSet<&ShardId> = puts.iter().map(|put| &put.shard).collect();
        let mut read = BTreeMap::new();
        for shard in shards {
            let wanted: Vec<Put> = puts.iter().filter(|put| put.shard == *shard).cloned().collect();
            let mut tail = self.open_at_horizon(shard).await?;
            let got = tail.expect(&wanted).await?;
            tail.expect_nothing().await?;
            read.extend(got.into_iter().map(|record| ((shard, record.sequence_number), record)));
        }
        Ok(puts.iter().filter_map(|put| read.remove(&(&put.shard, put.number))).collect())
    }

    /// What a reader opened there reads until it has `count` records, or how it is refused, at opening or later.
    pub(super) async fn what_is_at(
        &self,
        shard: &ShardId,
        from: StartPosition,
        count: usize,
    ) -> Result<Vec<Record>, ErrorKind> {
        let mut tail = self.try_open(shard, from).await.map_err(|error| error.kind())?;
        let mut got = Vec::new();
        let read = async || match tail.try_read(100).await {
            Ok(batch) => {
                got.extend(batch.records);
                (got.len() >= count).then_some(Ok(()))
            }
            Err(error) => Some(Err(error.kind())),
        };
        eventually(self.harness.patience(), read).await.transpose()?;
        Ok(got)
    }

    /// Lets time pass where that costs nothing.
    pub(super) async fn idle(&self) {
        if self.caps().virtual_time {
            sleep(IDLE).await;
        }
    }

    /// Splits a shard; returns its children as they are listed.
    pub(super) async fn split(&self, shard: &ShardId) -> Kept<Vec<Shard>> {
        self.harness.split(shard).await;
        self.children_of(shard, 2).await
    }

    /// Merges two shards; returns their child as it is listed.
    pub(super) async fn merge(&self, a: &ShardId, b: &ShardId) -> Kept<Shard> {
        self.harness.merge(a, b).await;
        Ok(self.children_of(a, 1).await?.remove(0))
    }

    async fn children_of(&self, parent: &ShardId, count: usize) -> Kept<Vec<Shard>> {
        let find = async || {
            let mut listed = self.source.list_shards().await.ok()?;
            listed.retain(|shard| shard.parents.contains(parent));
            (listed.len() == count).then_some(listed)
        };
        let missing = || Broken::new(format!("shard {parent} was closed, yet not {count} shards name it as parent"));
        eventually(self.harness.patience(), find).await.ok_or_else(missing)
    }
}

/// Shard ids for a message.
pub(super) fn ids(shards: &[Shard]) -> String {
    let ids: Vec<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
    format!("[{}]", ids.join(", "))
}
