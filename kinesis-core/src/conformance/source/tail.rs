//! A reader as the checks use it: it asks until it has what it wants, and says what it got instead.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::rig::Put;
use crate::conformance::check::{Broken, Kept, ensure};
use crate::conformance::eventually::Patience;
use crate::error::Result;
use crate::record::{Record, SequenceNumber};
use crate::source::{Batch, ShardEnd, ShardReader};

/// How long a read of a source that parks is given before it counts as "nothing there". Twice the time that Kinesis
/// takes at most to make a record readable.
const PARKED: Duration = Duration::from_secs(2);
/// How often "nothing there" has to be answered before it is believed.
const SILENCES: usize = 3;

/// A reader, and what its shard told about its end.
#[derive(Debug)]
pub(super) struct Tail {
    reader: Box<dyn ShardReader>,
    parks: bool,
    patience: Duration,
    pub(super) end: Option<ShardEnd>,
}

impl Tail {
    pub(super) fn new(reader: Box<dyn ShardReader>, parks: bool, patience: Duration) -> Self {
        Self { reader, parks, patience, end: None }
    }

    /// The future of one read, as it is.
    pub(super) async fn read_once(&mut self, max: usize) -> Result<Batch> {
        let max = NonZeroUsize::new(max).expect("checks ask for at least one record");
        self.reader.next_batch(max).await
    }

    /// One read that succeeds. A parked one that has nothing in time is dropped and counts as empty.
    pub(super) async fn read(&mut self, max: usize) -> Kept<Batch> {
        Ok(self.try_read(max).await?)
    }

    pub(super) async fn try_read(&mut self, max: usize) -> Result<Batch> {
        let mut patience = Patience::of(self.patience);
        let batch = loop {
            let parks = self.parks;
            let read = self.read_once(max);
            let answer = match parks {
                true => timeout(PARKED, read).await.unwrap_or_else(|_| Ok(Batch::empty())),
                false => read.await,
            };
            if !may_pass(&answer) || !patience.wait().await {
                break answer?;
            }
        };
        self.end = batch.end.clone().or(self.end.take());
        Ok(batch)
    }

    /// Reads until there is a record or the end; an empty batch when neither came in time.
    async fn something(&mut self, max: usize) -> Kept<Batch> {
        let mut patience = Patience::of(self.patience);
        loop {
            let batch = self.read(max).await?;
            let nothing = batch.records.is_empty() && batch.end.is_none();
            if !nothing || !patience.wait().await {
                return Ok(batch);
            }
        }
    }

    /// Reads until there are `count` records or more.
    pub(super) async fn take(&mut self, count: usize, max: usize) -> Kept<Vec<Record>> {
        let mut got = Vec::new();
        while got.len() < count {
            let batch = self.something(max).await?;
            let so_far = || format!("{} of {count} records came: {}", got.len(), numbers(&got));
            match (batch.records.is_empty(), &batch.end) {
                (false, _) => got.extend(batch.records),
                (true, Some(_)) => return Err(Broken::new(format!("the shard ended after {}", so_far()))),
                (true, None) => {
                    return Err(Broken::new(format!("after {} s, only {}", self.patience.as_secs(), so_far())));
                }
            }
        }
        Ok(got)
    }

    /// Reads these records, in this order, and no other before or between them.
    pub(super) async fn expect(&mut self, puts: &[Put]) -> Kept<Vec<Record>> {
        let got = self.take(puts.len(), 100).await?;
        same(&got, puts)?;
        Ok(got)
    }

    /// As [`expect`](Self::expect), a few at a time, and never asking for more.
    pub(super) async fn expect_by(&mut self, puts: &[Put], max: usize) -> Kept<Vec<Record>> {
        let mut got = Vec::new();
        while got.len() < puts.len() {
            let left = puts.len() - got.len();
            got.extend(self.take(1, max.min(left)).await?);
        }
        same(&got, puts)?;
        Ok(got)
    }

    /// Finds no record, however often it asks, and no error.
    pub(super) async fn expect_nothing(&mut self) -> Kept {
        for _ in 0..SILENCES {
            let batch = self.read(100).await?;
            ensure!(batch.records.is_empty(), "nothing was there to read, yet there came {}", numbers(&batch.records));
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Reads to the end of a closed shard.
    pub(super) async fn read_to_end(&mut self, max: usize) -> Kept<Vec<Record>> {
        let mut got = Vec::new();
        while self.end.is_none() {
            let batch = self.something(max).await?;
            let going = self.end.is_some() || !batch.records.is_empty();
            ensure!(going, "a closed shard did not end; its records were {}", numbers(&got));
            got.extend(batch.records);
        }
        Ok(got)
    }
}

/// Compares what was read with what was put.
pub(super) fn same(got: &[Record], puts: &[Put]) -> Kept {
    let wanted: Vec<SequenceNumber> = puts.iter().map(|put| put.number).collect();
    let read: Vec<SequenceNumber> = got.iter().map(|record| record.sequence_number).collect();
    let Some(at) = (0..wanted.len().max(read.len())).find(|at| wanted.get(*at) != read.get(*at)) else { return Ok(()) };
    let name = |number: Option<&SequenceNumber>| number.map_or("nothing".to_owned(), ToString::to_string);
    Err(Broken::new(format!(
        "record {at} should be {} and is {}; {} were wanted, {} came: {}",
        name(wanted.get(at)),
        name(read.get(at)),
        wanted.len(),
        read.len(),
        numbers(got),
    )))
}

/// Sequence numbers for a message, the first ten of them.
pub(super) fn numbers(records: &[Record]) -> String {
    let shown: Vec<String> = records.iter().take(10).map(|record| record.sequence_number.to_string()).collect();
    let more = if records.len() > shown.len() { ", .." } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

/// Whether another attempt is due. Every call of a source may fail with what passes, and that breaks no rule.
pub(super) fn may_pass<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind().is_retryable())
}
