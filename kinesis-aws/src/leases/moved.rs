//! What this process knows of the cursors that it has moved to the second table: what is written over there next.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kinesis_core::lease::{Cursor, CursorPosition, Nonce};
use kinesis_core::sink::SubscriptionName;
use kinesis_core::{Lease, ShardKey, StartPosition};

use super::checkpoint::Checkpoint;

pub(super) type Cursors = BTreeMap<SubscriptionName, Cursor>;

/// The leases of this process whose cursors have moved.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<BTreeMap<ShardKey, Moved>>);

/// The cursors of one of them.
#[derive(Debug, Default)]
struct Moved {
    /// The claim that all of it is of. An older value of the same lease may be about in this process, and uses none of it.
    nonce: Option<Nonce>,
    /// Items that this process has put or named. The lease names the last of them, and the others go.
    items: Vec<String>,
    /// Cursors as they were tried to be stored last. Whether they were may be unknown, so that the next try is of these and
    /// what came since.
    tried: Option<Cursors>,
    /// The item that is written over. None while it is unknown which one the lease names.
    place: Option<Place>,
}

/// An item of cursors that its holder writes over.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: String,
    /// Counts the writes of the item, those too of which nobody knows whether they arrived.
    pub(super) revision: u64,
    /// The counter of the lease as it was written last.
    pub(super) counter: u64,
    /// The checkpoint that the lease has.
    pub(super) stored: Checkpoint,
    /// The checkpoint that the cursors in the item stand for.
    pub(super) reached: Checkpoint,
}

impl Moves {
    /// A lease was claimed that names this item.
    pub(super) fn claimed(&self, lease: &Lease, named: Option<String>) {
        let moved = Moved { nonce: lease.nonce, items: named.into_iter().collect(), ..Moved::default() };
        if moved.items.is_empty() {
            self.all().remove(&lease.key);
        } else {
            self.all().insert(lease.key.clone(), moved);
        }
    }

    /// The lease is held no more.
    pub(super) fn forget(&self, ours: &Lease) {
        let mut all = self.all();
        if all.get(&ours.key).is_some_and(|moved| moved.nonce == ours.nonce) {
            all.remove(&ours.key);
        }
    }

    /// The cursors that were tried to be stored last, where that is known here.
    pub(super) fn tried(&self, ours: &Lease) -> Option<Cursors> {
        self.with(ours, |moved| moved.tried.clone()).flatten()
    }

    /// The item to write over, where the holder knows how its lease stands.
    pub(super) fn place(&self, ours: &Lease) -> Option<Place> {
        self.with(ours, |moved| moved.place.clone()).flatten().filter(|place| place.counter == ours.counter)
    }

    /// These cursors are about to be written over those in the item. Returns the number of the write.
    pub(super) fn writes_over(&self, ours: &Lease, cursors: &Cursors) -> Option<u64> {
        self.with(ours, |moved| {
            let place = moved.place.as_mut()?;
            place.revision += 1;
            moved.tried = Some(cursors.clone());
            Some(place.revision)
        })
        .flatten()
    }

    /// They were written over: now the item stands for this checkpoint.
    pub(super) fn has_written_over(&self, ours: &Lease, reached: Checkpoint) {
        self.with(ours, |moved| {
            if let Some(place) = &mut moved.place {
                place.reached = reached;
            }
        });
    }

    /// The lease is about to be written with these cursors, which this item has. Until it is known whether it was, nobody
    /// knows which item it names.
    pub(super) fn names(&self, ours: &Lease, put: Option<String>, cursors: &Cursors) {
        let mut all = self.all();
        if put.is_some() {
            all.entry(ours.key.clone()).or_insert_with(|| Moved { nonce: ours.nonce, ..Moved::default() });
        }
        if let Some(moved) = all.get_mut(&ours.key).filter(|moved| moved.nonce == ours.nonce) {
            moved.items.extend(put);
            moved.tried = Some(cursors.clone());
            moved.place = None;
        }
    }

    /// The lease was written, and names this item; the place is there when its holder may write it over. Returns the items
    /// that nobody needs any more.
    pub(super) fn has_named(&self, ours: &Lease, named: Option<String>, place: Option<Place>) -> Vec<String> {
        let mut all = self.all();
        let Some(moved) = all.get_mut(&ours.key).filter(|moved| moved.nonce == ours.nonce) else { return Vec::new() };
        let mut old = std::mem::take(&mut moved.items);
        old.retain(|name| Some(name) != named.as_ref());
        moved.items.extend(named);
        moved.place = place;
        if moved.items.is_empty() {
            all.remove(&ours.key);
        }
        old
    }

