//! Leases and cursors: who reads which shard, how far each subscription is, and the store that remembers both.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::name::name;
use crate::shard::{HashRange, Shard, ShardId, ShardKey, StartPosition, StreamId};
use crate::sink::SubscriptionName;

name! {
    /// One worker process. Ends in a random part, so that a restarted process is another worker.
    WorkerId
}

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

/// How far a subscription is in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorPosition {
    /// The next record that is not settled is found here.
    Next(StartPosition),
    /// Every record of the closed shard is settled.
    End,
}

impl CursorPosition {
    /// Which of two positions is less far, in the order that the KCL gives its sentinels: a timestamp, the horizon, the
    /// tip, numbers, the end.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        use StartPosition::{After, At, Latest, Timestamp, TrimHorizon};
        let rank = |position: &Self| match position {
            Self::Next(Timestamp(_)) => 0,
            Self::Next(TrimHorizon) => 1,
            Self::Next(Latest) => 2,
            Self::Next(At(_) | After(_)) => 3,
            Self::End => 4,
        };
        // "At n" is one record less far than "after n".
        let number = |position: &Self| match position {
            Self::Next(At(number)) => Some((*number, false)),
            Self::Next(After(number)) => Some((*number, true)),
            _ => None,
        };
        rank(self).cmp(&rank(other)).then_with(|| match (self, other) {
            (Self::Next(Timestamp(a)), Self::Next(Timestamp(b))) => a.cmp(b),
            _ => number(self).cmp(&number(other)),
        })
    }
}

/// A subscription's stored place in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cursor {
    /// The generation of the subscription it belongs to; a seek starts the next one and voids older cursors.
    pub generation: u64,
    /// How far.
    pub position: CursorPosition,
    /// When the last settled record had arrived, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<SystemTime>,
}

impl Cursor {
    /// A cursor without a time of arrival.
    #[must_use]
    pub const fn new(generation: u64, position: CursorPosition) -> Self {
        Self { generation, position, arrived_at: None }
    }

    /// Sets when the last settled record had arrived.
    #[must_use]
    pub const fn with_arrived_at(mut self, at: Option<SystemTime>) -> Self {
        self.arrived_at = at;
        self
    }

    /// Whether `self` may replace `stored`: never an older generation, never a step back within one.
    #[must_use]
    pub fn supersedes(&self, stored: &Self) -> bool {
        match self.generation.cmp(&stored.generation) {
            Ordering::Greater => true,
            Ordering::Less => false,
            // The tip is a wish, not a place: whatever it was pinned to replaces it.
            Ordering::Equal if stored.position == CursorPosition::Next(StartPosition::Latest) => true,
            Ordering::Equal => self.position.compare(&stored.position).is_ge(),
        }
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
}

impl Progress {
    /// Progress of these subscriptions.
    pub fn new(cursors: impl IntoIterator<Item = (SubscriptionName, Cursor)>) -> Self {
        Self { cursors: cursors.into_iter().collect(), children: BTreeSet::new() }
    }

    /// Sets the shards that carry on.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = ShardId>) -> Self {
        self.children = children.into_iter().collect();
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
    /// The worker that asked the holder to hand over.
    pub wanted_by: Option<WorkerId>,
    /// The shards it came from.
    pub parents: BTreeSet<ShardId>,
    /// The shards that carry on, once it has ended.
    pub children: BTreeSet<ShardId>,
    /// Its part of the key space, where known.
    pub hash_range: Option<HashRange>,
    /// Every subscription's cursor, of names that this worker does not know too.
    pub cursors: BTreeMap<SubscriptionName, Cursor>,
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
        }
    }

    /// The minimum of all cursors: what may be forgotten of the shard. `None` before the first cursor.
    #[must_use]
    pub fn checkpoint(&self) -> Option<CursorPosition> {
        self.cursors.values().map(|cursor| cursor.position).min_by(CursorPosition::compare)
    }

    /// Takes progress in. A cursor that would step back within its generation, or is of an older one, is passed over.
    /// Every store does it through this, so that the rule stands in one place.
    pub fn apply(&mut self, progress: &Progress) {
        for (name, cursor) in &progress.cursors {
            match self.cursors.get_mut(name) {
                Some(stored) if !cursor.supersedes(stored) => {}
                Some(stored) => *stored = *cursor,
                None => drop(self.cursors.insert(name.clone(), *cursor)),
            }
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
    /// Where it starts on a shard of its own, where that was pinned: the tip of each shard at the time of attaching.
    #[serde(default)]
    pub pins: BTreeMap<ShardId, StartPosition>,
    /// The shards listed when it was attached. Others were born later: it starts them at the trim horizon.
    pub shards: BTreeSet<ShardId>,
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
            revision: 0,
        }
    }
}

