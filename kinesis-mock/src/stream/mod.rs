//! The in-memory stream: one log behind one short lock, shared by everybody who holds a clone.

mod builder;
mod clock;
mod limits;
mod log;
mod new_record;
#[cfg(feature = "wire")]
mod over_the_wire;
mod putting;
mod reader;
mod routing;
mod shard_log;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use kinesis_core::{
    Error, HashKey, Record, Result, SequenceNumber, Shard, ShardId, StartPosition, StreamId, StreamName,
};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

pub use builder::MemoryStreamBuilder;
pub use limits::{ReadLimits, WriteLimits};
pub use new_record::NewRecord;

#[cfg(feature = "wire")]
pub(crate) use clock::Clock;
pub(crate) use log::Log;
#[cfg(feature = "wire")]
pub(crate) use reader::MAX_ANSWER;
#[cfg(feature = "wire")]
pub(crate) use routing::even_ranges;
pub(crate) use shard_log::{Request, ShardLog};

use builder::Settings;
#[cfg(not(feature = "wire"))]
use clock::Clock;
#[cfg(feature = "wire")]
use over_the_wire::OverTheWire;
use shard_log::Found;

/// The account that owns every memory stream.
pub(crate) const ACCOUNT: &str = "000000000000";

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
    settings: Mutex<Settings>,
    clock: Clock,
    log: Mutex<Log>,
    changed: Notify,
    #[cfg(feature = "wire")]
    wire: OverTheWire,
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
        let MemoryStreamBuilder { name, shards, start_time, predecessors, settings } = builder;
        let clock = Clock::starting_at(start_time);
        let id = StreamId::new(name).with_account(ACCOUNT).with_created_at(clock.start());
        let log = Mutex::new(Log::new(shards, predecessors, clock.now()));
        let settings = Mutex::new(settings);
        Self {
            shared: Arc::new(Shared {
                id,
                settings,
                clock,
                log,
                changed: Notify::new(),
                #[cfg(feature = "wire")]
                wire: OverTheWire::default(),
            }),
        }
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

    /// Keeps records for another time from now on. What was forgotten before stays so.
    pub fn set_retention(&self, retention: Duration) {
        self.change(|settings| settings.retention = retention);
    }

    /// Takes payloads of at most `bytes` from now on.
    ///
    /// # Panics
    ///
    /// When that is over the service's 10 MiB.
    pub fn set_max_record_size(&self, bytes: usize) {
        assert!(bytes <= 10 << 20, "a payload of {bytes} bytes is over the service's 10 MiB");
        self.change(|settings| settings.max_record_size = bytes);
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
        let (now, retention) = (self.now(), self.settings().retention);
        // A panic inside leaves the log in one piece: every change of it is a push or a pop.
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.expire(retention, now);
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
            let (instant, limits) = (Instant::now(), self.settings().read_limits);
            if let Some(limits) = limits.as_ref().filter(|_| admit) {
                shard.traffic.admit(limits, instant).map_err(|wait| {
                    let message = format!("rate exceeded for the shard in stream {}", self.id().name);
                    Error::throttled(Some(wait), message).on_shard(id)
                })?;
            }
            let found = shard.read(request, now);
            if let Some(limits) = limits.as_ref().filter(|_| admit || !found.records.is_empty()) {
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

    /// What the stream's settings are now. The lock is held by nobody who takes another.
    pub(crate) fn settings(&self) -> Settings {
        *self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner));
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