    /// The checkpoint that the cursors have reached since the lease was written.
    pub(super) fn reached(&self, ours: &Lease) -> Option<Checkpoint> {
        let place = self.with(ours, |moved| moved.place.clone()).flatten()?;
        (place.reached != place.stored).then_some(place.reached)
    }

    /// The lease was renewed, with this checkpoint where there was a new one.
    pub(super) fn renewed(&self, ours: &Lease, counter: u64, stored: Option<Checkpoint>) {
        self.with(ours, |moved| {
            if let Some(place) = &mut moved.place {
                place.counter = counter;
                place.stored = stored.unwrap_or(place.stored);
            }
        });
    }

    fn with<T>(&self, ours: &Lease, on: impl FnOnce(&mut Moved) -> T) -> Option<T> {
        self.all().get_mut(&ours.key).filter(|moved| moved.nonce == ours.nonce).map(on)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ShardKey, Moved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing but steps forward leads from one state to the other, and cursors that go.
///
/// A cursor that is new, was sought or was pinned is none: it may be behind the checkpoint that the lease has, or behind
/// what somebody who has taken the lease has done for others.
pub(super) fn only_steps_forward(from: &Cursors, to: &Cursors) -> bool {
    let tip = CursorPosition::Next(StartPosition::Latest);
    to.iter().all(|(name, cursor)| {
        from.get(name).is_some_and(|old| {
            let forward = old.position.compare(&cursor.position).is_le();
            let pinned = old.position == tip && cursor.position != tip;
            old.generation == cursor.generation && forward && !pinned
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::SequenceNumber;

    fn cursors(cursors: &[(&str, u64, StartPosition)]) -> Cursors {
        let cursor = |(name, generation, start): &(&str, u64, StartPosition)| {
            ((*name).into(), Cursor::new(*generation, CursorPosition::Next(*start)))
        };
        cursors.iter().map(cursor).collect()
    }

    /// What is no step forward has to go by the lease: stored apart from it, it could be passed over.
    #[test]
    fn a_step_forward_is_neither_new_nor_sought_nor_pinned() {
        let after = |n: u64| StartPosition::After(SequenceNumber::from(n));
        let from = cursors(&[("a", 1, after(5)), ("tip", 1, StartPosition::Latest)]);
        let tip = ("tip", 1, StartPosition::Latest);
        for (to, forward) in [
            (vec![("a", 1, after(5)), tip], true),
            (vec![("a", 1, after(9)), tip], true),
            (vec![("a", 1, after(9))], true),
            (vec![("a", 1, after(4)), tip], false),
            (vec![("a", 2, after(9)), tip], false),
            (vec![("a", 1, after(9)), ("b", 1, after(9))], false),
            (vec![("a", 1, after(9)), ("tip", 1, after(9))], false),
        ] {
            assert_eq!(only_steps_forward(&from, &cursors(&to)), forward, "{to:?}");
        }
    }

    /// A lease may be claimed again by the process that holds an older value of it: that one must not write over what the
    /// newer claim has.
    #[test]
    fn what_is_known_is_of_one_claim() {
        let moves = Moves::default();
        let lease = |nonce: u64| {
            let shard = kinesis_core::Shard::new("0");
            let mut lease = Lease::new(&kinesis_core::StreamId::new("orders"), &shard);
            lease.nonce = Some(Nonce::new(nonce));
            lease
        };
        let horizon = Checkpoint::TrimHorizon;
        let place = || Place { name: "i".into(), revision: 1, counter: 0, stored: horizon, reached: horizon };
        let (old, new) = (lease(1), lease(2));
        moves.names(&old, Some("i".into()), &Cursors::new());
        moves.has_named(&old, Some("i".into()), Some(place()));
        assert!(moves.place(&old).is_some() && moves.place(&new).is_none());
        let mut unaware = lease(1);
        unaware.counter = 1;
        assert!(moves.place(&unaware).is_none(), "it does not know how its lease stands");
        moves.claimed(&new, Some("i".into()));
        assert!(moves.place(&old).is_none() && moves.tried(&old).is_none());
        moves.forget(&old);
        moves.names(&new, Some("j".into()), &Cursors::new());
        assert_eq!(moves.has_named(&new, Some("j".into()), Some(place())), ["i"], "the older one forgot nothing of it");
    }
}
