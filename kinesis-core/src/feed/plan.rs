//! Planning: which reader reads now, who gets a reader of those who wait for one, and what is asked for with what room.

use std::time::Duration;

use tokio::time::Instant;

use super::track::{Allowed, Track, TrackId};
use super::turns::{FRONT_SLICE, SLICE, Side};
use super::{Feed, lowest};

/// How many readers of a shard catch up at once.
const MOST_BEHIND: usize = 2;
/// How long a reader that catches up is kept while others wait for one.
pub(super) const TIME_SLICE: Duration = Duration::from_secs(5);
/// How long a reader that catches up is kept while nobody asks anything of it.
const UNUSED: Duration = Duration::from_secs(5);
/// A read that takes longer than this keeps nobody else from reading.
const SLOW: Duration = Duration::from_secs(1);

/// What came of planning.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// When to plan again, even if nothing happens.
    pub(crate) wake: Option<Instant>,
    /// A reader was opened for those who wait, perhaps in place of one that others read from.
    pub(crate) opened: bool,
}

impl Feed {
    /// Opens readers for those who wait, and sends off the reads that are due and have room.
    pub(crate) fn plan(&mut self, now: Instant) -> Planned {
        // What came with the turn has been offered to every lane by now.
        self.passing = None;
        let mut planned = Planned::default();
        if self.closed {
            return planned;
        }
        let replayable = self.replayable();
        if replayable && self.is_split() {
            self.close_unused(now, &mut planned);
            self.open_for_waiters(now, &mut planned);
        }
        let parks = self.config.source.caps().parks;
        let mut only_urgent = false;
        while let Some(index) = self.next_to_read(now, parks, only_urgent, &mut planned) {
            // Who finds no room does not keep those from reading who need none.
            if !self.ask(index, now) && std::mem::replace(&mut only_urgent, true) {
                return planned;
            }
        }
        if only_urgent {
            return planned;
        }
        if !self.tracks.iter().any(|track| track.is_eager(replayable)) {
            (self.starved, self.queued, self.turn) = (None, None, None);
        }
        planned
    }

    /// Which track reads now.
    fn next_to_read(&mut self, now: Instant, parks: bool, only_urgent: bool, planned: &mut Planned) -> Option<usize> {
        let replayable = self.replayable();
        let mut wake_at = |at: Instant| planned.wake = Some(planned.wake.map_or(at, |wake| wake.min(at)));
        let mut ready = Vec::new();
        let eager = |track: &Track| track.is_eager(replayable) && (track.urgent || !only_urgent);
        for (index, track) in self.tracks.iter().enumerate().filter(|(_, track)| eager(track)) {
            match track.not_before.filter(|_| !track.is_due(now)) {
                None => ready.push(index),
                Some(at) => wake_at(at),
            }
        }
        // A reader that waits for records by itself takes no turn: the others would wait as long as it does.
        if parks && ready.first() == Some(&0) {
            return Some(0);
        }
        let in_turn = self.tracks.iter().filter(|track| !(parks && track.id == TrackId::FRONT));
        let busy_until = in_turn.filter_map(|track| track.asked).map(|asked| asked + SLOW).filter(|until| *until > now);
        if let Some(until) = busy_until.max() {
            if !ready.is_empty() {
                wake_at(until);
            }
            return None;
        }
        let behind = ready.iter().copied().filter(|index| *index > 0).min_by_key(|index| self.tracks[*index].used_at);
        match self.turns.next(ready.first() == Some(&0), behind.is_some())? {
            Side::Front => Some(0),
            Side::Behind => behind,
        }
    }

