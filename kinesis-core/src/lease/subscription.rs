//! Who subscribes to a stream: written down once, so that every worker and every restart starts the same way.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::shard::{ShardId, StartPosition, StreamId};
use crate::sink::SubscriptionName;

/// Who subscribes to a stream: kept in the store, so that every worker and every restart starts the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubscriptionRecord {
    /// The stream.
    pub stream: StreamId,
    /// The name; together with the stream, the key.
    pub name: SubscriptionName,
    /// Counts seeks; cursors of older generations are void.
    pub generation: u64,
    /// Where it starts on the shards that it was attached to.
    pub start: StartPosition,
    /// Where it starts on a shard of its own, where that was pinned: the tip of each shard at the time of attaching, or
    /// where that shard was sought to.
    #[serde(default)]
    pub pins: BTreeMap<ShardId, StartPosition>,
    /// The shards listed when it was attached. Others were born later: it starts them at the trim horizon.
    pub shards: BTreeSet<ShardId>,
    /// The generations of shards that were sought by themselves since.
    #[serde(default)]
    pub sought: BTreeMap<ShardId, u64>,
    /// Whether it takes nothing until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// Whether it is no more. Its record stays, so that cursors which a worker stores late are known to be void.
    #[serde(default)]
    pub forgotten: bool,
    /// Counts the writes of this record, for compare-and-set.
    pub revision: u64,
}

impl SubscriptionRecord {
    /// The first record of a subscription, attached while `shards` were listed.
    pub fn new(
        stream: &StreamId,
        name: SubscriptionName,
        start: StartPosition,
        shards: impl IntoIterator<Item = ShardId>,
    ) -> Self {
        Self {
            stream: stream.clone(),
            name,
            generation: 1,
            start,
            pins: BTreeMap::new(),
            shards: shards.into_iter().collect(),
            sought: BTreeMap::new(),
            paused: false,
            forgotten: false,
            revision: 0,
        }
    }

    /// The generation that a cursor on `shard` has to be of.
    #[must_use]
    pub fn generation_on(&self, shard: &ShardId) -> u64 {
        self.sought.get(shard).copied().unwrap_or(self.generation)
    }

    /// A generation above all so far, on every shard.
    #[must_use]
    pub fn next_generation(&self) -> u64 {
        self.sought.values().copied().fold(self.generation, u64::max) + 1
    }
}
