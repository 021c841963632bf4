//! For how long the counters of rows have stood still, by this worker's own clock: so it tells who holds a lease no more.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::lease::Lease;
use crate::shard::ShardId;

/// The counters of rows as they were seen last, and since when they have been so.
#[derive(Debug, Default)]
pub(super) struct Counters(BTreeMap<ShardId, (u64, Instant)>);

impl Counters {
    /// For how long a row's counter has stood still: not at all, when it is seen for the first time.
    pub(super) fn still_for(&mut self, row: &Lease) -> Duration {
        let now = Instant::now();
        let (counter, since) = self.0.entry(row.key.shard.clone()).or_insert((row.counter, now));
        if *counter != row.counter {
            (*counter, *since) = (row.counter, now);
        }
        since.elapsed()
    }

    /// Takes in that somebody wrote a row just now, whatever its counter is by then.
    pub(super) fn begin_anew(&mut self, row: &Lease) {
        self.0.insert(row.key.shard.clone(), (row.counter, Instant::now()));
    }

    pub(super) fn contains(&self, shard: &ShardId) -> bool {
        self.0.contains_key(shard)
    }

    pub(super) fn forget(&mut self, shard: &ShardId) {
        self.0.remove(shard);
    }

    /// Forgets the shards that are not to be kept.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&ShardId) -> bool) {
        self.0.retain(|shard, _| is_kept(shard));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
