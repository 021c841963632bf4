//! Who takes which shard: every worker decides by itself, from the same leases, and all come to the same end. Pure.
//!
//! Shares differ by one at most, and no more is moved than that needs. Only who has too little does anything: it takes what
//! is free, and where nothing is, it asks those who have more than their share.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::lease::WorkerId;
use crate::shard::ShardId;

/// A shard that is to be read, as one worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) shard: ShardId,
    /// Who holds it and lives; nobody, where it may be taken.
    pub(crate) holder: Option<WorkerId>,
    /// Who has asked the holder for it; the holder itself, where it leaves.
    pub(crate) wanted_by: Option<WorkerId>,
    /// Nobody has taken it for so long that somebody has to, whatever its share.
    pub(crate) is_overdue: bool,
}

impl Seen {
    /// A holder that is about to let go of all that it has.
    fn leaver(&self) -> Option<&WorkerId> {
        self.holder.as_ref().filter(|holder| self.wanted_by.as_ref() == Some(*holder))
    }

    /// Whose share it counts in: that of whoever gets it next.
    fn counts_for(&self) -> Option<&WorkerId> {
        self.holder.as_ref().map(|holder| self.wanted_by.as_ref().unwrap_or(holder))
    }
}

/// What a worker does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// It takes these, which are free.
    pub(crate) take: Vec<ShardId>,
    /// It asks the holders of these.
    pub(crate) ask: Vec<ShardId>,
}

/// What `me` does about these shards, its own among them.
pub(crate) fn assign(seen: &[Seen], me: &WorkerId) -> Moves {
    // Whoever leaves has no share any more: what it still holds is for the others, as soon as it is free.
    let leavers: BTreeSet<&WorkerId> = seen.iter().filter_map(Seen::leaver).collect();
    let stays = |worker: &&WorkerId| !leavers.contains(*worker);
    let mut counts: BTreeMap<&WorkerId, usize> = BTreeMap::from([(me, 0)]);
    for shard in seen {
        // A holder that gives its last shard away lives, and has its share of them all.
        shard.holder.iter().filter(stays).for_each(|holder| _ = counts.entry(holder).or_default());
        shard.counts_for().into_iter().filter(stays).for_each(|worker| *counts.entry(worker).or_default() += 1);
    }
    let shares = shares(&counts, seen.len());
    let mut room = shares[me].saturating_sub(counts[me]);
    let mut moves = Moves::default();
    let free = in_turn(seen.iter().filter(|shard| shard.holder.is_none()), me);
    for shard in &free {
        if room > 0 || shard.is_overdue {
            room = room.saturating_sub(1);
            moves.take.push(shard.shard.clone());
        }
    }
    if free.is_empty() {
        let mut surplus: BTreeMap<&WorkerId, usize> =
            counts.iter().map(|(worker, count)| (*worker, count.saturating_sub(shares[worker]))).collect();
        let held = seen.iter().filter(|shard| shard.wanted_by.is_none());
        for shard in in_turn(held, me) {
            let Some(left) = shard.holder.as_ref().and_then(|holder| surplus.get_mut(holder)) else { continue };
            if room > 0 && *left > 0 {
                (room, *left) = (room - 1, *left - 1);
                moves.ask.push(shard.shard.clone());
            }
        }
    }
    moves
}

/// How many shards each worker is to have. What does not divide evenly stays with those who have most.
fn shares<'a>(counts: &BTreeMap<&'a WorkerId, usize>, shards: usize) -> BTreeMap<&'a WorkerId, usize> {
    let (each, over) = (shards / counts.len(), shards % counts.len());
    let mut workers: Vec<_> = counts.iter().map(|(worker, count)| (usize::MAX - count, *worker)).collect();
    workers.sort_unstable();
    workers.iter().enumerate().map(|(nth, (_, worker))| (*worker, each + usize::from(nth < over))).collect()
}

