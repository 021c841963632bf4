//! The demand buffer: what a lane asked for and what it holds, so that nothing is emitted that was not asked for.
//!
//! A sink wants records when it is ready; a stream answers in coarse batches. Between the two stands this account: a
//! lane asks for up to `max` records, and asks again only when what it holds has fallen to `min`, so that one read
//! serves many deliveries.

use serde::{Deserialize, Serialize};

/// How much a subscription takes in on one shard before its sink has settled it.
///
/// What counts is held: queued or with the sink. A record that waits for another attempt, or behind one of its key that
/// does, no longer counts against `max`, so that others may come; its bytes count against `max_bytes` until it is settled.
/// Payloads that were given back for want of memory count against neither.
///
/// Across shards, [`Subscription::cap`](crate::Subscription::cap) is the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// It asks again when it holds this many records or fewer. Less than `max`. Default 500.
    pub min: usize,
    /// It holds at most this many records, those that come back behind a key not counted. No more than this many are with
    /// the sink for the first time. Default 1,000.
    pub max: usize,
    /// It holds at most this many bytes of payloads and keys, or one record of more. Default 8 MiB.
    pub max_bytes: usize,
    /// It looks at most this many records past its cursor, those of channels that it does not take included, so that one
    /// stuck record stops it in the end. For each of them its place is kept in memory. At least `max`. Default 10,000.
    pub max_ahead: usize,
}

impl Default for Demand {
    fn default() -> Self {
        Self { min: 500, max: 1_000, max_bytes: 8 << 20, max_ahead: 10_000 }
    }
}

/// What one lane asked for and holds. Pure: it neither waits nor reads.
#[derive(Debug, Clone)]
pub struct DemandBuffer {
    limits: Demand,
    /// Records that were emitted and are neither settled nor put aside.
    held: usize,
    held_bytes: usize,
    /// Records asked for and not emitted yet. Demand that cannot be met is kept here until records arrive.
    asked: usize,
    /// The bytes it may hold now, up to `max_bytes`: fewer after it had to give some back.
    window: usize,
}

impl DemandBuffer {
    /// A lane that holds nothing and asks for as much as it may.
    #[must_use]
    pub const fn new(limits: Demand) -> Self {
        Self { limits, held: 0, held_bytes: 0, asked: limits.max, window: limits.max_bytes }
    }

    /// How many records may be emitted now.
    #[must_use]
    pub const fn open(&self) -> usize {
        if self.held_bytes > 0 && self.held_bytes >= self.window { 0 } else { self.asked }
    }

    /// Whether a record of `bytes` may be emitted now: it was asked for and fits, or is too large to ever fit and alone.
    #[must_use]
    pub const fn admits(&self, bytes: usize) -> bool {
        self.asked > 0 && (self.held_bytes + bytes <= self.window || self.held_bytes == 0)
    }

    /// Counts one record as emitted.
    pub const fn emit(&mut self, bytes: usize) {
        debug_assert!(self.asked > 0, "emitted more than was asked");
        self.asked = self.asked.saturating_sub(1);
        self.held += 1;
        self.held_bytes += bytes;
    }

    /// Counts records as settled or put aside, and asks anew when few enough are held.
    pub const fn settle(&mut self, records: usize, bytes: usize) {
        debug_assert!(self.held >= records && self.held_bytes >= bytes, "settled more than was held");
        self.held = self.held.saturating_sub(records);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        if self.held <= self.limits.min {
            self.asked = self.limits.max - self.held;
        }
    }

    /// Counts records as put aside: they wait for something else than the sink, and must not keep the others from
    /// coming. Their bytes stay counted.
    pub const fn put_aside(&mut self, records: usize) {
        self.settle(records, 0);
    }

    /// Counts records as held again that were put aside. They were asked for before, so they are let in even past `max`.
    pub const fn take_back(&mut self, records: usize) {
        self.held += records;
        let room = self.limits.max.saturating_sub(self.held);
        if self.asked > room {
            self.asked = room;
        }
    }

    /// Counts the bytes of records as settled that were put aside.
    pub const fn settle_aside(&mut self, bytes: usize) {
        debug_assert!(self.held_bytes >= bytes, "settled more than was held");
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }

    /// Halves the bytes that it may hold, but not below `floor`.
    pub fn narrow(&mut self, floor: usize) {
        self.window = (self.window / 2).max(floor).min(self.limits.max_bytes);
    }

    /// Doubles the bytes that it may hold, up to its bound.
    pub fn widen(&mut self) {
        self.window = self.window.saturating_mul(2).clamp(1, self.limits.max_bytes.max(1));
    }

    /// Whether it may hold all that its bound allows.
    #[must_use]
    pub const fn is_wide(&self) -> bool {
        self.window >= self.limits.max_bytes
    }

    /// How many bytes are held, of what was put aside too.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// How many records are held.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        /// The law of the demand buffer, under any interleaving of arrivals and settlements: never more than was asked,
        /// never more than the bounds allow, and never stuck while nothing is held.
        #[test]
        fn what_is_emitted_never_exceeds_what_was_asked(
            min in 0..20usize,
            more in 1..20usize,
            max_bytes in 1..500usize,
            steps in prop::collection::vec((any::<bool>(), 0..200usize), 1..300),
        ) {
            let limits = Demand { min, max: min + more, max_bytes, max_ahead: usize::MAX };
            let mut buffer = DemandBuffer::new(limits);
            let mut held: VecDeque<usize> = VecDeque::new();
            for (arrives, bytes) in steps {
                if arrives && buffer.admits(bytes) {
                    buffer.emit(bytes);
                    held.push_back(bytes);
                } else if let Some(bytes) = held.pop_front() {
                    buffer.settle(1, bytes);
                }
                prop_assert_eq!(buffer.held(), held.len());
                prop_assert!(held.len() <= limits.max);
                prop_assert!(held.iter().sum::<usize>() <= max_bytes || held.iter().filter(|b| **b > 0).count() <= 1);
                prop_assert!(buffer.open() + held.len() <= limits.max);
                prop_assert!(!held.is_empty() || buffer.admits(usize::MAX / 2), "nothing held, yet nothing asked");
            }
        }
    }

    /// A thousand records that waited for a retry used to count against the demand, and stopped every other key.
    #[test]
    fn what_is_put_aside_takes_no_demand_but_keeps_its_bytes() {
        let mut buffer = DemandBuffer::new(Demand { min: 1, max: 4, max_bytes: 40, ..Demand::default() });
        for _ in 0..4 {
            buffer.emit(10);
        }
        buffer.put_aside(4);
        assert_eq!((buffer.held(), buffer.admits(1)), (0, false));
        buffer.settle_aside(10);
        assert!(buffer.admits(10));
        buffer.take_back(3);
        assert_eq!((buffer.held(), buffer.open()), (3, 1));
    }

    #[test]
    fn it_asks_again_only_when_few_are_held() {
        let mut buffer = DemandBuffer::new(Demand { min: 2, max: 4, ..Demand::default() });
        for _ in 0..4 {
            buffer.emit(1);
        }
        assert_eq!(buffer.open(), 0);
        buffer.settle(1, 1);
        assert_eq!(buffer.open(), 0);
        buffer.settle(1, 1);
        assert_eq!(buffer.open(), 2);
    }
}