/// Remembers leases, cursors and subscriptions: one store for an application.
///
/// A store has no clock: it decides by what is in the row alone, and every write is conditional. Workers judge expiry by
/// watching [`Lease::counter`] on their own monotonic clocks.
///
/// # Contract
///
/// [`conformance::leases`](crate::conformance) proves these rules for an implementation:
///
/// 1. Of any number of racing writes on the same seen row, at most one succeeds.
/// 2. A holder whose row was claimed by anybody else, its own worker included, gets
///    [`LeaseLost`](crate::ErrorKind::LeaseLost) from every further write, and changes nothing.
/// 3. A cursor never moves back within a generation; [`reset`](Self::reset) alone may do that.
/// 4. A write that was applied although its answer was lost is recognised by its nonce as the holder's own.
/// 5. What the store does not know (other subscriptions' cursors, attributes of others) stays in the row.
///
/// # How the methods map to the KCL's table
///
/// Conditions and updates on an item of the KCL 2.x lease table, for an implementation on DynamoDB. `:c` is the counter
/// that was seen or is held; `nonce`, `wantedBy` and `cursors` are attributes of our own, which the KCL leaves alone.
///
/// | method | condition | update |
/// |---|---|---|
/// | `create` | `attribute_not_exists(leaseKey)` | put the whole item, `leaseCounter = 0`, no `leaseOwner` |
/// | `claim` | `leaseCounter = :c` | `SET leaseOwner = :me, leaseCounter = :c+1, nonce = :new REMOVE checkpointOwner, wantedBy`, and `ADD ownerSwitchesSinceCheckpoint 1` where the owner changes |
/// | `request` | `leaseOwner = :owner AND attribute_not_exists(wantedBy)` | `SET wantedBy = :me`; the counter stays |
/// | `advance`, no progress | `leaseCounter = :c AND attribute_not_exists(checkpointOwner)` | `SET leaseCounter = :c+1` |
/// | `advance` with progress | `leaseCounter = :c` | `SET leaseCounter = :c+1, checkpoint, checkpointSubSequenceNumber, cursors, ownerSwitchesSinceCheckpoint = 0` and `childShardIds` at the end, `REMOVE` the pending checkpoint |
/// | `release` | `leaseCounter = :c AND leaseOwner = :me` | as `advance` with the last progress, then `REMOVE leaseOwner`, or `SET leaseOwner = :to` |
/// | `reset` | `leaseCounter = :c` | `SET leaseCounter = :c+1, nonce = :new, checkpoint, cursors` |
/// | `remove` | `leaseCounter = :c` | delete the item |
///
/// When the condition of `advance` or `release` fails, the item is read again: where owner and nonce are still the
/// holder's, its own earlier write was applied, and the counter is taken from the item; anything else is `LeaseLost`.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LeaseStore: Debug + Send + Sync + 'static {
    /// Lists every row of the application.
    ///
    /// # Errors
    ///
    /// Whatever keeps the backend from answering; the same for every method below.
    async fn list(&self) -> Result<Vec<Lease>>;

    /// Reads one row.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>>;

    /// Creates a row. `false`: there is one already, and it stays as it is.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn create(&self, lease: &Lease) -> Result<bool>;

    /// Takes the lease if the row is still as it was seen. `None`: someone was faster.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list). After an error the claim may have been applied: look at the row again.
    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>>;

    /// Asks the holder to hand the lease over to `me`. `false`: the holder changed, or somebody else asked before.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool>;

    /// Renews, and stores progress when there is some, in one conditional write.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost) when someone else holds it now; otherwise as [`list`](Self::list), and
    /// then the write may have been applied or not: the next call finds out.
    ///
    /// # Cancel safety
    ///
    /// As after an error: the row has its old or its new state, and the next call finds out.
    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed>;

    /// Stores the last progress and lets the lease go, to `to` where someone asked for it. `held` is lost afterwards.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()>;

    /// Sets these cursors, backwards too, if the row is still as it was seen. A holder loses its lease by it.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool>;

    /// Removes the row if it is still as it was seen.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn remove(&self, seen: &Lease) -> Result<bool>;

    /// Lists every subscription of the application, those that this worker does not know too.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>>;

    /// Writes a subscription if the stored one is still as it was `seen` (`None`: if there is none). `false`: it is not.
    /// What is stored is `new` with its [`revision`](SubscriptionRecord::revision) counted on from `seen`.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool>;
}

macro_rules! forward_store {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: LeaseStore + ?Sized> LeaseStore for $pointer<T> {
            async fn list(&self) -> Result<Vec<Lease>> {
                (**self).list().await
            }
            async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
                (**self).get(key).await
            }
            async fn create(&self, lease: &Lease) -> Result<bool> {
                (**self).create(lease).await
            }
            async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
                (**self).claim(seen, me).await
            }
            async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
                (**self).request(seen, me).await
            }
            async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
                (**self).advance(held, progress).await
            }
            async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
                (**self).release(held, last, to).await
            }
            async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
                (**self).reset(seen, to).await
            }
            async fn remove(&self, seen: &Lease) -> Result<bool> {
                (**self).remove(seen).await
            }
            async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
                (**self).subscriptions().await
            }
            async fn put_subscription<'a>(
                &self,
                seen: Option<&'a SubscriptionRecord>,
                new: &SubscriptionRecord,
            ) -> Result<bool> {
                (**self).put_subscription(seen, new).await
            }
        }
    };
}

forward_store!(Arc);
forward_store!(Box);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;

    fn after(n: u64) -> CursorPosition {
        CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
    }

    #[test]
    fn the_trait_is_object_safe() {
        fn store(_: Option<&dyn LeaseStore>) {}
        store(None);
    }

    #[test]
    fn positions_order_as_the_kcl_orders_its_sentinels() {
        let at = |n: u64| CursorPosition::Next(StartPosition::At(SequenceNumber::from(n)));
        let ascending = [
            CursorPosition::Next(StartPosition::Timestamp(SystemTime::UNIX_EPOCH)),
            CursorPosition::Next(StartPosition::TrimHorizon),
            CursorPosition::Next(StartPosition::Latest),
            at(3),
            after(3),
            at(4),
            CursorPosition::End,
        ];
        for pair in ascending.windows(2) {
            assert_eq!(pair[0].compare(&pair[1]), Ordering::Less, "{pair:?}");
        }
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
}
