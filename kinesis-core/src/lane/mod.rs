//! A lane: one subscription on one shard. It takes records from a ring when there is demand, spreads them over its slots,
//! sends deliveries off, and keeps account of what is settled.
//!
//! A lane has no task. The shard's runner calls it; only deliveries under way are tasks.

mod absent;
mod counters;
mod dispatch;
mod give_back;
mod held;
mod in_hand;
mod intake;
mod ledger;
mod queue;
mod standing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use counters::Counters;
pub(crate) use give_back::{FLOOR, trimmed};
pub(crate) use intake::Wants;
pub(crate) use ledger::Ledger;

use crate::budget::Account;
use crate::deliver::{History, Holds, Report, Terms};
use crate::demand::DemandBuffer;
use crate::feed::{Feed, Start, TrackId};
use crate::observe::Observer;
use crate::pipeline::{Ordering, Subscription};
use crate::signal::Signal;
use crate::sink::Origin;

use absent::Absent;
use held::HeldKeys;
use queue::Queue;

/// A report of a delivery under way: which lane, which run of it, what.
pub(crate) type LaneReport = (usize, u64, Report);

/// Whether a lane works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Where a lane reads: the next record it looks at is at this offset of the track's ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) track: TrackId,
    pub(crate) at: u64,
}

/// What a lane is made of.
#[derive(Debug)]
pub(crate) struct LaneParts {
    pub(crate) id: usize,
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) account: Account,
    pub(crate) generation: u64,
    pub(crate) ledger: Ledger,
    pub(crate) state: State,
    pub(crate) paused: bool,
    pub(crate) reports: mpsc::UnboundedSender<LaneReport>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    parts: LaneParts,
    /// Where it reads; nowhere, when it has fallen behind and no track has what it needs.
    spot: Option<Spot>,
    /// Records from before this place may still come on the way, and are passed over.
    skips_to: Option<Start>,
    /// Every record at the front since `spot` is of a channel it does not take, so that it need not be looked at.
    follows: bool,
    /// The lane's offset where it reads anew what it gave back.
    again: Option<u64>,
    demand: DemandBuffer,
    slots: Vec<Slot>,
    /// How many deliveries of one slot may run at once.
    width: usize,
    held: HeldKeys,
    absent: Absent,
    /// What records that came back have been through, until they are sent off.
    histories: BTreeMap<u64, History>,
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
    /// When something was settled last, or taken while nothing was held.
    progressed_at: Instant,
    /// It could take more if there were room in the budget.
    starved: bool,
    /// The room in bytes without which it takes no more, unless it holds nothing.
    needs: usize,
    last_failure: Option<String>,
}

#[derive(Debug, Default)]
struct Slot {
    queue: Queue,
    /// What is picked out of the page at hand. Empty in between; kept because every page needs it.
    picked: Vec<u32>,
    running: usize,
}

/// Which records a failure holds back, how many slots there are, and how many deliveries run at once in each.
fn shape(ordering: Ordering) -> (Holds, usize, usize) {
    match ordering {
        Ordering::PerShard => (Holds::Shard, 1, 1),
        Ordering::PerKey { parallel } => (Holds::Key, parallel.get(), 1),
        Ordering::Unordered { parallel } => (Holds::Nothing, 1, parallel.get()),
    }
}

/// How the records of a subscription are delivered on one shard.
pub(crate) fn terms(subscription: &Subscription, observer: Arc<dyn Observer>, seed: u64) -> Terms {
    let (holds, slots, width) = shape(subscription.ordering);
    Terms {
        sink: Arc::clone(&subscription.sink),
        retry: subscription.retry,
        on_reject: subscription.on_reject.clone(),
        holds,
        turns: Semaphore::new(slots * width),
        recall: Signal::default(),
        observer,
        seed,
    }
}

impl Lane {
    pub(crate) fn new(parts: LaneParts) -> Self {
        let (_, slots, width) = shape(parts.subscription.ordering);
        Self {
            spot: None,
            skips_to: None,
            follows: false,
            again: None,
            demand: DemandBuffer::new(parts.subscription.demand),
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            width,
            held: HeldKeys::default(),
            absent: Absent::default(),
            histories: BTreeMap::new(),
            runs: HashMap::new(),
            busy: 0,
            next_run: 0,
            tasks: JoinSet::new(),
            flushing: false,
            opened: parts.state != State::Gated,
            progressed_at: Instant::now(),
            starved: false,
            needs: 1,
            last_failure: None,
            parts,
        }
    }

    pub(crate) fn subscription(&self) -> &Arc<Subscription> {
        &self.parts.subscription
    }

    pub(crate) fn state(&self) -> State {
        self.parts.state
    }

    /// Where it reads, unless it has fallen behind.
    pub(crate) fn spot(&self) -> Option<Spot> {
        self.spot
    }

    /// Where it goes on reading.
    pub(crate) fn next(&self) -> Start {
        match (self.skips_to, self.again) {
            (Some(start), _) => start,
            (None, Some(offset)) => self.parts.ledger.place_of(offset),
            (None, None) => self.parts.ledger.place(),
        }
    }

    /// Whether it takes records at all now.
    pub(crate) fn is_working(&self) -> bool {
        self.parts.state == State::Running && !self.parts.paused
    }

    /// Whether everything it wants of its track's ring is taken.
    fn is_at_tip(&self, feed: &Feed) -> bool {
        let tip = |spot: Spot| feed.ring(spot.track).map(|ring| spot.at == ring.tip());
        self.again.is_none() && self.spot.and_then(tip) == Some(true)
    }

    /// The slot of a key: the high bits of its hash spread evenly over any number of slots.
    fn slot_of(&self, hash: u64) -> usize {
        slot_of(hash, self.slots.len())
    }
}

fn slot_of(hash: u64, slots: usize) -> usize {
    ((u128::from(hash) * slots as u128) >> 64) as usize
}
