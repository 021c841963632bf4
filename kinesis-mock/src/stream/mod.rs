//! The in-memory stream: one log behind one short lock, shared by everybody who holds a clone.

mod builder;
mod clock;
mod limits;
mod log;
mod new_record;
mod reader;
mod routing;
mod shard_log;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use kinesis_core::{
    Error, HashKey, PartitionKey, Record, Result, SequenceNumber, Shard, ShardId, StartPosition, StreamId, StreamName,
};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

pub use builder::MemoryStreamBuilder;
pub use limits::ReadLimits;
pub use new_record::NewRecord;

pub(crate) use log::Log;
#[cfg(feature = "wire")]
pub(crate) use reader::MAX_ANSWER;
pub(crate) use shard_log::{Request, ShardLog};

use builder::Settings;
use clock::Clock;
use shard_log::Found;

/// The account that owns every memory stream.
const ACCOUNT: &str = "000000000000";

/// A stream in memory with the rules of the service: hash ranges, sequence numbers, splits, merges, retention, limits.
///
/// A clone is another handle on the same stream. Its time is a fixed date plus what passed on tokio's clock.
///
/// ```
/// use kinesis_core::{StartPosition, StreamSource};
/// use kinesis_mock::MemoryStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// let stream = MemoryStream::new("orders", 4);
/// let (shard, number) = stream.put("customer-7", "an order")?;
///
/// let mut reader = stream.open_shard(&shard, StartPosition::TrimHorizon).await?;
/// let batch = reader.next_batch(100.try_into().expect("100 is not 0")).await?;
/// assert_eq!(batch.records[0].sequence_number, number);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStream {
    shared: Arc<Shared>,
}

struct Shared {
    id: StreamId,
    settings: Settings,
    clock: Clock,
    log: Mutex<Log>,
    changed: Notify,
}

impl MemoryStream {
    /// A stream with this many shards, and else the service's defaults without its limits.
    ///
    /// # Panics
    ///
    /// When `shards` is 0.
    pub fn new(name: impl Into<StreamName>, shards: usize) -> Self {
        Self::builder(name).shards(shards).build()
    }

    /// Starts a stream that differs from the default.
    pub fn builder(name: impl Into<StreamName>) -> MemoryStreamBuilder {
        MemoryStreamBuilder::new(name.into())
    }

    fn from_builder(builder: MemoryStreamBuilder) -> Self {
        let MemoryStreamBuilder { name, shards, start_time, settings } = builder;
        let clock = Clock::starting_at(start_time);
        let id = StreamId::new(name).with_account(ACCOUNT).with_created_at(clock.start());
        let log = Mutex::new(Log::new(shards, clock.now()));
        Self { shared: Arc::new(Shared { id, settings, clock, log, changed: Notify::new() }) }
    }

