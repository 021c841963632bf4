//! Records that are open and whose payloads are not here: given back, to be read again when their turn comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use crate::broken::{self, Part};
use crate::deliver::History;

/// Open records without payloads, by the lane's offset. Those of one key come back in order, and nothing of the key goes
/// before them.
#[derive(Debug, Default)]
pub(super) struct Absent {
    records: BTreeMap<u64, Away>,
    keys: HashMap<u64, BTreeSet<u64>>,
    /// The first of each key, where it may come back at once.
    ready: BTreeSet<u64>,
    /// The first of each key, where it has to wait, by the time of its next attempt.
    later: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Away {
    key: u64,
    history: Option<History>,
}

impl Absent {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn insert(&mut self, offset: u64, key: u64, history: Option<History>) {
        self.take(offset);
        let of_key = self.keys.entry(key).or_default();
        let before = of_key.first().copied();
        of_key.insert(offset);
        self.records.insert(offset, Away { key, history });
        if before.is_none_or(|before| offset < before) {
            before.into_iter().for_each(|before| self.lead_no_longer(before));
            self.lead(offset);
        }
    }

    /// Whether looking for a record that may come back is worth it.
    pub(super) fn may_have(&mut self, now: Instant) -> bool {
        self.ripen(now);
        !self.ready.is_empty()
    }

    /// Whether something of this key is away.
    pub(super) fn holds(&self, key: u64) -> bool {
        self.keys.contains_key(&key) && !broken::is(Part::GivenBackOvertaken)
    }

    /// Whether something of this key is away that comes before a record. What comes after it, it need not wait for.
    pub(super) fn holds_before(&self, key: u64, offset: u64) -> bool {
        let first = self.keys.get(&key).and_then(BTreeSet::first);
        first.is_some_and(|first| *first < offset) && !broken::is(Part::GivenBackOvertaken)
    }

    /// Whether the record is away and may come back now: it is the first of its key, and the time of its next attempt has
    /// come.
    pub(super) fn may_return(&mut self, offset: u64, now: Instant) -> bool {
        self.ripen(now);
        self.ready.contains(&offset)
    }

    /// The first record from `from` on that may come back now.
    pub(super) fn first_to_return(&mut self, from: u64, now: Instant) -> Option<u64> {
        self.ripen(now);
        self.ready.range(from..).next().copied()
    }

    /// When the next record may come back, if none may yet.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Instant> {
        self.ripen(now);
        self.later.first().map(|(due, _)| *due).filter(|_| self.ready.is_empty())
    }

    /// Takes a record out, with what it has been through.
    pub(super) fn take(&mut self, offset: u64) -> Option<History> {
        let key = self.records.get(&offset)?.key;
        let of_key = self.keys.get_mut(&key)?;
        let led = of_key.first() == Some(&offset);
        of_key.remove(&offset);
        let next = of_key.first().copied();
        if next.is_none() {
            self.keys.remove(&key);
        }
        if led {
            self.lead_no_longer(offset);
            next.into_iter().for_each(|next| self.lead(next));
        }
        self.records.remove(&offset)?.history
    }

    fn due(&self, offset: u64) -> Option<Instant> {
        self.records.get(&offset)?.history?.due
    }

    /// The record is the first of its key from now on.
    fn lead(&mut self, offset: u64) {
        match self.due(offset) {
            Some(due) => self.later.insert((due, offset)),
            None => self.ready.insert(offset),
        };
    }

    fn lead_no_longer(&mut self, offset: u64) {
        self.ready.remove(&offset);
        if let Some(due) = self.due(offset) {
            self.later.remove(&(due, offset));
        }
    }

    /// Moves on whose time has come.
    fn ripen(&mut self, now: Instant) {
        while let Some((due, offset)) = self.later.first().copied()
            && due <= now
        {
            self.later.pop_first();
            self.ready.insert(offset);
        }
    }

    /// The records that are away from `from` up to, not including, `to`.
    pub(super) fn between(&self, from: u64, to: u64) -> Vec<u64> {
        self.records.range(from..to.max(from)).map(|(offset, _)| *offset).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn records_of_a_key_come_back_in_order_and_each_in_its_time() {
        let now = Instant::now();
        let later = now + Duration::from_secs(3);
        let due = |due| Some(History { attempts: 1, failures: 1, first_tried: now, due: Some(due) });
        let mut absent = Absent::default();
        absent.insert(5, 1, due(later));
        absent.insert(6, 1, None);
        absent.insert(7, 2, None);
        assert_eq!((absent.first_to_return(0, now), absent.next_due(now)), (Some(7), None));
        assert_eq!((absent.take(7), absent.holds(2)), (None, false));
        assert_eq!((absent.next_due(now), absent.may_have(now)), (Some(later), false));
        assert_eq!(absent.first_to_return(0, now), None, "the second of a key waits for the first");
        // The first of a key that had come back was sent away again, because others of it were away, without end.
        assert_eq!(
            (absent.holds_before(1, 5), absent.holds_before(1, 6), absent.holds_before(2, 9)),
            (false, true, false)
        );
        absent.insert(4, 1, None);
        assert_eq!((absent.first_to_return(0, now), absent.next_due(now)), (Some(4), None), "an earlier one leads");
        assert_eq!((absent.take(4), absent.next_due(now), absent.may_have(later)), (None, Some(later), true));
        assert_eq!(absent.first_to_return(0, later), Some(5));
        assert_eq!(absent.take(5), due(later));
        assert_eq!(
            (absent.holds_before(1, 5), absent.holds_before(1, 7)),
            (false, true),
            "what follows holds nothing back"
        );
        assert_eq!(
            (absent.first_to_return(0, now), absent.between(0, 6), absent.between(0, 9)),
            (Some(6), vec![], vec![6])
        );
    }
}