    /// Sends a request off if there is room for what it may bring.
    fn ask(&mut self, index: usize, now: Instant) -> bool {
        let (replayable, parks) = (self.replayable(), self.config.source.caps().parks);
        let catches_up = self.tracks[1..].iter().any(|track| track.wanted);
        let bytes = match (index, catches_up) {
            (0, false) => usize::MAX,
            (0, true) => FRONT_SLICE,
            _ => SLICE,
        };
        let budget = &self.config.budget;
        let seen = self.tracks.iter().find_map(Track::per_record);
        let track = &mut self.tracks[index];
        track.expect(seen);
        // The other half is for what some lanes have not taken yet, and would have to read again on their own.
        let share = self.seat.share() / 2;
        let (mut max, mut expected) = track.appetite(bytes.min(share), budget.limit(), replayable);
        if parks && index == 0 {
            // Such a read lies in wait for long, and must not keep the room of a large answer from the others.
            expected = expected.min(SLICE / 2);
        }
        let turn = if track.urgent { self.turn.take() } else { None };
        let allowed = match (budget.reserve(expected), turn) {
            (Some(reserved), _) => Allowed::Room(reserved),
            (None, Some(turn)) => {
                max = track.at_most(max, budget.limit().saturating_sub(budget.used()));
                Allowed::Turn(turn)
            }
            (None, None) => {
                if track.urgent && self.queued.is_none() {
                    let budget = budget.clone();
                    self.queued = Some(Box::pin(async move { budget.turn().await }));
                }
                // First said, then looked: bytes that come back in between are noticed.
                if self.starved.is_none() {
                    self.freed.catch_up();
                    self.starved = Some(budget.wait());
                    return self.ask(index, now);
                }
                return false;
            }
        };
        (self.starved, self.queued, self.turn) = (None, None, None);
        track.ask(max, allowed, now, replayable);
        true
    }

    fn close_unused(&mut self, now: Instant, planned: &mut Planned) {
        let mut wake = planned.wake;
        self.tracks.retain(|track| {
            let unused_at = track.used_at + UNUSED;
            let unused = track.id != TrackId::FRONT && !track.wanted && track.asked.is_none();
            if unused && unused_at > now {
                wake = Some(wake.map_or(unused_at, |wake| wake.min(unused_at)));
            }
            !unused || unused_at > now
        });
        planned.wake = wake;
    }

    /// Opens a reader for whoever has been waiting longest; in place of one that has had its time, if there are enough.
    fn open_for_waiters(&mut self, now: Instant, planned: &mut Planned) {
        let oldest = self.waiters.values().min_by_key(|waiter| waiter.since).copied();
        let Some(oldest) = oldest else { return };
        if self.tracks.len() > MOST_BEHIND {
            // Whoever is nearest keeps his reader until he is there. Where all took turns, nobody would ever be, unless
            // there were bytes enough for all of them at once.
            let near = |index: &usize| self.tracks[*index].ring.at_tip().arrived_at;
            let nearest = (1..self.tracks.len()).max_by_key(near);
            let others = (1..self.tracks.len()).filter(|index| Some(*index) != nearest);
            let spent = others.min_by_key(|index| self.tracks[*index].opened_at);
            let spent = spent.expect("more than one reader catches up");
            let until = self.tracks[spent].opened_at + TIME_SLICE;
            if until > now {
                planned.wake = Some(planned.wake.map_or(until, |wake| wake.min(until)));
                return;
            }
            self.tracks.remove(spent);
        }
        // Whoever is a little further back comes along.
        let close = self.waiters.values().map(|waiter| &waiter.from).filter(|from| from.is_near(&oldest.from));
        let from = lowest(close).unwrap_or(oldest.from);
        // What was read there was let go before anybody could take it: nobody has more room for it at once.
        let idle = self.config.idle;
        self.opened.retain(|(_, at)| *at + idle > now);
        if let Some((_, at)) = self.opened.iter().find(|(position, _)| *position == from.position) {
            planned.wake = Some(planned.wake.map_or(*at + idle, |wake| wake.min(*at + idle)));
            return;
        }
        self.opened.push((from.position, now));
        let id = TrackId(self.next_id);
        self.next_id += 1;
        self.tracks.push(Track::start(id, &self.config, from, self.answer.clone()));
        planned.opened = true;
    }
}
