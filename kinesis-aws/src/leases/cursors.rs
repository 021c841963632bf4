//! The attribute `cursors`: every subscription's place in few bytes, beside a checkpoint that the KCL may move.

use std::collections::BTreeMap;

use kinesis_core::lease::{Cursor, CursorPosition};
use kinesis_core::sink::SubscriptionName;
use kinesis_core::{SequenceNumber, StartPosition};

use super::bytes::{Reader, put_number, put_sequence_number, put_text, put_time};
use super::checkpoint::Checkpoint;

/// The first byte. Whoever reads another one stops: a newer version wrote it.
const VERSION: u8 = 1;
/// The second byte: the cursors follow, or the name of the item that has them.
const HERE: u8 = 0;
const ELSEWHERE: u8 = 1;

/// The low bits of a cursor's first byte. A cursor at the checkpoint needs nothing more.
const AT_CHECKPOINT: u8 = 0;
const TRIM_HORIZON: u8 = 1;
const LATEST: u8 = 2;
const AT: u8 = 3;
const AFTER: u8 = 4;
const TIMESTAMP: u8 = 5;
const END: u8 = 6;
/// The flag for a cursor with a time of arrival.
const ARRIVED: u8 = 0x10;

/// Cursors as they were written, and the checkpoint that was written with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) beside: Option<Checkpoint>,
    pub(super) cursors: BTreeMap<SubscriptionName, Cursor>,
}

/// What the attribute holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    /// The cursors.
    Here(Written),
    /// The name of the item of the second table that has them.
    Elsewhere(String),
}

/// Why an attribute cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("a newer version of this library wrote its cursors (format {0}): use that version, or stop it first")]
    Newer(u8),
    #[error("its cursors are damaged")]
    Damaged,
}

impl Written {
    /// The attribute with the cursors in it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = vec![VERSION, HERE];
        put_checkpoint(&mut to, self.beside);
        for (name, cursor) in &self.cursors {
            put_text(&mut to, name);
            put_cursor(&mut to, cursor, self.beside);
        }
        to
    }

    /// The cursors as they are now that the row says `checkpoint`, and what those inherit who have none.
    ///
    /// A checkpoint that differs from the one written with the cursors was moved by a worker of the KCL since: it read from
    /// the lower one on, so every subscription that is behind the new one is there now.
    pub(super) fn resolve(
        self,
        checkpoint: Checkpoint,
    ) -> (BTreeMap<SubscriptionName, Cursor>, Option<CursorPosition>) {
        let Self { beside, mut cursors } = self;
        if beside == Some(checkpoint) {
            return (cursors, None);
        }
        // It began at the horizon, so that nobody missed anything.
        if cursors.is_empty() && beside == Some(Checkpoint::TrimHorizon) {
            return (cursors, checkpoint.position());
        }
        if let Checkpoint::Through(_) | Checkpoint::ShardEnd = checkpoint
            && let Some(moved) = checkpoint.position()
        {
            for cursor in cursors.values_mut().filter(|cursor| cursor.position.compare(&moved).is_lt()) {
                *cursor = Cursor::new(cursor.generation, moved);
            }
        }
        (cursors, None)
    }
}

impl Attribute {
    /// The attribute that names the item which has the cursors.
    pub(super) fn encode_elsewhere(name: &str) -> Vec<u8> {
        let mut to = vec![VERSION, ELSEWHERE];
        to.extend_from_slice(name.as_bytes());
        to
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes {
            [VERSION, HERE, rest @ ..] => read_written(&mut Reader(rest)).map(Self::Here).ok_or(Unreadable::Damaged),
            [VERSION, ELSEWHERE, name @ ..] => {
                let name = std::str::from_utf8(name).map_err(|_| Unreadable::Damaged)?;
                Ok(Self::Elsewhere(name.to_owned()))
            }
            [version, ..] if *version > VERSION => Err(Unreadable::Newer(*version)),
            _ => Err(Unreadable::Damaged),
        }
    }
}

