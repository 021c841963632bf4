//! How a lane stands: opened, paused, halted, finished, drained; and what it has to say of itself.

use tokio::time::Instant;

use super::{Lane, Queue, State};
use crate::broken::{self, Part};
use crate::error::{Error, Result};
use crate::feed::{Feed, TrackId};
use crate::lease::Cursor;

impl Lane {
    /// Opens a gated lane; one whose subscription has halted meanwhile has nothing to wait for any more.
    pub(crate) fn open(&mut self) {
        if self.parts.state == State::Gated {
            self.opened = !self.parts.counters.is_halted();
            self.parts.state = if self.opened { State::Running } else { State::Halted };
        }
    }

    /// Stops taking records, or takes them again. What is under way goes on.
    pub(crate) fn pause(&mut self, paused: bool, feed: &Feed) {
        self.parts.paused = paused;
        if paused && feed.replayable() {
            self.give_back();
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.parts.paused
    }

    /// Ends the lane when everything of the ended shard is settled; says so once.
    pub(crate) fn finish(&mut self, feed: &Feed) -> bool {
        let ended = || self.spot.and_then(|spot| feed.ring(spot.track)).is_some_and(|ring| ring.end().is_some());
        let settled = self.parts.ledger.open() == 0 || broken::is(Part::FinishedWithOpen);
        let done = self.parts.state == State::Running && settled && self.is_at_tip(feed) && ended();
        if done {
            self.parts.state = State::Finished;
            self.parts.ledger.finish();
        }
        done
    }

    /// The cursor now; none before the gate was opened, even when the lane halts there: where a parent's row is missing, a
    /// cursor in its child says that the parent was read.
    pub(crate) fn cursor(&mut self, feed: &Feed) -> Option<Cursor> {
        if !self.opened {
            return None;
        }
        let running = self.parts.state == State::Running;
        if running && self.follows {
            self.follow(feed.front().tip());
        }
        // What lies before a time is passed over, not read: the time stays the place to go on from until it is met.
        if running
            && self.skips_to.is_none()
            && self.is_at_tip(feed)
            && let Some(ring) = self.spot.and_then(|spot| feed.ring(spot.track))
        {
            self.parts.ledger.reach(ring.at_tip());
        }
        Some(self.parts.ledger.cursor())
    }

    /// Halts the whole subscription here.
    pub(crate) fn halt_because(&mut self, reason: String) {
        self.parts.counters.halted(reason);
        self.halt();
    }

    /// Stops the lane for good, its cursor where it is.
    pub(crate) fn halt(&mut self) {
        self.parts.state = State::Halted;
        self.let_go();
    }

    /// Ends the lane in favour of another one of its subscription, which takes anew what is open here.
    pub(crate) fn retire(&mut self) {
        self.parts.counters.untake(self.parts.ledger.open() as u64);
        self.halt();
    }

    /// Gives up what is under way and what is held.
    pub(crate) fn let_go(&mut self) {
        self.drop_queued();
        self.tasks.abort_all();
        self.runs.clear();
        self.absent.clear();
        self.histories.clear();
        self.spot = None;
    }

    /// No more records come: what is queued goes off without waiting to be filled.
    pub(crate) fn flush(&mut self) {
        self.flushing = true;
    }

    /// Whether everything that was read is settled. With `abandon_waiting`, what waits for another attempt does not count.
    pub(crate) fn has_settled(&self, feed: &Feed, abandon_waiting: bool) -> bool {
        let read = self.spot.is_none() || self.is_at_tip(feed);
        let settled = read && self.parts.ledger.open() == 0;
        let waits = || {
            let any = !self.runs.is_empty() || !self.absent.is_empty();
            abandon_waiting && any && self.runs.values().all(|run| run.waiting)
        };
        !self.is_working() || settled || waits()
    }

    /// Stops starting deliveries. What is with the sink is finished; the rest is left to whoever comes next, and with
    /// `abandon_waiting` so is what waits for another attempt.
    pub(crate) fn drain(&mut self, abandon_waiting: bool) {
        if broken::is(Part::CursorPastInFlight) {
            self.parts.ledger.lose_all();
        }
        self.drop_queued();
        if abandon_waiting {
            self.parts.terms.recall.give();
        }
    }

    fn drop_queued(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.queue = Queue::default());
        self.held = super::HeldKeys::default();
    }

    /// Whether nothing is under way.
    pub(crate) fn is_drained(&self) -> bool {
        self.parts.state != State::Running || self.runs.is_empty()
    }

    /// Clears away tasks that are done.
    ///
    /// # Errors
    ///
    /// When one panicked: its records will never be settled.
    pub(crate) fn reap(&mut self) -> Result<()> {
        while let Some(done) = self.tasks.try_join_next() {
            if let Err(error) = done
                && error.is_panic()
            {
                let name = &self.parts.subscription.name;
                return Err(Error::contract(format!("a delivery of subscription {name} panicked outside its sink")));
            }
        }
        Ok(())
    }

    /// Whether it holds more than `floor` bytes that are not with the sink, and has settled nothing since `since`.
    pub(crate) fn is_stuck(&self, since: Instant, floor: usize) -> bool {
        self.demand.held_bytes() > floor && self.progressed_at <= since
    }

    /// The generation of the subscription it works for.
    pub(crate) fn generation(&self) -> u64 {
        self.parts.generation
    }

    /// When it may read again what it gave back, where that is in the future.
    pub(crate) fn returns_at(&mut self, now: Instant) -> Option<Instant> {
        if self.is_working() { self.absent.next_due(now) } else { None }
    }

    /// Whether it is at the front's tip and has settled everything.
    pub(crate) fn is_at_rest(&self, feed: &Feed) -> bool {
        let finished = self.parts.state == State::Finished;
        finished || self.parts.ledger.open() == 0 && !self.is_behind() && (self.follows || self.is_at_tip(feed))
    }

    /// How many records are with the sink.
    pub(crate) fn in_flight(&self) -> usize {
        self.busy
    }

    /// How many records are taken and not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.parts.ledger.open()
    }

    /// What the last attempt that failed came to, unless one has succeeded since.
    pub(crate) fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// Whether it reads behind the front, or waits to.
    pub(crate) fn is_behind(&self) -> bool {
        self.spot.is_none_or(|spot| spot.track != TrackId::FRONT)
    }

    /// Whether it could take more if there were room in the budget.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }
}