/// In an order of this worker's own, so that several do not all begin with the same; what is overdue first.
fn in_turn<'a>(seen: impl Iterator<Item = &'a Seen>, me: &WorkerId) -> Vec<&'a Seen> {
    let turn = |shard: &&Seen| {
        let mut hasher = DefaultHasher::new();
        (&**me, &*shard.shard).hash(&mut hasher);
        (!shard.is_overdue, hasher.finish())
    };
    let mut in_turn: Vec<_> = seen.collect();
    in_turn.sort_by_key(turn);
    in_turn
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn worker(n: usize) -> WorkerId {
        WorkerId::from(format!("worker-{n}"))
    }

    fn seen(shard: usize, holder: Option<usize>) -> Seen {
        let shard = ShardId::from(format!("shard-{shard}"));
        Seen { shard, holder: holder.map(worker), wanted_by: None, is_overdue: false }
    }

    fn counts(shards: &[Seen], workers: usize) -> Vec<usize> {
        (0..workers).map(|n| shards.iter().filter(|shard| shard.holder == Some(worker(n))).count()).collect()
    }

    /// One round: each worker in turn looks and moves; then every holder gives what it was asked for.
    fn round(shards: &mut [Seen], workers: usize) -> usize {
        let mut moved = 0;
        for n in 0..workers {
            let moves = assign(shards, &worker(n));
            moved += moves.take.len() + moves.ask.len();
            for shard in shards.iter_mut() {
                if moves.take.contains(&shard.shard) {
                    assert!(shard.holder.is_none(), "what is held is not taken");
                    shard.holder = Some(worker(n));
                }
                if moves.ask.contains(&shard.shard) {
                    assert!(shard.wanted_by.is_none() && shard.holder != Some(worker(n)));
                    shard.wanted_by = Some(worker(n));
                }
            }
        }
        for shard in shards {
            shard.holder = shard.wanted_by.take().or(shard.holder.take());
        }
        moved
    }

    proptest! {
        #[test]
        fn shares_differ_by_one_at_most_after_a_few_rounds_and_then_nothing_moves(
            holders in prop::collection::vec(prop::option::weighted(0.7, 0..6usize), 0..60), workers in 1..6usize,
        ) {
            // Workers that are gone hold nothing.
            let holders = holders.iter().map(|holder| holder.filter(|n| *n < workers));
            let mut shards: Vec<Seen> = holders.enumerate().map(|(shard, holder)| seen(shard, holder)).collect();
            for _ in 0..workers + 2 {
                round(&mut shards, workers);
            }
            let counts = counts(&shards, workers);
            prop_assert_eq!(counts.iter().sum::<usize>(), shards.len());
            let spread = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0);
            prop_assert!(spread <= 1, "{counts:?}");
            prop_assert_eq!(round(&mut shards, workers), 0, "what is balanced rests");
        }

        #[test]
        fn a_newcomer_gets_its_share_and_nobody_else_is_moved(shards in 1..60usize, workers in 1..6usize) {
            let mut shards: Vec<Seen> = (0..shards).map(|n| seen(n, Some(n % workers))).collect();
            let before = shards.clone();
            for _ in 0..workers + 2 {
                round(&mut shards, workers + 1);
            }
            let moved = shards.iter().zip(&before).filter(|(now, before)| now.holder != before.holder).count();
            prop_assert_eq!(moved, counts(&shards, workers + 1)[workers], "only what it has now was moved");
            prop_assert_eq!(moved, shards.len() / (workers + 1));
        }
    }

    #[test]
    fn one_that_is_alone_takes_everything_at_once() {
        let shards: Vec<Seen> = (0..7).map(|n| seen(n, None)).collect();
        assert_eq!(assign(&shards, &worker(0)).take.len(), 7);
    }

    #[test]
    fn what_one_that_leaves_has_let_go_is_taken_before_it_has_let_go_of_the_rest() {
        let mut shards: Vec<Seen> = (0..9).map(|n| seen(n, Some(n % 3))).collect();
        let gone = shards.iter_mut().filter(|shard| shard.holder == Some(worker(2)));
        for (nth, shard) in gone.enumerate() {
            (shard.holder, shard.wanted_by) = if nth < 2 { (None, None) } else { (Some(worker(2)), Some(worker(2))) };
        }
        // One of the two has five of nine in the end, the other four.
        assert_eq!(assign(&shards, &worker(0)).take.len(), 2);
        let taken = assign(&shards, &worker(0)).take.remove(0);
        shards.iter_mut().filter(|shard| shard.shard == taken).for_each(|shard| shard.holder = Some(worker(0)));
        assert_eq!(assign(&shards, &worker(1)), Moves { take: assign(&shards, &worker(1)).take, ask: Vec::new() });
        assert_eq!(assign(&shards, &worker(1)).take.len(), 1);
        // Nobody asks for what will come anyway.
        shards.iter_mut().filter(|shard| shard.holder.is_none()).for_each(|shard| shard.holder = Some(worker(1)));
        assert_eq!(assign(&shards, &worker(0)), Moves::default());
        assert_eq!(assign(&shards, &worker(1)), Moves::default());
    }

    #[test]
    fn what_is_overdue_is_taken_beyond_the_share_by_whoever_sees_it() {
        let mut shards: Vec<Seen> = (0..4).map(|n| seen(n, Some(n % 2))).collect();
        shards.extend((4..6).map(|n| seen(n, None)));
        assert_eq!(assign(&shards, &worker(0)).take.len(), 1, "the other one is for the other worker");
        shards[5].is_overdue = true;
        shards[4].is_overdue = true;
        assert_eq!(assign(&shards, &worker(0)).take.len(), 2);
    }
}
