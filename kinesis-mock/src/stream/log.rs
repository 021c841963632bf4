//! The shards of a stream: who takes which record, how they split and merge, and when they disappear.
//!
//! A pure room: it has neither lock nor clock, the caller says what time it is.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kinesis_core::{Error, HashKey, HashRange, Record, Result, SequenceNumber, Shard, ShardId};
#[cfg(feature = "wire")]
use tokio::time::Instant;

#[cfg(feature = "wire")]
use super::limits::WriteLimits;
use super::new_record::NewRecord;
use super::routing;
use super::shard_log::ShardLog;

/// Below all numbers of a stream: 56 digits, as the service's have.
const BASE: &str = "49600000000000000000000000000000000000000000000000000000";
/// Numbers have gaps, as the service's do, so that whoever counts instead of comparing fails here too.
const STEP: u64 = 16;

/// All shards of a stream.
#[derive(Debug)]
pub(crate) struct Log {
    shards: BTreeMap<ShardId, ShardLog>,
    /// The open shards by their lowest hash key.
    open: BTreeMap<HashKey, ShardId>,
    /// The number given out last. One sequence for all shards puts children above their parents.
    last: SequenceNumber,
    shards_so_far: u64,
}

impl Log {
    /// `shards` open shards, spread evenly over the key space.
    ///
    /// Their numbers lie above all that `predecessors` streams have given out.
    pub(crate) fn new(shards: usize, predecessors: u64, now: SystemTime) -> Self {
        let base: SequenceNumber = BASE.parse().expect("the base is a number of 56 digits");
        let mut log = Self {
            shards: BTreeMap::new(),
            open: BTreeMap::new(),
            last: base.plus((predecessors & 0xffff) << 48),
            shards_so_far: 0,
        };
        for range in routing::even_ranges(shards) {
            log.open_shard(range, [], now);
        }
        log
    }

