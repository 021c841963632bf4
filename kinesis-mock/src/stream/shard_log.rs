//! One shard's records, oldest first, and the rules of reading them.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use kinesis_core::{Error, ErrorKind, HashRange, Record, Result, SequenceNumber, Shard, StartPosition};

use super::limits::Traffic;
#[cfg(feature = "wire")]
use super::limits::Written;

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct ShardLog {
    /// The shard as a listing names it.
    pub(crate) shard: Shard,
    /// Its part of the key space.
    pub(crate) range: HashRange,
    #[cfg_attr(not(feature = "wire"), expect(dead_code, reason = "only the wire lists shards by time"))]
    pub(crate) opened_at: SystemTime,
    pub(crate) closed_at: Option<SystemTime>,
    pub(crate) traffic: Traffic,
    #[cfg(feature = "wire")]
    pub(crate) written: Written,
    records: VecDeque<Record>,
    /// The number of the last record that retention or a trim took away.
    trimmed: Option<SequenceNumber>,
}

/// How much to read, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) from: StartPosition,
    pub(crate) max_records: usize,
    /// At most this many bytes of payloads and keys, or one record of more.
    pub(crate) max_bytes: Option<usize>,
}

/// What a read found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    /// Where the next read continues.
    pub(crate) next: StartPosition,
    pub(crate) behind: Duration,
    /// The shard is closed and this was its last record.
    pub(crate) ended: bool,
}

impl ShardLog {
    pub(crate) fn new(shard: Shard, range: HashRange, opened_at: SystemTime) -> Self {
        Self {
            shard,
            range,
            opened_at,
            closed_at: None,
            traffic: Traffic::default(),
            #[cfg(feature = "wire")]
            written: Written::default(),
            records: VecDeque::new(),
            trimmed: None,
        }
    }

    /// Appends a record, whose number is above all others here.
    pub(crate) fn push(&mut self, record: Record) {
        debug_assert!(self.records.back().is_none_or(|last| last.sequence_number < record.sequence_number));
        self.records.push_back(record);
    }

    /// Takes no more records; `last` is above all numbers here.
    pub(crate) fn close(&mut self, last: SequenceNumber, now: SystemTime) {
        self.shard.closed = true;
        self.shard.ending_sequence_number = Some(last);
        self.closed_at = Some(now);
    }

    /// Forgets the oldest records as long as `old` says so.
    pub(crate) fn trim_while(&mut self, old: impl Fn(&Record) -> bool) {
        while let Some(record) = self.records.pop_front_if(|record| old(record)) {
            self.trimmed = Some(record.sequence_number);
        }
    }

    /// Refuses a position behind which a record is missing. A record that was read before it was trimmed is not.
    pub(crate) fn check_retained(&self, from: StartPosition) -> Result<()> {
        let missed = self.trimmed.filter(|trimmed| match from {
            StartPosition::At(number) => number <= *trimmed,
            StartPosition::After(number) => number < *trimmed,
            _ => false,
        });
        match missed {
            None => Ok(()),
            Some(trimmed) => Err(Error::new(
                ErrorKind::PositionExpired,
                format!("{from} is no longer retained, all up to {trimmed} was trimmed: start at the trim horizon"),
            )
            .on_shard(&self.shard.id)),
        }
    }

    /// Reads from a position on. What was trimmed is passed over: see [`check_retained`](Self::check_retained).
    pub(crate) fn read(&self, request: &Request, now: SystemTime) -> Found {
        let start = self.index_of(request.from);
        let mut end = self.records.len().min(start + request.max_records);
        if let Some(max_bytes) = request.max_bytes {
            end = start + self.fitting(start, end, max_bytes);
        }
        let records: Vec<Record> = self.records.range(start..end).cloned().collect();
        let last = records.last();
        let behind = match self.records.get(end) {
            // There is more, so zero would be a lie even within the same millisecond.
            Some(next) => {
                let at = last.unwrap_or(next).arrived_at.unwrap_or(now);
                now.duration_since(at).unwrap_or_default().max(Duration::from_millis(1))
            }
            None => Duration::ZERO,
        };
        Found {
            next: last.map_or(request.from, |last| StartPosition::After(last.sequence_number)),
            behind,
            ended: self.shard.closed && end == self.records.len(),
            records,
        }
    }

    fn index_of(&self, from: StartPosition) -> usize {
        let from_the_left = |before: &dyn Fn(&Record) -> bool| self.records.partition_point(before);
        match from {
            StartPosition::At(number) => from_the_left(&|record| record.sequence_number < number),
            StartPosition::After(number) => from_the_left(&|record| record.sequence_number <= number),
            StartPosition::Timestamp(time) => from_the_left(&|record| record.arrived_at.is_none_or(|at| at < time)),
            // Whoever opens at the tip is given a number at once, so only the horizon is left.
            _ => 0,
        }
    }

    /// How many of the records from `start` to `end` fit `max_bytes`; one at least, so that reading goes on.
    fn fitting(&self, start: usize, end: usize, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fit = self.records.range(start..end).take_while(|record| {
            bytes += record.size();
            bytes <= max_bytes
        });
        fit.count().max(1).min(end - start)
    }
}
