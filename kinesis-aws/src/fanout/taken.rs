//! Which shards have a reader that subscribes. A consumer has one subscription a shard, so a second reader of the same
//! shard, which catches up, polls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kinesis_core::ShardId;

/// The shards that are subscribed to; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Shards(Arc<Mutex<BTreeSet<ShardId>>>);

/// The right to subscribe to a shard, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    shards: Shards,
    shard: ShardId,
}

impl Shards {
    /// The right to subscribe to a shard, unless a reader has it.
    pub(super) fn take(&self, shard: &ShardId) -> Option<Taken> {
        self.locked().insert(shard.clone()).then(|| Taken { shards: self.clone(), shard: shard.clone() })
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<ShardId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// The shard.
    pub(super) fn shard(&self) -> &ShardId {
        &self.shard
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shards.locked().remove(&self.shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reader_of_a_shard_subscribes_and_the_next_may_when_it_is_gone() {
        let shards = Shards::default();
        let (one, two) = (ShardId::from("1"), ShardId::from("2"));
        let first = shards.take(&one);
        assert!(first.is_some() && shards.clone().take(&one).is_none() && shards.take(&two).is_some());
        drop(first);
        assert!(shards.take(&one).is_some());
    }
}
