//! A cursor: how far a subscription is in a shard, and which of two places is further.

use std::cmp::Ordering;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::shard::StartPosition;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;

    fn after(n: u64) -> CursorPosition {
        CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
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
}
