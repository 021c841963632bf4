//! What was found in an answer so far.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use base64_simd::STANDARD;
use bytes::Bytes;
use kinesis_core::{HashRange, PartitionKey, Record, SequenceNumber, Shard, ShardId};
use serde::Deserialize;

use super::Refused;
use super::scan::{Read, Stop};
use crate::answer::Answer;

/// Payloads are decoded into blocks of this size, 256 KiB: a record that stays keeps so much in memory at most, besides
/// itself. It is what a page of the pipeline has.
const BLOCK: usize = 256 << 10;

/// The bytes that a unit is read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// A chunk of the body; payloads can share it.
    Chunk(&'a Bytes),
    /// A unit that was put together; payloads are copied out of it.
    Carry(&'a [u8]),
}

impl<'a> Source<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Chunk(chunk) => chunk,
            Self::Carry(carry) => carry,
        }
    }

    fn share(self, part: &[u8]) -> Bytes {
        match self {
            Self::Chunk(chunk) => chunk.slice_ref(part),
            Self::Carry(_) => Bytes::copy_from_slice(part),
        }
    }
}

/// A payload as it travels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'a> {
    Base64(&'a [u8]),
    Plain(&'a [u8]),
}

/// The fields of a record.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) number: Option<SequenceNumber>,
    pub(super) key: Option<PartitionKey>,
    pub(super) data: Option<Payload<'a>>,
    pub(super) arrived_at: Option<SystemTime>,
}

/// A child shard as it travels, in either format.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Child {
    pub(super) shard_id: String,
    #[serde(default)]
    pub(super) parent_shards: Vec<String>,
    pub(super) hash_key_range: Option<HashKeys>,
}

/// The two ends of its hash keys, in decimal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HashKeys {
    pub(super) starting_hash_key: String,
    pub(super) ending_hash_key: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    answer: Answer,
    has_list: bool,
    /// Decoded payloads of the last records, and where in it they are.
    block: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Found {
    /// The list of records begins. Makes room for so many, as far as that is believed.
    pub(super) fn begin_list(&mut self, records: usize) {
        self.has_list = true;
        self.answer.records.reserve(records.min(10_000));
    }

    pub(super) fn push(&mut self, fields: Fields<'_>, source: Source<'_>) -> Read<()> {
        let number = fields.number.ok_or(Stop::Bad("a record has no sequence number"))?;
        let key = fields.key.ok_or(Stop::Bad("a record has no partition key"))?;
        let data = match fields.data.ok_or(Stop::Bad("a record has no data"))? {
            Payload::Plain(data) => source.share(data),
            Payload::Base64(text) => {
                let room = STANDARD.estimated_decoded_length(text.len());
                if self.block.len() + room > self.block.capacity() {
                    self.seal();
                    self.block.reserve_exact(room.max(BLOCK));
                }
                let from = self.block.len();
                STANDARD.decode_append(text, &mut self.block).map_err(|_| Stop::Bad("data is not base64"))?;
                self.places.push(from..self.block.len());
                Bytes::new()
            }
        };
        let mut record = Record::new(number, key, data);
        record.arrived_at = fields.arrived_at;
        self.answer.records.push(record);
        Ok(())
    }

    /// Hands the block out to the records that are in it.
    fn seal(&mut self) {
        let block = Bytes::from(std::mem::take(&mut self.block));
        let sealed = self.answer.records.len() - self.places.len();
        for (record, place) in self.answer.records[sealed..].iter_mut().zip(self.places.drain(..)) {
            record.data = block.slice(place);
        }
    }

    pub(super) fn set_next(&mut self, next: Option<String>) {
        self.answer.next = next;
    }

    pub(super) fn set_behind(&mut self, millis: Option<i64>) {
        self.answer.behind_latest = millis.map(|millis| Duration::from_millis(millis.max(0) as u64));
    }

    pub(super) fn set_children(&mut self, children: Vec<Child>) -> Read<()> {
        self.answer.children = children.into_iter().map(Child::shard).collect::<Read<_>>()?;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Answer, Refused> {
        if !self.has_list {
            return Err(Refused::Hollow);
        }
        // What is left of a block was never asked for, and would stay for as long as its records.
        self.block.shrink_to_fit();
        self.seal();
        Ok(self.answer)
    }
}

impl Child {
    fn shard(self) -> Read<Shard> {
        let parents = self.parent_shards.into_iter().map(ShardId::from);
        let mut shard = Shard::new(self.shard_id).with_parents(parents);
        shard.hash_range = self.hash_key_range.map(HashKeys::range).transpose()?;
        Ok(shard)
    }
}

impl HashKeys {
    fn range(self) -> Read<HashRange> {
        let key = |text: &str| text.parse().map_err(|_| Stop::Bad("a hash key is no number"));
        Ok(HashRange { start: key(&self.starting_hash_key)?, end: key(&self.ending_hash_key)? })
    }
}

/// Reads a sequence number.
pub(super) fn number(text: &[u8]) -> Read<SequenceNumber> {
    SequenceNumber::from_ascii(text).map_err(|_| Stop::Bad("a sequence number is none"))
}

/// A time in seconds after 1970, in decimal, to the millisecond.
pub(super) fn seconds(text: &str) -> Read<Option<SystemTime>> {
    let seconds: f64 = text.parse().map_err(|_| Stop::Bad("a time is no number"))?;
    Ok(from_seconds(seconds))
}

/// The same as the service writes it, with a part of a second of up to three digits, and how long that is. None for what
/// is written in any other way, or may go on.
pub(super) fn plain_seconds(text: &[u8]) -> Option<(Option<SystemTime>, usize)> {
    let digits = |text: &[u8], most| {
        let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let value = text[..count].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        (count > 0).then_some((value, count))
    };
    let (whole, mut len) = digits(text, 12)?;
    let mut millis = 0;
    if text.get(len) == Some(&b'.') {
        let (fraction, count) = digits(&text[len + 1..], 3)?;
        millis = fraction * [100, 10, 1][count - 1];
        len += 1 + count;
    }
    let leads_with_zero = len > 1 && text[0] == b'0' && text[1] != b'.';
    let ends = matches!(text.get(len)?, b',' | b'}');
    (ends && !leads_with_zero).then(|| (at_millis(whole * 1000 + millis), len))
}

/// A time in seconds, rounded: its fraction is binary, and may lie a hair below.
pub(super) fn from_seconds(seconds: f64) -> Option<SystemTime> {
    from_millis((seconds * 1000.0).round())
}

/// A time in milliseconds; none for one that no clock shows.
pub(super) fn from_millis(millis: f64) -> Option<SystemTime> {
    (0.0..1e17).contains(&millis).then_some(millis as u64).and_then(at_millis)
}

fn at_millis(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}
