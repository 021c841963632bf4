//! What a reader knows of where it stands, however it reads: what was read and not yet handed out, and where to go on.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use kinesis_core::{Batch, Record, ShardEnd, StartPosition};

use crate::answer::Answer;
use crate::kpl::Unpacker;
use crate::place::Place;

/// A place in a shard, and what was read behind it.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Where it was opened, or the instant that stands for the tip.
    from: StartPosition,
    /// The last stored record that was read; moves with what is *read*, not with what somebody has settled.
    last: Option<Place>,
    unpacker: Option<Unpacker>,
    /// Records of an answer that held more than it was asked for.
    surplus: VecDeque<Record>,
    behind_latest: Option<Duration>,
    /// When the last answer was given, by the clock of the service.
    served_at: Option<SystemTime>,
    end: Option<ShardEnd>,
}

impl Cursor {
    /// A cursor at `from`. Without an unpacker, aggregates are handed out as they are stored.
    pub(crate) fn new(from: StartPosition, unpacker: Option<Unpacker>) -> Self {
        Self { from, last: None, unpacker, surplus: VecDeque::new(), behind_latest: None, served_at: None, end: None }
    }

    /// Where the service is to be asked from.
    pub(crate) fn place(&self) -> Place {
        self.last.unwrap_or_else(|| Place::of(self.from, self.unpacker.is_some()))
    }

    /// Fixes the tip at an instant, to go back to before the first record was read.
    pub(crate) fn pin(&mut self, at: SystemTime) {
        self.from = StartPosition::Timestamp(at);
    }

    /// Whether nothing is left to hand out and something may be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.surplus.is_empty() && self.end.is_none()
    }

    /// Moves behind an answer.
    pub(crate) fn accept(&mut self, answer: Answer, served_at: Option<SystemTime>) {
        if let Some(last) = answer.records.last() {
            self.last = Some(Place::After(last.sequence_number.without_sub()));
        }
        self.behind_latest = answer.behind_latest;
        self.served_at = served_at;
        self.end = answer.next.is_none().then(|| ShardEnd::new(answer.children));
        let records = match &mut self.unpacker {
            Some(unpacker) => unpacker.unpack(answer.records),
            None => answer.records,
        };
        self.surplus = records.into();
    }

    /// Hands out what was read, up to `max`.
    pub(crate) fn hand_out(&mut self, max: NonZeroUsize) -> Batch {
        let records = match self.surplus.len() > max.get() {
            true => self.surplus.drain(..max.get()).collect(),
            false => mem::take(&mut self.surplus).into(),
        };
        let mut batch = Batch::new(records);
        if self.surplus.is_empty() {
            batch.behind_latest = self.behind_latest;
            batch.end = self.end.clone();
        }
        batch.resume = self.last.is_none().then_some(self.from);
        batch.served_at = self.served_at;
        batch
    }
}
