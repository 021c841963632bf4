//! A track: a reader with the ring of what it has read lately. A shard has one at the front, and up to two behind it for
//! lanes that catch up.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::reading::{Answer, Reading, Request};
use super::{FeedConfig, Ring, Start};
use crate::budget::{Charge, Turn};

/// The largest answer that Kinesis gives (API reference of `GetRecords`).
const MOST_RECORDS: usize = 10_000;
const MOST_BYTES: usize = 10 << 20;
/// What a record is taken to need before one was seen, in bytes. More than most need: a first read that is too small costs
/// a call, but one that is too large costs a shard of Kinesis the bytes of seconds.
const UNSEEN_RECORD: usize = 16 << 10;
/// What is set aside for a read at the tip: a shard of Kinesis takes in 1 MB a second and is asked four times.
const AT_TIP: usize = 256 << 10;
/// The part of the budget that one read may ask for.
const PART_OF_BUDGET: usize = 4;

/// Which track of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TrackId(pub(super) u32);

impl TrackId {
    /// The one that reads what is new.
    pub(crate) const FRONT: Self = Self(0);
}

/// What allows a request.
#[derive(Debug)]
pub(super) enum Allowed {
    Room(Charge),
    Turn(Turn),
}

#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: TrackId,
    pub(super) ring: Ring,
    /// Some lane at the tip asked for more.
    pub(super) wanted: bool,
    /// One of them holds nothing, and takes a record however full the budget is.
    pub(super) urgent: bool,
    /// Since when a request is under way.
    pub(super) asked: Option<Instant>,
    /// The turn that the request under way was granted by.
    pub(super) turn: Option<Turn>,
    /// A pause ends then.
    pub(super) not_before: Option<Instant>,
    pub(super) opened_at: Instant,
    /// When something was asked of it last.
    pub(super) used_at: Instant,
    /// What a record needs in memory, on average.
    per_record: Option<usize>,
    at_tip: bool,
    requests: mpsc::Sender<Request>,
    task: JoinHandle<()>,
}

impl Drop for Track {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Track {
    pub(super) fn start(
        id: TrackId,
        config: &Arc<FeedConfig>,
        from: Start,
        answers: mpsc::UnboundedSender<(TrackId, Answer)>,
    ) -> Self {
        let (requests, asked) = mpsc::channel(1);
        let now = Instant::now();
        let seed = config.seed ^ u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            id,
            ring: Ring::new(config.ring, from),
            wanted: false,
            urgent: false,
            asked: None,
            turn: None,
            not_before: None,
            opened_at: now,
            used_at: now,
            per_record: None,
            at_tip: false,
            requests,
            task: tokio::spawn(Reading::new(config, from, seed).run(id, asked, answers)),
        }
    }

    /// Reads nothing any more.
    pub(super) fn close(&mut self) {
        self.task.abort();
        self.turn = None;
        self.met();
    }

    /// What was wanted is there, or never will be.
    pub(super) fn met(&mut self) {
        (self.wanted, self.urgent) = (false, false);
    }

    /// Fewer records, so that what comes is no more than `room`, or one record.
    pub(super) fn at_most(&self, max: NonZeroUsize, room: usize) -> NonZeroUsize {
        let fit = room / self.per_record.unwrap_or(UNSEEN_RECORD).max(1);
        NonZeroUsize::new(fit).map_or(NonZeroUsize::MIN, |fit| fit.min(max))
    }

    /// Whether it would read if it were time to.
    pub(super) fn is_eager(&self, replayable: bool) -> bool {
        self.wanted && self.asked.is_none() && self.ring.end().is_none() && (replayable || self.ring.room() > 0)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// How many records to ask for so that about `bytes` of them come, and how many bytes to set aside for them.
    pub(super) fn appetite(&self, bytes: usize, limit: usize, replayable: bool) -> (NonZeroUsize, usize) {
        let per_record = self.per_record.unwrap_or(UNSEEN_RECORD).max(1);
        let target = bytes.min(MOST_BYTES).min(limit / PART_OF_BUDGET);
        // Where older records may go to make room, a quarter of the ring is worth a read.
        let room = if replayable { self.ring.room().max(self.ring.quarter()) } else { self.ring.room() };
        let max = (target / per_record).min(room).min(MOST_RECORDS);
        let max = NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN);
        let expected = max.get().saturating_mul(per_record);
        (max, if self.at_tip { expected.min(AT_TIP) } else { expected })
    }

    /// Sends a request off.
    pub(super) fn ask(&mut self, max: NonZeroUsize, allowed: Allowed, now: Instant, replayable: bool) {
        if replayable {
            self.ring.make_room();
        }
        let (room, turn) = match allowed {
            Allowed::Room(room) => (Some(room), None),
            Allowed::Turn(turn) => (None, Some(turn)),
        };
        self.turn = turn;
        self.asked = Some(now);
        self.used_at = now;
        self.not_before = None;
        // A reader that is gone has panicked, and said so.
        let _ = self.requests.try_send(Request { max, room });
    }

    /// What a record needs in memory, where some were seen.
    pub(super) fn per_record(&self) -> Option<usize> {
        self.per_record
    }

    /// Expects records of this size, unless it has seen some.
    pub(super) fn expect(&mut self, per_record: Option<usize>) {
        self.per_record = self.per_record.or(per_record);
    }

    /// Takes in what a read brought.
    pub(super) fn learn(&mut self, records: usize, bytes: usize, at_tip: bool) {
        self.at_tip = at_tip;
        if let Some(seen) = bytes.checked_div(records) {
            self.per_record = Some(self.per_record.map_or(seen, |before| (3 * before + seen) / 4));
        }
    }
}
