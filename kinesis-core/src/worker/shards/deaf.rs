//! Holders that do not answer when they are asked for a shard: a worker of the KCL knows of no such thing. From those a
//! shard is taken in the end, as they take from each other.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Shards;
use crate::assignment::Moves;
use crate::lease::{Lease, WorkerId};
use crate::shard::ShardId;

/// How much longer a request of somebody else stands than one of our own: first it is theirs to take.
const LONGER_FOR_OTHERS: u32 = 2;

/// Requests that stand, and since when on our clock.
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeMap<ShardId, Request>);

#[derive(Debug)]
struct Request {
    holder: WorkerId,
    asker: WorkerId,
    since: Instant,
}

impl Requests {
    /// Takes in the rows as they are now.
    fn observe<'a>(&mut self, rows: impl Iterator<Item = &'a Lease>) {
        let mut stood = std::mem::take(&mut self.0);
        for row in rows {
            let Some((holder, asker)) = row.owner.clone().zip(row.wanted_by.clone()) else { continue };
            let shard = &row.key.shard;
            let same = stood.remove(shard).filter(|request| (&request.holder, &request.asker) == (&holder, &asker));
            let request = same.unwrap_or_else(|| Request { holder, asker, since: Instant::now() });
            self.0.insert(shard.clone(), request);
        }
    }

    /// Whether a request has stood for so long that the holder will not answer.
    fn is_in_vain(&self, shard: &ShardId, me: &WorkerId, patience: Duration) -> bool {
        self.0.get(shard).is_some_and(|request| {
            let longer = if request.asker == *me { 1 } else { LONGER_FOR_OTHERS };
            request.since.elapsed() >= patience * longer
        })
    }
}

impl Shards {
    /// Takes in which requests stand.
    pub(super) fn observe_requests(&mut self) {
        self.requests.observe(self.rows.values());
    }

    /// Who asks for a shard, unless that was in vain for so long that the asker is gone, too.
    pub(super) fn asker(&self, row: &Lease, me: &WorkerId, patience: Duration) -> Option<WorkerId> {
        let stands = |asker: &WorkerId| asker == me || !self.requests.is_in_vain(&row.key.shard, me, patience);
        row.wanted_by.clone().filter(stands)
    }

    /// Takes one shard from a holder that did not answer: one that this worker has asked for, or would ask for now.
    pub(super) fn take_from_the_deaf(&self, moves: &mut Moves, me: &WorkerId, patience: Duration) {
        let ours = self.rows.values().filter(|row| {
            let held_elsewhere = row.owner.as_ref().is_some_and(|owner| owner != me);
            held_elsewhere && row.wanted_by.as_ref() == Some(me) && self.watched.contains(&row.key.shard)
        });
        let mut candidates = ours.map(|row| &row.key.shard).chain(&moves.ask);
        let deaf = candidates.find(|shard| self.requests.is_in_vain(shard, me, patience)).cloned();
        if let Some(shard) = deaf {
            moves.ask.retain(|asked| *asked != shard);
            if !moves.take.contains(&shard) {
                tracing::info!(%shard, "its holder does not hand it over: it is taken");
                moves.take.push(shard);
            }
        }
    }
}