    /// A number above all records so far and below all to come.
    pub(crate) fn last_number(&self) -> SequenceNumber {
        self.last
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = &ShardLog> {
        self.shards.values()
    }

    pub(crate) fn get(&self, id: &ShardId) -> Result<&ShardLog> {
        self.shards.get(id).ok_or_else(|| missing(id))
    }

    pub(crate) fn get_mut(&mut self, id: &ShardId) -> Result<&mut ShardLog> {
        self.shards.get_mut(id).ok_or_else(|| missing(id))
    }

    /// The shards that carry on after `id`.
    pub(crate) fn children(&self, id: &ShardId) -> Vec<Shard> {
        self.shards().filter(|log| log.shard.parents.contains(id)).map(|log| log.shard.clone()).collect()
    }

    /// Appends a record that was checked before to the shard that its hash key belongs to.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) when the stream was finished.
    pub(crate) fn put(&mut self, record: NewRecord, now: SystemTime) -> Result<(ShardId, SequenceNumber)> {
        let NewRecord { partition_key, data, explicit_hash_key } = record;
        let shard = self.owner(explicit_hash_key.unwrap_or_else(|| routing::hash_key(&partition_key)))?;
        let number = self.draw();
        let mut record = Record::new(number, partition_key, data).with_arrived_at(now);
        record.explicit_hash_key = explicit_hash_key;
        self.get_mut(&shard)?.push(record);
        Ok((shard, number))
    }

    /// The open shard that takes a hash key.
    fn owner(&self, hash: HashKey) -> Result<ShardId> {
        let owner = self.open.range(..=hash).next_back().map(|(_, id)| id.clone());
        owner.ok_or_else(|| Error::invalid("the stream was finished and takes no more records"))
    }

    /// Counts a record that is about to be put among those of its shard's second; refuses it when that is full.
    #[cfg(feature = "wire")]
    pub(crate) fn admit(&mut self, record: &NewRecord, limits: &WriteLimits, now: Instant) -> Result<()> {
        let hash = record.explicit_hash_key.unwrap_or_else(|| routing::hash_key(&record.partition_key));
        let shard = self.owner(hash)?;
        let size = record.data.len() + record.partition_key.len();
        self.get_mut(&shard)?
            .written
            .admit(limits, now, size)
            .map_err(|wait| Error::throttled(Some(wait), "rate exceeded for writing to the shard").on_shard(&shard))
    }

    /// Replaces a shard by two, of which the second starts at `at`, or in the middle.
    pub(crate) fn split(&mut self, id: &ShardId, at: Option<HashKey>, now: SystemTime) -> Result<[Shard; 2]> {
        let range = self.open_range(id)?;
        let halves = at.or_else(|| routing::middle(range)).and_then(|at| routing::cut(range, at));
        let halves = halves.ok_or_else(|| {
            Error::invalid(format!(
                "a shard of the hash keys {} to {} cannot be split there: the new starting hash key has to lie above \
                 its first key",
                range.start, range.end
            ))
            .on_shard(id)
        })?;
        self.close(id, now);
        Ok(halves.map(|half| self.open_shard(half, [id.clone()], now)))
    }

    /// Replaces two adjacent shards by one.
    pub(crate) fn merge(&mut self, a: &ShardId, b: &ShardId, now: SystemTime) -> Result<Shard> {
        let joined = routing::join(self.open_range(a)?, self.open_range(b)?);
        let range = joined.ok_or_else(|| {
            Error::invalid(format!("it cannot be merged with {b}: their hash key ranges do not touch")).on_shard(a)
        })?;
        self.close(a, now);
        self.close(b, now);
        Ok(self.open_shard(range, [a.clone(), b.clone()], now))
    }

    /// Closes every shard without a successor.
    pub(crate) fn finish(&mut self, now: SystemTime) {
        for id in self.open.values().cloned().collect::<Vec<_>>() {
            self.close(&id, now);
        }
    }

    /// Forgets all records up to a number, and the closed shards that end before it.
    pub(crate) fn trim(&mut self, through: SequenceNumber) {
        for log in self.shards.values_mut() {
            log.trim_while(|record| record.sequence_number <= through);
        }
        self.shards.retain(|_, log| log.shard.ending_sequence_number.is_none_or(|end| end > through));
    }

    /// Forgets the records that are older than `retention`, and the shards that were closed before that.
    pub(crate) fn expire(&mut self, retention: Duration, now: SystemTime) {
        let Some(horizon) = now.checked_sub(retention) else { return };
        let mut gone = false;
        for log in self.shards.values_mut() {
            log.trim_while(|record| record.arrived_at.is_some_and(|at| at < horizon));
            gone |= log.closed_at.is_some_and(|at| at < horizon);
        }
        if gone {
            self.shards.retain(|_, log| log.closed_at.is_none_or(|at| at >= horizon));
        }
    }

    fn draw(&mut self) -> SequenceNumber {
        self.last = self.last.plus(STEP);
        self.last
    }

    fn open_range(&self, id: &ShardId) -> Result<HashRange> {
        let log = self.get(id)?;
        match log.shard.closed {
            false => Ok(log.range),
            true => Err(Error::invalid("the shard is closed: only an open shard can be split or merged").on_shard(id)),
        }
    }

    fn open_shard<const N: usize>(&mut self, range: HashRange, parents: [ShardId; N], now: SystemTime) -> Shard {
        let id = ShardId::from(format!("shardId-{:012}", self.shards_so_far));
        self.shards_so_far += 1;
        let shard = Shard::new(id.clone())
            .with_parents(parents)
            .with_hash_range(range)
            .with_starting_sequence_number(self.draw());
        self.open.insert(range.start, id.clone());
        self.shards.insert(id, ShardLog::new(shard.clone(), range, now));
        shard
    }

    fn close(&mut self, id: &ShardId, now: SystemTime) {
        let last = self.draw();
        if let Some(log) = self.shards.get_mut(id) {
            log.close(last, now);
            self.open.remove(&log.range.start);
        }
    }
}

fn missing(id: &ShardId) -> Error {
    Error::not_found("the stream has no such shard, or no longer retains it").on_shard(id)
}
