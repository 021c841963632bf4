//! Which events were taken already, and which are being taken at the moment.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Event;

/// The ids of the last events that were taken.
///
/// With an id goes what it stood for: two streams may number alike, and what only looks like a repetition must not be passed
/// over. Of both there are hashes alone, because an id may be as long as a body.
#[derive(Debug)]
pub(super) struct Seen {
    most: usize,
    /// Keys of this process, which nobody outside can aim at; two of them, so that two events are 128 bits apart.
    hashes: [RandomState; 2],
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    events: HashMap<Mark, Stand>,
    /// Those that were taken, oldest first.
    taken: VecDeque<Mark>,
}

/// An event, as far as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Mark {
    id: u64,
    event: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    UnderWay,
    Taken,
}

/// What is known of an event that comes.
#[derive(Debug)]
pub(super) enum Met<'a> {
    /// Nothing: it is to be taken, and the visit says how that went.
    New(Visit<'a>),
    /// It was taken before.
    Taken,
    /// It is being taken at the moment, for another request.
    UnderWay,
}

/// An event that is being taken. Dropped without [`taken`](Self::taken), it is unknown again.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    seen: &'a Seen,
    /// None for an event without an id, and when nothing is remembered.
    mark: Option<Mark>,
}

impl Seen {
    pub(super) fn new(most: usize) -> Self {
        Self { most, hashes: [RandomState::new(), RandomState::new()], known: Mutex::default() }
    }

    /// Meets an event.
    pub(super) fn meet(&self, event: &Event) -> Met<'_> {
        let Some(mark) = self.mark(event).filter(|_| self.most > 0) else {
            return Met::New(Visit { seen: self, mark: None });
        };
        let mut known = self.known();
        match known.events.get(&mark).copied() {
            Some(Stand::Taken) => return Met::Taken,
            Some(Stand::UnderWay) => return Met::UnderWay,
            None => known.events.insert(mark, Stand::UnderWay),
        };
        Met::New(Visit { seen: self, mark: Some(mark) })
    }

    fn mark(&self, event: &Event) -> Option<Mark> {
        let [first, second] = &self.hashes;
        // Where a part is signed, that part alone counts: whoever repeats a request can write anything into the rest.
        if let Some(id) = &event.signed_id {
            return Some(Mark { id: first.hash_one(id), event: second.hash_one((id, &event.data)) });
        }
        let id = event.id.as_deref()?;
        Some(Mark { id: first.hash_one(id), event: second.hash_one((id, &event.channel, &event.data)) })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is known is whole at any time, whoever panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit<'_> {
    /// The event was taken for good.
    pub(super) fn taken(mut self) {
        let Some(mark) = self.mark.take() else { return };
        let mut known = self.seen.known();
        known.events.insert(mark, Stand::Taken);
        known.taken.push_back(mark);
        if known.taken.len() > self.seen.most
            && let Some(oldest) = known.taken.pop_front()
        {
            known.events.remove(&oldest);
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.seen.known().events.remove(&mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use kinesis_core::SequenceNumber;

    use super::*;
    use crate::format::Parsed;

    fn event(id: &str, data: &'static str) -> Event {
        let parsed = Parsed {
            id: Some(id.to_owned()),
            channel: "channel".into(),
            partition_key: None,
            shard: None,
            sequence_number: SequenceNumber::ZERO,
            data: data.into(),
            arrived_at: None,
        };
        Event::of(parsed, data.into())
    }

    fn take(seen: &Seen, event: &Event) -> bool {
        match seen.meet(event) {
            Met::New(visit) => visit.taken(),
            Met::Taken | Met::UnderWay => return false,
        }
        true
    }

    #[test]
    fn what_was_taken_is_known_and_what_was_not_is_new_again() {
        let seen = Seen::new(10);
        drop(seen.meet(&event("1", "data")));
        assert!(take(&seen, &event("1", "data")));
        assert!(!take(&seen, &event("1", "data")));
        // The same number in another stream.
        assert!(take(&seen, &event("1", "other data")));
    }

    #[test]
    fn what_is_under_way_is_said_to_be() {
        let seen = Seen::new(10);
        let first = seen.meet(&event("1", "data"));
        assert!(matches!(seen.meet(&event("1", "data")), Met::UnderWay));
        drop(first);
        assert!(matches!(seen.meet(&event("1", "data")), Met::New(_)));
    }

    #[test]
    fn no_more_is_remembered_than_was_asked_for() {
        let seen = Seen::new(2);
        for id in ["1", "2", "3"] {
            assert!(take(&seen, &event(id, "data")));
        }
        assert!(!take(&seen, &event("3", "data")));
        assert!(take(&seen, &event("1", "data")));
        assert_eq!(seen.known().events.len(), 2);
        let none = Seen::new(0);
        assert!(take(&none, &event("1", "data")) && take(&none, &event("1", "data")));
    }
}
