//! Pressure: somebody waits for memory, and who holds some without getting on gives it back.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Phase, Round, Runner};
use crate::budget::Waiting;
use crate::lane::{FLOOR, Lane};

/// A lane that has settled nothing for this long makes no progress; and so often a lane that gave back is let take more.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who lacks memory on this shard, and who could spare some.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Lanes that could take more if there were room.
    starved: BTreeSet<usize>,
    waiting: Option<Waiting>,
    /// Lanes that take less at a time, since they gave something back.
    narrowed: BTreeSet<usize>,
    look_at: Option<Instant>,
}

impl Pressure {
    pub(super) fn note(&mut self, id: usize, lane: &Lane) {
        if lane.is_starved() {
            self.starved.insert(id);
        } else {
            self.starved.remove(&id);
        }
    }

    pub(super) fn forget(&mut self, id: usize) {
        self.starved.remove(&id);
        self.narrowed.remove(&id);
    }

    pub(super) fn is_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    pub(super) fn starved(&self) -> &BTreeSet<usize> {
        &self.starved
    }

    /// When to look again though nothing happens.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }
}

impl Runner {
    /// Gives memory back while somebody waits for it, as far as nobody gets on with it here.
    pub(super) fn mind_pressure(&mut self, round: &mut Round, pressed: bool) {
        let now = Instant::now();
        if round.pressure.starved.is_empty() {
            round.pressure.waiting = None;
        } else if round.pressure.waiting.is_none() {
            round.pressure.waiting = Some(self.budget.wait());
            // Said first, looked at once more then: what was given back in between is noticed.
            round.touched.extend(&round.pressure.starved);
        }
        if round.phase != Phase::Running || !self.feed.replayable() {
            // A look that is never taken would be due for ever.
            round.pressure.look_at = None;
            return;
        }
        if pressed {
            self.feed.shrink();
        }
        if round.pressure.look_at.is_some_and(|at| at > now) {
            return;
        }
        round.pressure.look_at = None;
        if pressed {
            self.give_back(now, round);
        } else {
            for id in round.pressure.narrowed.clone() {
                let wide = self.lanes.get_mut(&id).is_none_or(Lane::widen);
                if wide {
                    round.pressure.narrowed.remove(&id);
                }
                round.touched.insert(id);
            }
        }
        let holds = self.lanes.values().any(Lane::holds_something);
        if pressed && holds || !round.pressure.narrowed.is_empty() {
            round.pressure.look_at = Some(now + PATIENCE);
        }
    }

    fn give_back(&mut self, now: Instant, round: &mut Round) {
        let floor = (self.budget.limit() / FLOOR.0).min(FLOOR.1);
        let since = now.checked_sub(PATIENCE);
        for (id, lane) in &mut self.lanes {
            if since.is_some_and(|since| lane.is_stuck(since, floor)) {
                lane.give_back();
                lane.narrow(floor);
                round.pressure.narrowed.insert(*id);
                round.touched.insert(*id);
            }
        }
    }
}
