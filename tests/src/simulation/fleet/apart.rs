//! Progress apart from the lease: the counter is that of the lease, and what is stored apart does not move it.

use std::collections::{BTreeMap, BTreeSet};

use kinesis_core::{Cursor, Lease, Progress, ShardId, SubscriptionName};

/// What was stored apart from leases.
#[derive(Debug)]
pub(super) struct Apart {
    is_on: bool,
    /// How many writes of a row are none of its lease.
    counts: BTreeMap<ShardId, u64>,
    /// Those of the KCL.
    one_table: BTreeSet<usize>,
}

impl Apart {
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, counts: BTreeMap::new(), one_table: BTreeSet::new() }
    }

    pub(super) fn knows_one_table(&mut self, worker: usize) {
        self.one_table.insert(worker);
    }

    pub(super) fn count(&self, shard: &ShardId) -> u64 {
        self.counts.get(shard).copied().unwrap_or(0)
    }

    /// A new row counts from nothing.
    pub(super) fn is_removed(&mut self, shard: &ShardId) {
        self.counts.remove(shard);
    }

    /// Whether a worker stores progress apart from a lease that was so before: steps forward alone.
    pub(super) fn takes(&mut self, worker: usize, before: &Lease, progress: Option<&Progress>) -> bool {
        let is_step = |(name, cursor): (&SubscriptionName, &Cursor)| {
            before.cursors.get(name).is_some_and(|stored| stored.generation == cursor.generation)
        };
        let takes = self.is_on
            && !self.one_table.contains(&worker)
            && progress.is_some_and(|progress| progress.children.is_empty() && progress.cursors.iter().all(is_step));
        if takes {
            *self.counts.entry(before.key.shard.clone()).or_default() += 1;
        }
        takes
    }
}
