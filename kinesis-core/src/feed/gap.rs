//! Gaps: whether trimming has overtaken a reader. Pure.
//!
//! Going on behind a record, a reader asks for that record again. When another one comes first, what lay between is gone.

use std::time::SystemTime;

use super::Start;
use crate::broken::{self, Part};
use crate::record::{Record, SequenceNumber};
use crate::shard::StartPosition;

/// So often a reader is opened anew because its own last record came alone. Then that record fills an answer by itself, and
/// what follows is read without it.
const ALONE: u32 = 8;

/// Records that were trimmed before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Where reading should have gone on.
    pub(crate) from: Start,
    /// The first record that is still there; `None` when the shard has ended without one.
    pub(crate) to: Option<(SequenceNumber, Option<SystemTime>)>,
}

impl Gap {
    /// Where whoever may go on does so: at the first record that is left, or with whatever is left, which is nothing.
    pub(crate) fn left(&self) -> Start {
        self.to.map_or(Start::new(StartPosition::TrimHorizon, None), |(number, _)| Start::at_seen(number))
    }
}

/// What the first record after an opening tells.
#[derive(Debug, Clone, Copy, Default)]
enum Expects {
    /// Nothing: it is simply the next one.
    #[default]
    Anything,
    /// It was opened at a record that was there, had or seen, which comes first unless it was trimmed.
    Own(SequenceNumber),
    /// Its place was refused as trimmed, and it was opened at the horizon instead.
    Lost,
    /// It was opened at the horizon though its place is still there: what it has had comes first, in one answer or several.
    Had,
}

/// What the next answer is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    /// What the reader expects decides.
    #[default]
    Checked,
    /// Its own last record came alone at the tip. Nothing may come next; records and the end are asked for once more
    /// behind their own, because something may be missing before them.
    Unproven,
    /// So it did after the shard had ended: nothing was there that could be missing before the end.
    End,
}

/// What a reader knows of whether something is missing where it stands.
#[derive(Debug, Default)]
pub(super) struct Proof {
    expects: Expects,
    /// How often in a row its own last record came alone though more follow.
    alone: u32,
    next: Next,
    /// Whether the shard was seen to have ended.
    has_ended: bool,
}

impl Proof {
    /// Where to open a reader that stands at `at`, and that `asks` for its witness.
    pub(super) fn opening(&mut self, at: Start, asks: bool) -> StartPosition {
        match (self.expects, at.witness()) {
            (Expects::Lost | Expects::Had, _) => {
                self.expects = Expects::Lost;
                StartPosition::TrimHorizon
            }
            (_, Some(number)) if asks => {
                self.expects = Expects::Own(number);
                StartPosition::At(number)
            }
            _ => at.position,
        }
    }

    /// Its place was refused: only the horizon is left to open at.
    pub(super) fn refused(&mut self) {
        self.expects = Expects::Lost;
    }

    /// Whether it was opened at the horizon because its place was refused.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.expects, Expects::Lost | Expects::Had)
    }

    /// Whether nothing can be missing where it stands.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.expects, Expects::Anything)
    }

    /// Whether its own record comes on top of what is asked for.
    pub(super) fn brings_own(&self) -> bool {
        matches!(self.expects, Expects::Own(_))
    }

    /// Whether it goes on as it is, though something may be missing behind it: that was just asked, or asking is in vain.
    pub(super) fn is_just_asked(&self) -> bool {
        self.next != Next::Checked || self.alone >= ALONE
    }

    /// A read failed, and it takes time until the next one.
    pub(super) fn failed(&mut self) {
        self.next = Next::Checked;
    }

    /// Whether an answer of these records, or of the end, says nothing of what is missing before them. Asked once an answer.
    pub(super) fn leaves_open(&mut self, records: &[Record], ended: bool) -> bool {
        self.has_ended |= ended;
        match std::mem::take(&mut self.next) {
            Next::Checked => false,
            Next::Unproven => ended || !records.is_empty(),
            Next::End => !records.is_empty(),
        }
    }

    /// Drops what was had before of an answer; finds out whether something is missing between that and what is left.
    /// Nothing is, where everything that came later than what was had `is_retained` for certain.
    pub(super) fn check(
        &mut self,
        at: Start,
        records: &mut Vec<Record>,
        (at_tip, ended): (bool, bool),
        is_retained: bool,
    ) -> Option<Gap> {
        use StartPosition::{After, At};
        let (expected, answered) = (self.expects, records.len());
        let lost = match (expected, at.position) {
            (Expects::Anything, _) => {
                self.alone = 0;
                return None;
            }
            (Expects::Had, _) => false,
            (Expects::Own(own), _) => {
                let is_here = |record: &Record| record.sequence_number == own && !broken::is(Part::FalseGap);
                !records.iter().any(is_here) && !is_retained
            }
            (Expects::Lost, At(number) | After(number)) => {
                records.first().is_none_or(|first| first.sequence_number > number)
            }
            // Whoever asked for a time has had nothing yet that could be missed.
            (Expects::Lost, _) => false,
        };
        records.drain(..at.had_of(records));
        if lost && records.is_empty() && !ended {
            return None;
        }
        let came_alone = matches!(expected, Expects::Own(_)) && answered > 0 && records.is_empty();
        self.alone = if came_alone && !at_tip { self.alone + 1 } else { 0 };
        self.next = match came_alone && at_tip {
            true if self.has_ended => Next::End,
            true => Next::Unproven,
            false => Next::Checked,
        };
        let comes_to_it = !lost && records.is_empty() && matches!(expected, Expects::Lost | Expects::Had);
        self.expects = if comes_to_it { Expects::Had } else { Expects::Anything };
        let to = records.first().map(|record| (record.sequence_number, record.arrived_at));
        lost.then_some(Gap { from: at, to })
    }
}
