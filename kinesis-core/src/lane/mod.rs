//! A lane: one subscription on one shard. It takes records from the ring when there is demand, spreads them over its
//! slots, sends deliveries off, and keeps account of what is settled.
//!
//! A lane has no task. The shard's runner calls it; only deliveries under way are tasks.

mod held;
mod ledger;
mod queue;
mod start;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use ledger::{Counters, Ledger};
pub(crate) use start::{Start, lowest};

use crate::deliver::{self, Holds, Report, Settled, Terms};
use crate::demand::DemandBuffer;
use crate::error::{Error, Result};
use crate::feed::Ring;
use crate::lease::Cursor;
use crate::pipeline::{BatchPolicy, Ordering, Subscription};
use crate::record::Page;
use crate::selector::Selector;
use crate::shard::StartPosition;
use crate::sink::{Delivery, Origin, Picks};

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

    /// Whether it asks for a record that is not in the ring yet.
    pub(crate) fn wants_more(&self, ring: &Ring) -> bool {
        self.parts.state == State::Running && self.position == ring.tip() && self.demand.open() > 0 && self.may_run_on()
    }

    fn may_run_on(&self) -> bool {
        self.position - self.parts.ledger.mark() < self.subscription().demand.max_ahead as u64
    }

    /// Takes from the ring what was asked for.
    pub(crate) fn take(&mut self, ring: &Ring, now: Instant) {
        while self.parts.state == State::Running && self.demand.open() > 0 && self.may_run_on() {
            let Some(page) = ring.page_at(self.position) else { break };
            let before = self.position;
            self.take_page(page, now);
            if self.position == before {
                break;
            }
        }
        self.flushing |= ring.end().is_some() && self.position == ring.tip();
    }

    fn take_page(&mut self, page: &Arc<Page>, now: Instant) {
        let mut from = (self.position - page.first()) as usize;
        if self.skipping {
            let had = start::already_had(self.parts.start.position, &page.records()[from..]);
            from += had;
            self.skipping = from == page.records().len();
            self.position = page.first() + from as u64;
            self.parts.ledger.pass(page, self.position);
        }
        let furthest = self.parts.ledger.mark() + self.subscription().demand.max_ahead as u64;
        let to = page.records().len().min(furthest.saturating_sub(page.first()) as usize);
        if from >= to {
            return;
        }
        match &Arc::clone(&self.parts.subscription).selector {
            Selector::All => self.admit(page, (from..to).map(|index| index as u32), to, now),
            Selector::Only(channels) => {
                let mut chosen: Vec<u32> = Vec::new();
                for channel in channels {
                    let of_channel = page.of_channel(channel);
                    let within = of_channel.partition_point(|index| (*index as usize) < from)
                        ..of_channel.partition_point(|index| (*index as usize) < to);
                    chosen.extend_from_slice(&of_channel[within]);
                }
                chosen.sort_unstable();
                self.admit(page, chosen.into_iter(), to, now);
            }
        }
    }

    /// Lets in what demand allows of `chosen`; with all of them in, everything up to `to` has been looked at.
    fn admit(&mut self, page: &Arc<Page>, chosen: impl Iterator<Item = u32>, to: usize, now: Instant) {
        let (first, from) = (page.first(), (self.position - page.first()) as u32);
        let mut picked: Vec<Vec<u32>> = vec![Vec::new(); self.slots.len()];
        let hashes = (self.slots.len() > 1).then(|| page.key_hashes());
        let (mut reached, mut taken) = (from, 0u64);
        let mut stopped = false;
        for index in chosen {
            let size = page.size(index as usize);
            if !self.demand.admits(size) {
                stopped = true;
                self.parts.ledger.pass(page, first + u64::from(index));
                reached = index;
                break;
            }
            self.demand.emit(size);
            // The high bits spread evenly over any number of slots.
            let slot = hashes.map_or(0, |hashes| slot_of(hashes[index as usize], self.slots.len()));
            picked[slot].push(index);
            if index > reached {
                self.parts.ledger.pass(page, first + u64::from(index));
            }
            reached = index + 1;
            taken += 1;
            self.parts.ledger.enter(page, first + u64::from(reached));
        }
        if !stopped {
            self.parts.ledger.pass(page, first + to as u64);
            reached = to as u32;
        }
        self.position = first + u64::from(reached);
        self.parts.counters.taken(taken, u64::from(reached - from) - taken);
        for (slot, indices) in self.slots.iter_mut().zip(picked) {
            if !indices.is_empty() {
                slot.queue.push(page, Picks::of(indices), now);
            }
        }
    }

    /// Sends off every delivery that is due; returns when the next one will be.
    pub(crate) fn send_off(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        // Nothing more can come before something is settled, and nothing is under way: waiting would fill nothing.
        let stalled = self.demand.open() == 0 && self.runs.values().all(|run| run.waiting);
        for slot in 0..self.slots.len() {
            while self.parts.state == State::Running
                && self.slots[slot].running < self.width
                && self.busy < self.parts.subscription.demand.max
                && let Some(due) = self.slots[slot].queue.due(&self.parts.subscription.batch)
            {
                if due > now && !self.flushing && !stalled {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    break;
                }
                self.send(slot);
            }
        }
        next
    }

    fn send(&mut self, slot: usize) {
        let Self { held, demand, parts, slots, .. } = self;
        let keyed = parts.terms.holds == Holds::Key && !held.is_empty();
        let BatchPolicy { max_records, .. } = parts.subscription.batch;
        let room = max_records.min(parts.subscription.demand.max - self.busy);
        let policy = BatchPolicy { max_records: room, ..parts.subscription.batch };
        let taken = slots[slot].queue.take(&policy, |page, index| {
            let kept = keyed && held.keep(page.key_hashes()[index], page, index);
            if kept {
                demand.put_aside(1);
            }
            kept
        });
        if taken.len == 0 {
            return;
        }
        let delivery = Delivery::of(Arc::clone(&parts.origin), taken.parts);
        let run = self.next_run;
        self.next_run += 1;
        slots[slot].running += 1;
        self.busy += taken.len;
        self.runs.insert(run, Run { slot, left: taken.len, waiting: false });
        let (terms, reports, lane) = (Arc::clone(&parts.terms), parts.reports.clone(), parts.index);
        self.tasks.spawn(async move {
            // A runner that is gone has let the shard go; nobody waits for the report.
            deliver::deliver(&terms, delivery, |report| drop(reports.send((lane, run, report)))).await;
        });
    }

    /// Takes in what became of a delivery.
    pub(crate) fn on_report(&mut self, run: u64, report: Report, now: Instant) {
        if self.parts.state == State::Halted {
            return;
        }
        match report {
            Report::Settled(delivery, how) => self.settle(run, &delivery, how, now),
            Report::Waiting(left) => self.wait(run, &left),
            Report::Failed => self.parts.counters.failed(),
            Report::Halted(reason) => {
                self.parts.counters.halted(reason);
                self.halt();
            }
        }
    }

    fn settle(&mut self, run: u64, delivery: &Delivery, how: Settled, now: Instant) {
        let Some(entry) = self.runs.get_mut(&run) else { return };
        let (slot, waiting) = (entry.slot, entry.waiting);
        entry.left -= delivery.len();
        if entry.left == 0 {
            self.runs.remove(&run);
            self.slots[slot].running -= usize::from(!waiting);
        }
        let bytes = delivery.bytes();
        self.parts.ledger.settle(delivery);
        self.parts.counters.settled(how, delivery.len() as u64);
        if !waiting {
            self.busy -= delivery.len();
            self.demand.settle(delivery.len(), bytes);
            return;
        }
        self.demand.settle_aside(bytes);
        if self.parts.terms.holds == Holds::Key {
            for key in delivery.key_hashes() {
                let freed = self.held.release(key);
                self.demand.take_back(freed.len());
                for (page, index) in freed.into_iter().rev() {
                    let slot = slot_of(page.key_hashes()[index as usize], self.slots.len());
                    self.slots[slot].queue.push_front(page, index, now);
                }
            }
        }
    }

    /// A delivery failed for the first time. Where order allows it, its slot goes on without it.
    fn wait(&mut self, run: u64, left: &Delivery) {
        let holds = self.parts.terms.holds;
        let Some(entry) = self.runs.get_mut(&run) else { return };
        if holds == Holds::Shard {
            return;
        }
        entry.waiting = true;
        self.slots[entry.slot].running -= 1;
        self.busy -= left.len();
        self.demand.put_aside(left.len());
        if holds == Holds::Key {
            left.key_hashes().for_each(|key| self.held.hold(key));
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
    /// cursor in its child says that the parent was read. `at_tip` is where a reader opened at the ring's tip would miss nothing, where that is known.
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