    /// What the stream's clock shows, in whole milliseconds.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Every shard still retained, closed ones included, in the order of their ids.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        self.with_log(|log, _| log.shards().map(|log| log.shard.clone()).collect())
    }

    /// Puts a record on the shard of its partition key; answers where it went.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for a key or payload that the service would refuse, and when the
    /// stream was [finished](Self::finish).
    pub fn put(
        &self,
        partition_key: impl Into<PartitionKey>,
        data: impl Into<Bytes>,
    ) -> Result<(ShardId, SequenceNumber)> {
        self.put_record(NewRecord::new(partition_key, data))
    }

    /// Puts a record; answers where it went.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn put_record(&self, record: NewRecord) -> Result<(ShardId, SequenceNumber)> {
        record.check(self.settings().max_record_size)?;
        let put = self.with_log(|log, now| log.put(record, now))?;
        self.shared.changed.notify_waiters();
        Ok(put)
    }

    /// Puts many records in this order, all at one instant; answers where each went.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); then none of them was put.
    pub fn put_all<R: Into<NewRecord>>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Vec<(ShardId, SequenceNumber)>> {
        // Collected first: an iterator of the caller's must not run under the lock.
        let records: Vec<NewRecord> = records.into_iter().map(Into::into).collect();
        for (index, record) in records.iter().enumerate() {
            let check = record.check(self.settings().max_record_size);
            check.map_err(|error| Error::invalid(format!("record {index}: {error}")))?;
        }
        let put = self
            .with_log(|log, now| records.into_iter().map(|record| log.put(record, now)).collect::<Result<Vec<_>>>())?;
        self.shared.changed.notify_waiters();
        Ok(put)
    }

    /// Closes a shard and opens two children in the lower and upper half of its hash keys.
    ///
    /// # Errors
    ///
    /// [`NotFound`](kinesis_core::ErrorKind::NotFound) for an unknown shard, [`Invalid`](kinesis_core::ErrorKind::Invalid)
    /// for a closed one and for one that has a single hash key.
    pub fn split(&self, shard: &ShardId) -> Result<[Shard; 2]> {
        self.reshard(|log, now| log.split(shard, None, now))
    }

    /// Closes a shard and opens two children, of which the second starts at the hash key `at`.
    ///
    /// # Errors
    ///
    /// As [`split`](Self::split), and when one of the children would be empty.
    pub fn split_at(&self, shard: &ShardId, at: HashKey) -> Result<[Shard; 2]> {
        self.reshard(|log, now| log.split(shard, Some(at), now))
    }

    /// Closes two shards and opens one child over the hash keys of both.
    ///
    /// # Errors
    ///
    /// [`NotFound`](kinesis_core::ErrorKind::NotFound) for an unknown shard, [`Invalid`](kinesis_core::ErrorKind::Invalid)
    /// for a closed one and for two whose hash keys do not touch.
    pub fn merge(&self, a: &ShardId, b: &ShardId) -> Result<Shard> {
        self.reshard(|log, now| log.merge(a, b, now))
    }

    /// Forgets every record up to this number, on all shards, as retention does with time. A closed shard that ends
    /// before it disappears.
    pub fn trim(&self, through: SequenceNumber) {
        self.with_log(|log, _| log.trim(through));
    }

    /// Closes every open shard without a child, so that reading the stream ends.
    ///
    /// The service has no such thing; tests and benches of finite input do.
    pub fn finish(&self) {
        self.with_log(Log::finish);
        self.shared.changed.notify_waiters();
    }

    fn reshard<T>(&self, change: impl FnOnce(&mut Log, SystemTime) -> Result<T>) -> Result<T> {
        let changed = self.with_log(change)?;
        self.shared.changed.notify_waiters();
        Ok(changed)
    }

    /// Works on the log with what retention took away already gone.
    pub(crate) fn with_log<T>(&self, work: impl FnOnce(&mut Log, SystemTime) -> T) -> T {
        let now = self.now();
        // A panic inside leaves the log in one piece: every change of it is a push or a pop.
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.expire(self.settings().retention, now);
        work(&mut log, now)
    }

    /// Reads a shard within its limits, after `check` agreed. Also answers the children when the shard ended.
    ///
    /// `admit` is false for a call that was let in before and has been waiting since.
    pub(crate) fn read(
        &self,
        id: &ShardId,
        request: &Request,
        admit: bool,
        check: impl FnOnce(&ShardLog) -> Result<()>,
    ) -> Result<(Found, Option<Vec<Shard>>)> {
        self.with_log(|log, now| {
            let shard = log.get_mut(id)?;
            check(shard)?;
            let instant = Instant::now();
            if let Some(limits) = self.settings().read_limits.as_ref().filter(|_| admit) {
                shard.traffic.admit(limits, instant).map_err(|wait| {
                    let message = format!("rate exceeded for the shard in stream {}", self.id().name);
                    Error::throttled(Some(wait), message).on_shard(id)
                })?;
            }
            let found = shard.read(request, now);
            if let Some(limits) = self.settings().read_limits.as_ref().filter(|_| admit || !found.records.is_empty()) {
                let bytes = found.records.iter().map(Record::size).sum();
                shard.traffic.spend(limits, instant, bytes);
            }
            let children = found.ended.then(|| log.children(id));
            Ok((found, children))
        })
    }

    /// Refuses a position behind which records were trimmed, unless such a reader goes on at the horizon without a word.
    pub(crate) fn check_retained(&self, shard: &ShardLog, from: StartPosition) -> Result<()> {
        if self.settings().trims_silently { Ok(()) } else { shard.check_retained(from) }
    }

    pub(crate) fn id(&self) -> &StreamId {
        &self.shared.id
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn changed(&self) -> Notified<'_> {
        self.shared.changed.notified()
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStream").field("id", &self.shared.id).finish_non_exhaustive()
    }
}
