//! Records that are open and whose payloads are not here: given back, to be read again when their turn comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use crate::deliver::History;

/// Open records without payloads, by the lane's offset. Those of one key come back in order, and nothing of the key goes
/// before them.
#[derive(Debug, Default)]
pub(super) struct Absent {
    records: BTreeMap<u64, Away>,
    keys: HashMap<u64, BTreeSet<u64>>,
    /// No record may come back before this time, as was found out; unknown after a change.
    none_before: Option<Instant>,
}

#[derive(Debug)]
struct Away {
    key: u64,
    history: Option<History>,
}

impl Away {
    fn due(&self) -> Option<Instant> {
        self.history.and_then(|history| history.due)
    }
}

impl Absent {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn insert(&mut self, offset: u64, key: u64, history: Option<History>) {
        self.none_before = None;
        self.records.insert(offset, Away { key, history });
        self.keys.entry(key).or_default().insert(offset);
    }

    /// Whether looking for a record that may come back is worth it.
    pub(super) fn may_have(&self, now: Instant) -> bool {
        !self.records.is_empty() && self.none_before.is_none_or(|none_before| none_before <= now)
    }

    /// Whether something of this key is away.
    pub(super) fn holds(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    /// Whether something of this key is away that comes before a record. What comes after it, it need not wait for.
    pub(super) fn holds_before(&self, key: u64, offset: u64) -> bool {
        self.keys.get(&key).and_then(BTreeSet::first).is_some_and(|first| *first < offset)
    }

    /// Whether the record is away and may come back now: it is the first of its key, and the time of its next attempt has
    /// come.
    pub(super) fn may_return(&self, offset: u64, now: Instant) -> bool {
        self.records
            .get(&offset)
            .is_some_and(|away| self.leads(offset, away) && away.due().is_none_or(|due| due <= now))
    }

    fn leads(&self, offset: u64, away: &Away) -> bool {
        self.keys.get(&away.key).and_then(BTreeSet::first) == Some(&offset)
    }

    /// The first record from `from` on that may come back now.
    pub(super) fn first_to_return(&self, from: u64, now: Instant) -> Option<u64> {
        self.records.range(from..).map(|(offset, _)| *offset).find(|offset| self.may_return(*offset, now))
    }

    /// When the next record may come back, if none may yet.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Instant> {
        if self.none_before.is_none_or(|none_before| none_before <= now) {
            let leading = self.records.iter().filter(|(offset, away)| self.leads(**offset, away));
            self.none_before = leading.map(|(_, away)| away.due().unwrap_or(now)).min();
        }
        self.none_before.filter(|due| *due > now)
    }

    /// Takes a record out, with what it has been through.
    pub(super) fn take(&mut self, offset: u64) -> Option<History> {
        let away = self.records.remove(&offset)?;
        self.none_before = None;
        if let Some(of_key) = self.keys.get_mut(&away.key) {
            of_key.remove(&offset);
            if of_key.is_empty() {
                self.keys.remove(&away.key);
            }
        }
        away.history
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
        assert_eq!((absent.next_due(now), absent.may_have(now), absent.may_have(later)), (Some(later), false, true));
        assert_eq!(absent.first_to_return(0, now), None, "the second of a key waits for the first");
        // The first of a key that had come back was sent away again, because others of it were away, without end.
        assert_eq!(
            (absent.holds_before(1, 5), absent.holds_before(1, 6), absent.holds_before(2, 9)),
            (false, true, false)
        );
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
