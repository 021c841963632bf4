//! Whose turn it is to read, where the reads of a shard go one after another. Pure.
//!
//! A shard has so many reads and bytes a second for all its readers together. What is new comes first; but while
//! somebody catches up, every other read is his, and the reads at the front are not so large that he gets less than a
//! quarter of the bytes.

/// The bytes that one read asks for at most for those who catch up: half a megabyte, a quarter of what a shard of Kinesis
/// answers in a second, so that no read keeps the front waiting for long.
pub(super) const SLICE: usize = 512 << 10;

/// The bytes that one read at the front asks for while somebody catches up.
pub(super) const FRONT_SLICE: usize = 3 * SLICE;

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The reader at the front.
    Front,
    /// One that catches up.
    Behind,
}

/// Remembers who had the last turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    front_had_it: bool,
}

impl Turns {
    /// Who reads next of those who are ready to.
    pub(super) fn next(&mut self, front: bool, behind: bool) -> Option<Side> {
        let side = match (front, behind) {
            (false, false) => return None,
            (true, true) if self.front_had_it => Side::Behind,
            (true, _) => Side::Front,
            (false, true) => Side::Behind,
        };
        self.front_had_it = side == Side::Front;
        Some(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whoever is ready all the time never waits for more than one read of the other side, and who catches up gets a
        /// quarter of the bytes though the front takes all it may.
        #[test]
        fn nobody_waits_for_more_than_one_read_of_the_other(ready in prop::collection::vec((any::<bool>(), any::<bool>()), 1..200)) {
            let mut turns = Turns::default();
            let (mut front_waits, mut behind_waits) = (0, 0);
            let (mut front_bytes, mut behind_bytes) = (0usize, 0usize);
            for (front, behind) in ready {
                let side = turns.next(front, behind);
                prop_assert_eq!(side.is_some(), front || behind);
                prop_assert!(side != Some(Side::Front) || front);
                prop_assert!(side != Some(Side::Behind) || behind);
                front_waits = if front && side != Some(Side::Front) { front_waits + 1 } else { 0 };
                behind_waits = if behind && side != Some(Side::Behind) { behind_waits + 1 } else { 0 };
                prop_assert!(front_waits <= 1 && behind_waits <= 1);
                if front && behind {
                    front_bytes += if side == Some(Side::Front) { FRONT_SLICE } else { 0 };
                    behind_bytes += if side == Some(Side::Behind) { SLICE } else { 0 };
                } else {
                    (front_bytes, behind_bytes) = (0, 0);
                }
                prop_assert!(behind_bytes * 3 + FRONT_SLICE >= front_bytes);
            }
        }
    }
}
