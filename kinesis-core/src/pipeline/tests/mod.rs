//! Whole pipelines over a small log, on a paused clock.

mod config;
mod demand;
mod ending;
mod halting;
mod handle;
mod order;
mod pipes;
mod shards;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::{
    Batch, Demand, Error, ErrorKind, LeaseStore, Outcome, Record, RetryPolicy, SequenceNumber, Shard, ShardEnd,
    ShardId, ShardReader, StartPosition, StreamId, SubscriptionRecord, handler,
};
use crate::{Cursor, CursorPosition, Lease, MemoryLeaseStore, Progress, ShardKey, channel_sink};

type Shards = BTreeMap<ShardId, (Shard, Vec<Record>)>;

/// A log in memory, shards made by hand.
#[derive(Debug, Clone)]
struct Log {
    stream: StreamId,
    shards: Arc<Mutex<Shards>>,
    /// An error that every further read gets, once the records are through.
    fails: Option<ErrorKind>,
}

impl Log {
    /// Numbers above are refused, as Kinesis refuses what cannot be a number of its shard.
    const HIGHEST: u64 = 1_000_000;

    /// One shard "0" of records named key and number, "a1", closed behind them.
    fn of(names: &str) -> Self {
        let log = Self { stream: StreamId::new("log"), shards: Arc::default(), fails: None };
        log.shard(Shard::new("0").with_end(None), names);
        log
    }

    fn shard(&self, shard: Shard, names: &str) {
        let record =
            |(n, name): (usize, &str)| Record::new(SequenceNumber::from(n as u64), &name[..1], name.to_owned());
        let records = names.split_whitespace().enumerate().map(record).collect();
        self.shards.lock().unwrap().insert(shard.id.clone(), (shard, records));
    }
}

#[async_trait]
impl StreamSource for Log {
    fn stream(&self) -> &StreamId {
        &self.stream
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(self.shards.lock().unwrap().values().map(|(shard, _)| shard.clone()).collect())
    }
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        if let StartPosition::At(number) | StartPosition::After(number) = from
            && number > SequenceNumber::from(Self::HIGHEST)
        {
            return Err(Error::invalid(format!("{number} is no number of this shard")));
        }
        let next = self.shards.lock().unwrap().get(shard).map(|(_, records)| from.index_in(records));
        let next = next.ok_or_else(|| Error::not_found(format!("no shard {shard}")))?;
        Ok(Box::new(Reader { log: self.clone(), shard: shard.clone(), next }))
    }
}

#[derive(Debug)]
struct Reader {
    log: Log,
    shard: ShardId,
    next: usize,
}

#[async_trait]
impl ShardReader for Reader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let shards = self.log.shards.lock().unwrap();
        let (shard, records) = &shards[&self.shard];
        let batch: Vec<Record> = records[self.next..].iter().take(max.get()).cloned().collect();
        self.next += batch.len();
        let at_end = batch.is_empty();
        if at_end && let Some(kind) = self.log.fails {
            return Err(Error::new(kind, "the log is torn"));
        }
        let batch = Batch::new(batch);
        if !at_end || !shard.closed {
            return Ok(batch);
        }
        let children = shards.values().map(|(shard, _)| shard).filter(|child| child.parents.contains(&self.shard));
        Ok(batch.with_end(ShardEnd::new(children.cloned().collect())))
    }
}

/// Collects what it is given, as text; fails as told.
#[derive(Debug, Clone, Default)]
struct Collect {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Collect {
    fn sink(&self, judge: impl Fn(&str, usize) -> Outcome + Send + Sync + 'static) -> impl crate::Sink {
        let seen = Arc::clone(&self.seen);
        handler(move |record| {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            let mut seen = seen.lock().unwrap();
            let before = seen.iter().filter(|earlier| earlier.trim_end_matches('!') == text).count();
            let outcome = judge(&text, before);
            seen.push(if outcome == Outcome::Delivered { text } else { format!("{text}!") });
            std::future::ready(outcome)
        })
    }

    fn text(&self) -> String {
        self.seen.lock().unwrap().join(" ")
    }

    fn delivered(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|text| !text.ends_with('!')).cloned().collect()
    }
}

fn all(_: &str, _: usize) -> Outcome {
    Outcome::Delivered
}

fn from_start(name: &str, sink: impl crate::Sink) -> Subscription {
    Subscription::new(name, sink).start_at(StartPosition::TrimHorizon)
}

fn never() -> impl Future<Output = ()> + Send {
    std::future::pending()
}