fn put_checkpoint(to: &mut Vec<u8>, checkpoint: Option<Checkpoint>) {
    match checkpoint {
        None => to.push(0),
        Some(Checkpoint::AtTimestamp) => to.push(1),
        Some(Checkpoint::TrimHorizon) => to.push(2),
        Some(Checkpoint::Latest) => to.push(3),
        Some(Checkpoint::ShardEnd) => to.push(4),
        Some(Checkpoint::Through(number)) => {
            to.push(5);
            put_sequence_number(to, number, SequenceNumber::ZERO);
        }
    }
}

fn put_cursor(to: &mut Vec<u8>, cursor: &Cursor, beside: Option<Checkpoint>) {
    let near = near(beside);
    let arrived = if cursor.arrived_at.is_some() { ARRIVED } else { 0 };
    let head = |kind: u8| kind | arrived;
    match cursor.position {
        position if beside.and_then(Checkpoint::position) == Some(position) => to.push(head(AT_CHECKPOINT)),
        CursorPosition::End => to.push(head(END)),
        CursorPosition::Next(StartPosition::TrimHorizon) => to.push(head(TRIM_HORIZON)),
        CursorPosition::Next(StartPosition::Latest) => to.push(head(LATEST)),
        CursorPosition::Next(StartPosition::At(number)) => {
            to.push(head(AT));
            put_sequence_number(to, number, near);
        }
        CursorPosition::Next(StartPosition::After(number)) => {
            to.push(head(AFTER));
            put_sequence_number(to, number, near);
        }
        CursorPosition::Next(StartPosition::Timestamp(time)) => {
            to.push(head(TIMESTAMP));
            put_time(to, time);
        }
        // A kind of place that this version does not know: the oldest record misses none.
        CursorPosition::Next(_) => to.push(head(TRIM_HORIZON)),
    }
    put_number(to, cursor.generation);
    if let Some(at) = cursor.arrived_at {
        put_time(to, at);
    }
}

fn read_written(from: &mut Reader<'_>) -> Option<Written> {
    let beside = match from.byte()? {
        0 => None,
        1 => Some(Checkpoint::AtTimestamp),
        2 => Some(Checkpoint::TrimHorizon),
        3 => Some(Checkpoint::Latest),
        4 => Some(Checkpoint::ShardEnd),
        5 => Some(Checkpoint::Through(from.sequence_number(SequenceNumber::ZERO)?)),
        _ => return None,
    };
    let mut written = Written { beside, cursors: BTreeMap::new() };
    while !from.is_done() {
        let name = SubscriptionName::from(from.text()?);
        written.cursors.insert(name, read_cursor(from, beside)?);
    }
    Some(written)
}

fn read_cursor(from: &mut Reader<'_>, beside: Option<Checkpoint>) -> Option<Cursor> {
    let head = from.byte()?;
    let position = match head & !ARRIVED {
        AT_CHECKPOINT => beside?.position()?,
        TRIM_HORIZON => CursorPosition::Next(StartPosition::TrimHorizon),
        LATEST => CursorPosition::Next(StartPosition::Latest),
        AT => CursorPosition::Next(StartPosition::At(from.sequence_number(near(beside))?)),
        AFTER => CursorPosition::Next(StartPosition::After(from.sequence_number(near(beside))?)),
        TIMESTAMP => CursorPosition::Next(StartPosition::Timestamp(from.time()?)),
        END => CursorPosition::End,
        _ => return None,
    };
    let generation = from.number()?;
    let arrived_at = if head & ARRIVED == 0 { None } else { Some(from.time()?) };
    Some(Cursor::new(generation, position).with_arrived_at(arrived_at))
}

/// The number whose digits cursors are likely to share.
fn near(beside: Option<Checkpoint>) -> SequenceNumber {
    match beside {
        Some(Checkpoint::Through(number)) => number,
        _ => SequenceNumber::ZERO,
    }
}

#[cfg(test)]
#[path = "tests/cursors.rs"]
mod tests;
