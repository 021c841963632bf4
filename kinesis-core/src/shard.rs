//! Streams and shards: their names, where a shard lies in the key space, and where reading one can start.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::name;
use crate::record::SequenceNumber;

name! {
    /// A stream's name, without account or region.
    StreamName
}

name! {
    /// A shard's id. Ids repeat across streams, so whatever is stored is named by a [`ShardKey`].
    ShardId
}

/// Which stream a source reads. Part of every stored key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamId {
    /// The stream's name.
    pub name: StreamName,
    /// The account that owns it, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When it was created, where known: a stream made anew under an old name is another stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<SystemTime>,
}

impl StreamId {
    /// A stream of which only the name is known.
    pub fn new(name: impl Into<StreamName>) -> Self {
        Self { name: name.into(), account: None, created_at: None }
    }

    /// Sets the owning account.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the time of creation.
    #[must_use]
    pub fn with_created_at(mut self, at: SystemTime) -> Self {
        self.created_at = Some(at);
        self
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{account}:{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// A shard's name wherever it is stored: the stream and the shard's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardKey {
    /// The stream.
    pub stream: StreamId,
    /// The shard of that stream.
    pub shard: ShardId,
}

impl ShardKey {
    /// Names `shard` of `stream`.
    #[must_use]
    pub fn new(stream: &StreamId, shard: &ShardId) -> Self {
        Self { stream: stream.clone(), shard: shard.clone() }
    }
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.shard)
    }
}

/// A place in the key space of 0 to 2^128 - 1, over which a stream's shards are spread. Text and serde form: decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey {
    // Two halves instead of a `u128`: 8-byte alignment keeps `Record` small.
    high: u64,
    low: u64,
}

impl HashKey {
    /// The lowest key, 0.
    pub const MIN: Self = Self::new(0);
    /// The highest key, 2^128 - 1.
    pub const MAX: Self = Self::new(u128::MAX);

    /// The key with this value.
    #[must_use]
    pub const fn new(value: u128) -> Self {
        Self { high: (value >> 64) as u64, low: value as u64 }
    }

    /// Its value.
    #[must_use]
    pub const fn value(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value(), f)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for HashKey {
    type Err = crate::Error;

    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) unless the text is a decimal number of 128 bits without leading zeros.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| canonical).map(Self::new).ok_or_else(|| {
            crate::Error::invalid(format!("{text:?} is no hash key: a decimal number from 0 to 2^128 - 1 is wanted"))
        })
    }
}

impl Serialize for HashKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The keys that belong to a shard, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HashRange {
    /// The lowest key.
    pub start: HashKey,
    /// The highest key.
    pub end: HashKey,
}

impl HashRange {
    /// The whole key space.
    pub const FULL: Self = Self { start: HashKey::MIN, end: HashKey::MAX };

    /// Whether `key` belongs to the shard.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key)
    }
}

/// One shard of a stream, as a listing or the end of its parent names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shard {
    /// Its id.
    pub id: ShardId,
    /// The shards it came from: none, the one that was split, or the two that were merged.
    #[serde(default)]
    pub parents: Vec<ShardId>,
    /// Its part of the key space, where known.
    #[serde(default)]
    pub hash_range: Option<HashRange>,
    /// The number before which it has no record, where known.
    #[serde(default)]
    pub starting_sequence_number: Option<SequenceNumber>,
    /// The number after which it has no record; only a closed shard has one.
    #[serde(default)]
    pub ending_sequence_number: Option<SequenceNumber>,
    /// Whether it takes no more records.
    #[serde(default)]
    pub closed: bool,
}

impl Shard {
    /// An open shard of which only the id is known.
    pub fn new(id: impl Into<ShardId>) -> Self {
        Self {
            id: id.into(),
            parents: Vec::new(),
            hash_range: None,
            starting_sequence_number: None,
            ending_sequence_number: None,
            closed: false,
        }
    }

    /// Sets the parents.
    #[must_use]
    pub fn with_parents(mut self, parents: impl IntoIterator<Item = ShardId>) -> Self {
        self.parents = parents.into_iter().collect();
        self
    }

    /// Sets the part of the key space.
    #[must_use]
    pub fn with_hash_range(mut self, range: HashRange) -> Self {
        self.hash_range = Some(range);
        self
    }

    /// Sets the first number.
    #[must_use]
    pub fn with_starting_sequence_number(mut self, number: SequenceNumber) -> Self {
        self.starting_sequence_number = Some(number);
        self
    }

    /// Marks the shard closed; `last` is its ending sequence number, where known.
    #[must_use]
    pub fn with_end(mut self, last: Option<SequenceNumber>) -> Self {
        self.ending_sequence_number = last;
        self.closed = true;
        self
    }
}

/// Where in a shard reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartPosition {
    /// With the oldest record that is retained.
    TrimHorizon,
    /// With the first record that is put after opening.
    Latest,
    /// With the first record whose number is this one or greater.
    At(SequenceNumber),
    /// With the first record whose number is greater.
    After(SequenceNumber),
    /// With the first record that arrived at this time or later, by the stream's clock.
    Timestamp(SystemTime),
}

impl StartPosition {
    /// Finds where to start in records sorted by sequence number, as every log in memory or in a file needs to.
    ///
    /// Returns an index from 0 to `records.len()`; for [`Latest`](Self::Latest) the length.
    #[must_use]
    pub fn index_in(&self, records: &[crate::Record]) -> usize {
        match self {
            Self::TrimHorizon => 0,
            Self::Latest => records.len(),
            Self::At(number) => records.partition_point(|record| record.sequence_number < *number),
            Self::After(number) => records.partition_point(|record| record.sequence_number <= *number),
            Self::Timestamp(time) => records.partition_point(|record| record.arrived_at.is_none_or(|at| at < *time)),
        }
    }
}

impl fmt::Display for StartPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("the trim horizon"),
            Self::Latest => f.write_str("the tip"),
            Self::At(number) => write!(f, "record {number}"),
            Self::After(number) => write!(f, "the record after {number}"),
            Self::Timestamp(time) => {
                let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                write!(f, "{}.{:03} s after 1970", since.as_secs(), since.subsec_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use std::time::Duration;

    #[test]
    fn a_hash_key_is_decimal_and_canonical() {
        assert_eq!(HashKey::MAX.to_string().parse::<HashKey>().unwrap(), HashKey::MAX);
        for bad in ["", "-1", "01", "1x", "340282366920938463463374607431768211456"] {
            assert!(bad.parse::<HashKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn positions_are_found_in_a_sorted_log() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let log: Vec<Record> = [(2, 20), (4, 40), (6, 60)]
            .map(|(n, s)| Record::new(SequenceNumber::from(n), "k", "").with_arrived_at(at(s)))
            .into();
        let n = |n: u64| SequenceNumber::from(n);
        assert_eq!(StartPosition::TrimHorizon.index_in(&log), 0);
        assert_eq!(StartPosition::Latest.index_in(&log), 3);
        assert_eq!(StartPosition::At(n(4)).index_in(&log), 1);
        assert_eq!(StartPosition::After(n(4)).index_in(&log), 2);
        assert_eq!(StartPosition::At(n(5)).index_in(&log), 2);
        assert_eq!(StartPosition::Timestamp(at(40)).index_in(&log), 1);
        assert_eq!(StartPosition::Timestamp(at(99)).index_in(&log), 3);
    }
}
