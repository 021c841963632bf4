//! A shard's row in the store, what its holder writes into it, and what holding it means.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Cursor, CursorPosition, WorkerId};
use crate::broken::{self, Part};
use crate::shard::{HashRange, Shard, ShardId, ShardKey, StreamId};
use crate::sink::SubscriptionName;

/// A random number that each claim draws anew and each write of its holder carries. A row that bears ours was written
/// by us last, even when the answer was lost on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(u64);

impl Nonce {
    /// The nonce with this value; a store reads it back this way.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Draws a new one.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::u64(..))
    }

    /// Its value, for a store to write.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// What a holder stores about its shard in one write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// The cursors of the subscriptions that this worker knows. Others in the row stay as they are.
    pub cursors: BTreeMap<SubscriptionName, Cursor>,
    /// The shards that carry on, once the shard has ended.
    #[serde(default)]
    pub children: BTreeSet<ShardId>,
    /// Subscriptions that are no more: their cursors go.
    #[serde(default)]
    pub forgotten: BTreeSet<SubscriptionName>,
}

impl Progress {
    /// Progress of these subscriptions.
    pub fn new(cursors: impl IntoIterator<Item = (SubscriptionName, Cursor)>) -> Self {
        Self { cursors: cursors.into_iter().collect(), children: BTreeSet::new(), forgotten: BTreeSet::new() }
    }

    /// Sets the shards that carry on.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = ShardId>) -> Self {
        self.children = children.into_iter().collect();
        self
    }
}

impl Progress {
    /// Names subscriptions whose cursors go.
    #[must_use]
    pub fn with_forgotten(mut self, names: impl IntoIterator<Item = SubscriptionName>) -> Self {
        self.forgotten = names.into_iter().collect();
        self
    }
}

/// A shard's row: who holds it, and how far its subscriptions are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lease {
    /// The shard.
    pub key: ShardKey,
    /// Who holds it; nobody when absent.
    pub owner: Option<WorkerId>,
    /// Counts every write of a holder. An observer judges expiry by watching it stand still.
    pub counter: u64,
    /// The nonce of the claim that wrote last.
    pub nonce: Option<Nonce>,
    /// The worker that asked the holder to hand over; the holder itself when it is about to stop, for others to count on it
    /// no more.
    pub wanted_by: Option<WorkerId>,
    /// The shards it came from.
    pub parents: BTreeSet<ShardId>,
    /// The shards that carry on, once it has ended.
    pub children: BTreeSet<ShardId>,
    /// Its part of the key space, where known.
    pub hash_range: Option<HashRange>,
    /// Every subscription's cursor, of names that this worker does not know too.
    pub cursors: BTreeMap<SubscriptionName, Cursor>,
    /// How far a program was that knows no subscriptions, such as a worker of the KCL: the place of every subscription that
    /// was never sought and has no cursor here. Gone once cursors are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<CursorPosition>,
}

impl Lease {
    /// A row for `shard` that nobody holds and nobody has read.
    #[must_use]
    pub fn new(stream: &StreamId, shard: &Shard) -> Self {
        Self {
            key: ShardKey::new(stream, &shard.id),
            owner: None,
            counter: 0,
            nonce: None,
            wanted_by: None,
            parents: shard.parents.iter().cloned().collect(),
            children: BTreeSet::new(),
            hash_range: shard.hash_range,
            cursors: BTreeMap::new(),
            inherited: None,
        }
    }

    /// The minimum of all cursors: what may be forgotten of the shard. Before the first cursor, what was inherited.
    #[must_use]
    pub fn checkpoint(&self) -> Option<CursorPosition> {
        self.cursors.values().map(|cursor| cursor.position).min_by(CursorPosition::compare).or(self.inherited)
    }

    /// Takes progress in. A cursor that would step back within its generation, or is of an older one, is passed over; the
    /// cursor of a forgotten subscription goes. Every store does it through this, so that the rule stands in one place.
    pub fn apply(&mut self, progress: &Progress) {
        self.cursors.retain(|name, _| !progress.forgotten.contains(name) || broken::is(Part::ForgottenResumes));
        for (name, cursor) in &progress.cursors {
            match self.cursors.get_mut(name) {
                Some(stored) if !cursor.supersedes(stored) => {}
                Some(stored) => *stored = *cursor,
                None => drop(self.cursors.insert(name.clone(), *cursor)),
            }
        }
        if !self.cursors.is_empty() {
            self.inherited = None;
        }
        self.children.extend(progress.children.iter().cloned());
    }
}

/// A lease that this process holds. Not `Clone`: holding the value is holding the lease.
#[derive(Debug)]
pub struct HeldLease {
    lease: Lease,
}

impl HeldLease {
    /// For stores: the row as the holder wrote or read it last, its own nonce in it.
    ///
    /// # Panics
    ///
    /// When the row has no owner or no nonce: nobody holds such a row.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        assert!(lease.owner.is_some() && lease.nonce.is_some(), "a held lease has an owner and a nonce: {lease:?}");
        Self { lease }
    }

    /// The row as the holder knows it.
    #[must_use]
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The shard.
    #[must_use]
    pub const fn key(&self) -> &ShardKey {
        &self.lease.key
    }

    /// For stores: takes over what a successful write made of the row.
    pub fn written(&mut self, lease: Lease) {
        self.lease = lease;
    }
}

/// What a renewal learned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewed {
    /// The lease is ours for another failover time.
    Held,
    /// It is ours, and this worker asks for it.
    WantedBy(WorkerId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SequenceNumber, StartPosition};

    fn after(n: u64) -> CursorPosition {
        CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
    }

    #[test]
    fn a_row_takes_progress_but_no_step_back() {
        let mut row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
        let put = |row: &mut Lease, name: &str, generation, position| {
            row.apply(&Progress::new([(SubscriptionName::from(name), Cursor::new(generation, position))]));
        };
        put(&mut row, "a", 1, after(5));
        put(&mut row, "b", 1, after(9));
        assert_eq!(row.checkpoint(), Some(after(5)));
        put(&mut row, "a", 1, after(4));
        assert_eq!(row.checkpoint(), Some(after(5)));
        put(&mut row, "a", 2, after(1));
        assert_eq!(row.checkpoint(), Some(after(1)));
        put(&mut row, "a", 1, CursorPosition::End);
        assert_eq!(row.checkpoint(), Some(after(1)));
        put(&mut row, "a", 2, CursorPosition::End);
        assert_eq!(row.checkpoint(), Some(after(9)));
    }

    #[test]
    fn what_was_inherited_goes_with_the_first_cursor() {
        let mut row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
        row.inherited = Some(after(5));
        row.apply(&Progress::default().with_children(["1".into()]));
        assert_eq!(row.checkpoint(), Some(after(5)));
        row.apply(&Progress::new([("a".into(), Cursor::new(1, after(3)))]));
        assert_eq!((row.checkpoint(), row.inherited), (Some(after(3)), None));
    }
}
