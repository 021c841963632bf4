//! From stored records to user records, and on from a place inside an aggregate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kinesis_core::{HashKey, HashRange, Record, ShardId, StartPosition};
use md5::{Digest as _, Md5};

use super::message::{Inner, Message};
use super::{DIGEST, MAGIC, hash_key};

/// What becomes of aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aggregates {
    /// They are unpacked.
    Unpack(OutOfRange),
    /// They are handed out as they are stored.
    AsStored,
}

impl Default for Aggregates {
    fn default() -> Self {
        Self::Unpack(OutOfRange::Keep)
    }
}

/// What becomes of a record in an aggregate whose hash key lies outside those of the shard: because a producer put together
/// what belongs to several shards, or because the shard was split while the aggregate was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutOfRange {
    /// It is handed out like the others.
    #[default]
    Keep,
    /// It alone is dropped.
    DropRecord,
    /// The whole aggregate is dropped, as the Kinesis Client Library does.
    DropAggregate,
}

/// What unpacking has met so far, over all shards of a source. A clone counts on.
#[derive(Debug, Clone, Default)]
pub struct Unpacked(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    aggregates: AtomicU64,
    records: AtomicU64,
    dropped: AtomicU64,
    broken: AtomicU64,
}

impl Unpacked {
    /// Aggregates that were unpacked.
    #[must_use]
    pub fn aggregates(&self) -> u64 {
        self.0.aggregates.load(Ordering::Relaxed)
    }

    /// Records that came out of them.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.0.records.load(Ordering::Relaxed)
    }

    /// Records that were dropped, because their hash keys lie outside those of the shard.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Aggregates that were handed out as they are stored, because they are broken inside or claim too much.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.0.broken.load(Ordering::Relaxed)
    }
}

impl Aggregates {
    /// What unpacks the records of a shard that is read `from` there; none where nothing is unpacked.
    pub(crate) fn unpacker(
        self,
        shard: &ShardId,
        range: Option<HashRange>,
        from: StartPosition,
        counts: &Unpacked,
    ) -> Option<Unpacker> {
        let Self::Unpack(out_of_range) = self else { return None };
        Some(Unpacker {
            shard: shard.clone(),
            range: range.unwrap_or(HashRange::FULL),
            out_of_range,
            from: Some(from),
            counts: counts.clone(),
            warned: AtomicBool::new(false),
        })
    }
}

/// What stored records of `shard` hold that came by another way than a source, from a Lambda event say: an aggregate's
/// records, wherever their hash keys lie, and anything else as it is.
#[must_use]
pub fn unpack(shard: &ShardId, stored: Vec<Record>) -> Vec<Record> {
    match Aggregates::default().unpacker(shard, None, StartPosition::TrimHorizon, &Unpacked::default()) {
        Some(mut unpacker) => unpacker.unpack(stored),
        None => stored,
    }
}

/// Unpacks the records of one shard, from a place on that may lie inside an aggregate.
#[derive(Debug)]
pub(crate) struct Unpacker {
    shard: ShardId,
    range: HashRange,
    out_of_range: OutOfRange,
    /// What comes before is dropped, until something behind it has come.
    from: Option<StartPosition>,
    counts: Unpacked,
    warned: AtomicBool,
}

impl Unpacker {
    /// What the stored records hold. The service was asked [at](crate::place::Place::of) the stored record that the start
    /// names.
    pub(crate) fn unpack(&mut self, stored: Vec<Record>) -> Vec<Record> {
        if self.from.is_none() && !stored.iter().any(is_marked) {
            return stored;
        }
        let mut records = Vec::with_capacity(stored.len());
        for record in stored {
            self.unpack_one(record, &mut records);
        }
        if let Some(from) = self.from.filter(|_| !records.is_empty()) {
            let is_before = |record: &Record| match from {
                StartPosition::At(number) => record.sequence_number < number,
                StartPosition::After(number) => record.sequence_number <= number,
                _ => false,
            };
            let before = records.partition_point(is_before);
            records.drain(..before);
            if !records.is_empty() {
                self.from = None;
            }
        }
        records
    }

    fn unpack_one(&self, stored: Record, to: &mut Vec<Record>) {
        let Some(message) = message_of(&stored) else { return to.push(stored) };
        let Some(message) = Message::read(message) else {
            self.counts.0.broken.fetch_add(1, Ordering::Relaxed);
            let number = stored.sequence_number;
            self.warn(&format!("the aggregate {number} is broken inside, and is handed out as it is stored"));
            return to.push(stored);
        };
        let is_within = |inner: &&Inner<'_>| self.range.contains(hash_of(inner, &message));
        let within = message.records.iter().filter(is_within).count();
        let outside = message.records.len() - within;
        let dropped = match self.out_of_range {
            OutOfRange::Keep => 0,
            OutOfRange::DropRecord => outside,
            OutOfRange::DropAggregate if outside > 0 => message.records.len(),
            OutOfRange::DropAggregate => 0,
        };
        if outside > 0 {
            self.warn(&format!("{outside} records of the aggregate {} do not belong here", stored.sequence_number));
        }
        let Counts { aggregates, records, dropped: count, .. } = &*self.counts.0;
        aggregates.fetch_add(1, Ordering::Relaxed);
        records.fetch_add((message.records.len() - dropped) as u64, Ordering::Relaxed);
        count.fetch_add(dropped as u64, Ordering::Relaxed);
        if dropped == message.records.len() {
            return;
        }
        for (sub, inner) in message.records.iter().enumerate() {
            if dropped > 0 && !is_within(&inner) {
                continue;
            }
            let number = stored.sequence_number.with_sub(sub as u64);
            let mut record = Record::new(number, message.keys[inner.key].clone(), stored.data.slice_ref(inner.data));
            record.explicit_hash_key = inner.hash_key.map(|index| message.hash_keys[index]);
            record.arrived_at = stored.arrived_at;
            to.push(record);
        }
    }

    /// Says something once: what is wrong with one aggregate is wrong with the next.
    fn warn(&self, what: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(shard = %self.shard, what, "an aggregate is not as it should be; further ones are counted");
        }
    }
}

/// Where a record hashes to.
fn hash_of(inner: &Inner<'_>, message: &Message<'_>) -> HashKey {
    match inner.hash_key {
        Some(index) => message.hash_keys[index],
        None => hash_key(&message.keys[inner.key]),
    }
}

fn is_marked(record: &Record) -> bool {
    record.data.starts_with(&MAGIC)
}

/// The message in an aggregate; none in anything else.
fn message_of(record: &Record) -> Option<&[u8]> {
    let rest = record.data.strip_prefix(&MAGIC)?;
    let (message, digest) = rest.split_at_checked(rest.len().checked_sub(DIGEST)?)?;
    (!message.is_empty() && Md5::digest(message)[..] == *digest).then_some(message)
}
