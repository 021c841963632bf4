//! Which shards are free, and what this worker does about them and about those that others hold.

use std::time::Duration;

use super::Shards;
use crate::assignment::{Moves, Seen, assign};
use crate::broken::{self, Part};
use crate::lease::{Lease, WorkerId};
use crate::shard::Shard;

/// A lease that nobody takes for so many failover times is for whoever sees it, beyond its share: those for whom it was
/// left do not come.
const OVERDUE: u32 = 2;

impl Shards {
    /// What this worker does about the shards that it `wants` and those that it holds: it takes what is free of them, and
    /// asks for what others have too much of. Who is asked has `patience` to hand over.
    pub(in crate::worker) fn moves(
        &mut self,
        wanted: &[Shard],
        me: &WorkerId,
        failover: Duration,
        patience: Duration,
    ) -> Moves {
        self.observe_requests();
        let held = self.held.keys().map(|shard| Seen {
            shard: shard.clone(),
            holder: Some(me.clone()),
            wanted_by: self.rows.get(shard).and_then(|row| row.wanted_by.clone()).filter(|asker| asker != me),
            is_overdue: false,
        });
        let mut seen: Vec<Seen> = held.collect();
        for shard in wanted {
            let free = Seen { shard: shard.id.clone(), holder: None, wanted_by: None, is_overdue: false };
            seen.push(match self.rows.get(&shard.id).cloned() {
                None => free,
                // Ours from before, or handed over to us: that is for nobody else.
                Some(row) if row.owner.as_ref() == Some(me) => Seen { is_overdue: true, ..free },
                Some(row) => match self.free_for(&row, me, failover) {
                    Some(since) => Seen { is_overdue: since >= failover * OVERDUE, ..free },
                    None => Seen { wanted_by: self.asker(&row, me, patience), holder: row.owner, ..free },
                },
            });
        }
        let mut moves = assign(&seen, me);
        if broken::is(Part::NobodyAsks) {
            moves.ask.clear();
        }
        self.take_from_the_deaf(&mut moves, me, patience);
        moves
    }

    /// For how long a row has been free for a claim, by our own clock: nobody holds it, or its holder's counter stood still
    /// for a failover time. None while somebody holds it.
    pub(in crate::worker) fn free_for(&mut self, row: &Lease, me: &WorkerId, failover: Duration) -> Option<Duration> {
        let still = self.watched.still_for(row);
        if row.owner.as_ref().is_none_or(|owner| owner == me) {
            return Some(still);
        }
        let early = if broken::is(Part::LeaseTakenEarly) { 2 } else { 1 };
        let apart = if broken::is(Part::ExpiryByTimeOfDay) { Duration::from_secs(2 * 60 * 60) } else { Duration::ZERO };
        (still + apart).checked_sub(failover / early)
    }

    /// Whether there are others, who may take what is for them, hand over what they were asked for, or be gone.
    pub(in crate::worker) fn waits_for_lease(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Takes in a row that was just made of a shard that is left to others, who may not come.
    pub(in crate::worker) fn left_to_others(&mut self, row: Lease) {
        self.watched.still_for(&row);
        self.rows.insert(row.key.shard.clone(), row);
    }

    /// Someone was faster: what is known of the row is old.
    pub(in crate::worker) fn lost_race(&mut self, row: &Lease) {
        self.watched.begin_anew(row);
    }
}
