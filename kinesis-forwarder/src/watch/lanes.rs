//! Which lanes have work and stand still. Pure: it is told how they stand, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use kinesis_core::pipeline::{LaneState, LaneStatus, Status};
use kinesis_core::{CursorPosition, ShardId, SubscriptionName};
use tokio::time::Instant;

/// What is remembered of the lanes that have work.
#[derive(Debug, Default)]
pub(super) struct Lanes(BTreeMap<(SubscriptionName, ShardId), Lane>);

#[derive(Debug)]
struct Lane {
    position: Option<CursorPosition>,
    /// Since when it has been there with work.
    since: Instant,
    halted: bool,
}

impl Lanes {
    /// Takes in how they stand now.
    pub(super) fn see(&mut self, status: &Status, now: Instant) {
        let mut seen = BTreeMap::new();
        for (name, subscription) in &status.subscriptions {
            for (shard, lane) in subscription.shards.iter().filter(|(_, lane)| has_work(lane)) {
                let key = (name.clone(), shard.clone());
                let before = self.0.remove(&key).filter(|before| before.position == lane.position);
                let since = before.map_or(now, |before| before.since);
                let halted = lane.state == LaneState::Halted;
                seen.insert(key, Lane { position: lane.position, since, halted });
            }
        }
        self.0 = seen;
    }

    /// Those that have stood still for `patience`, each with why.
    pub(super) fn stalled(&self, patience: Duration, now: Instant) -> Vec<String> {
        let stalled = |((name, shard), lane): (&(SubscriptionName, ShardId), &Lane)| {
            let still = now.saturating_duration_since(lane.since);
            if lane.halted {
                return Some(format!("{name} has halted on {shard}"));
            }
            (still >= patience).then(|| format!("{name} has stood still on {shard} for {} s", still.as_secs()))
        };
        self.0.iter().filter_map(stalled).collect()
    }
}

fn has_work(lane: &LaneStatus) -> bool {
    match lane.state {
        LaneState::Gated | LaneState::Paused | LaneState::Finished => false,
        LaneState::Halted
        | LaneState::CatchingUp
        | LaneState::WaitingForReader
        | LaneState::Behind
        | LaneState::WaitingForMemory => true,
        _ => lane.unsettled > 0,
    }
}
