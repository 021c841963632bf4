//! A lane: one subscription on one shard. It takes records from the ring when there is demand, spreads them over its
//! slots, sends deliveries off, and keeps account of what is settled.
//!
//! A lane has no task. The shard's runner calls it; only deliveries under way are tasks.

mod dispatch;
mod held;
mod intake;
mod ledger;
mod queue;
mod start;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use ledger::{Counters, Ledger};
pub(crate) use start::{Start, lowest};

use crate::deliver::{Holds, Report, Terms};
use crate::demand::DemandBuffer;
use crate::error::{Error, Result};
use crate::feed::Ring;
use crate::lease::Cursor;
use crate::pipeline::{Ordering, Subscription};
use crate::shard::StartPosition;
use crate::sink::Origin;

use held::HeldKeys;
use queue::Queue;

/// A report of a delivery under way: which lane, which run of it, what.
pub(crate) type LaneReport = (usize, u64, Report);

/// Whether a lane works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits until its subscription has finished the shard's parents.
    Gated,
    Running,
    /// It stopped at a record it may not pass over.
    Halted,
    /// Everything of the ended shard is settled.
    Finished,
}

/// A delivery under way.
#[derive(Debug)]
struct Run {
    slot: usize,
    /// Records not settled yet.
    left: usize,
    /// Whether it failed once: then it no longer occupies its slot, and holds its keys instead.
    waiting: bool,
}

/// What a lane is made of.
#[derive(Debug)]
pub(crate) struct LaneParts {
    pub(crate) index: usize,
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ledger: Ledger,
    pub(crate) start: Start,
    pub(crate) state: State,
    pub(crate) reports: mpsc::UnboundedSender<LaneReport>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    parts: LaneParts,
    /// The offset of the next record to look at.
    position: u64,
    /// Whether the feed may still bring records from before the lane's start.
    skipping: bool,
    demand: DemandBuffer,
    slots: Vec<Slot>,
    /// How many deliveries of one slot may run at once.
    width: usize,
    held: HeldKeys,
    runs: HashMap<u64, Run>,
    /// Records in runs that occupy their slots. What comes back behind a key that was held is let in past the demand, so
    /// the demand has to be kept here as well.
    busy: usize,
    next_run: u64,
    tasks: JoinSet<()>,
    /// Deliveries no longer wait to be filled: nothing more comes.
    flushing: bool,
    /// Whether the parents are finished, as far as is known here.
    opened: bool,
}

#[derive(Debug, Default)]
struct Slot {
    queue: Queue,
    running: usize,
}

/// Which records a failure holds back, how many slots there are, and how many deliveries run at once in each.
pub(crate) fn shape(ordering: Ordering) -> (Holds, usize, usize) {
    match ordering {
        Ordering::PerShard => (Holds::Shard, 1, 1),
        Ordering::PerKey { parallel } => (Holds::Key, parallel.get(), 1),
        Ordering::Unordered { parallel } => (Holds::Nothing, 1, parallel.get()),
    }
}

impl Lane {
    pub(crate) fn new(parts: LaneParts) -> Self {
        let (_, slots, width) = shape(parts.subscription.ordering);
        Self {
            position: 0,
            skipping: true,
            demand: DemandBuffer::new(parts.subscription.demand),
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            width,
            held: HeldKeys::default(),
            runs: HashMap::new(),
            busy: 0,
            next_run: 0,
            tasks: JoinSet::new(),
            flushing: false,
            opened: parts.state != State::Gated,
            parts,
        }
    }

    pub(crate) fn subscription(&self) -> &Subscription {
        &self.parts.subscription
    }

    pub(crate) fn state(&self) -> &State {
        &self.parts.state
    }

    pub(crate) fn start(&self) -> Start {
        self.parts.start
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Opens a gated lane; one whose subscription has halted meanwhile has nothing to wait for any more.
    pub(crate) fn open(&mut self) {
        if self.parts.state == State::Gated {
            self.opened = !self.parts.counters.is_halted();
            self.parts.state = if self.opened { State::Running } else { State::Halted };
        }
    }

    /// Ends the lane when everything of the ended shard is settled; says so once.
    pub(crate) fn finish(&mut self, ring: &Ring) -> bool {
        let done = self.parts.state == State::Running
            && ring.end().is_some()
            && self.position == ring.tip()
            && self.parts.ledger.open() == 0;
        if done {
            self.parts.state = State::Finished;
            self.parts.ledger.finish();
        }
        done
    }

    /// The cursor now; none before the gate was opened, even when the lane halts there: where a parent's row is missing, a
    /// cursor in its child says that the parent was read. `at_tip` is where a reader opened at the ring's tip would miss
    /// nothing, where that is known.
    pub(crate) fn cursor(&mut self, at_tip: Option<StartPosition>) -> Option<Cursor> {
        // What lies before a time is passed over, not read: the time stays the place to go on from until it is met.
        let waits_for_time = self.skipping && matches!(self.parts.start.position, StartPosition::Timestamp(_));
        self.opened.then(|| self.parts.ledger.cursor(at_tip, waits_for_time))
    }

    /// Stops the lane for good, its cursor where it is.
    pub(crate) fn halt(&mut self) {
        self.parts.state = State::Halted;
        self.tasks.abort_all();
    }

    /// No more records come: what is queued goes off without waiting to be filled.
    pub(crate) fn flush(&mut self) {
        self.flushing = true;
    }

    /// Whether everything in the ring is settled. With `abandon_waiting`, what waits for another attempt does not count.
    pub(crate) fn has_settled(&self, ring: &Ring, abandon_waiting: bool) -> bool {
        let settled = self.position == ring.tip() && self.parts.ledger.open() == 0;
        let waits = || abandon_waiting && !self.runs.is_empty() && self.runs.values().all(|run| run.waiting);
        self.parts.state != State::Running || settled || waits()
    }

    /// Stops starting deliveries: what is under way is finished, the rest is left to whoever comes next.
    pub(crate) fn drain(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.queue = Queue::default());
        self.held = HeldKeys::default();
    }

    /// Whether nothing is under way. With `abandon_waiting`, what waits for another attempt does not count.
    pub(crate) fn is_drained(&self, abandon_waiting: bool) -> bool {
        self.parts.state != State::Running || self.runs.values().all(|run| run.waiting && abandon_waiting)
    }

    /// Gives up what is under way.
    pub(crate) fn abort(&mut self) {
        self.tasks.abort_all();
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
}

fn slot_of(hash: u64, slots: usize) -> usize {
    ((u128::from(hash) * slots as u128) >> 64) as usize
}
