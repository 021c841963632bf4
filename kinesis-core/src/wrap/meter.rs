//! The counters behind [`Metered`](super::Metered), and what they read at a moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::error::Result;
use crate::record::Record;
use crate::shard::Shard;
use crate::source::Batch;

/// The counters of a [`Metered`](super::Metered) source. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    lists: Calls,
    opens: Calls,
    reads: Calls,
    records: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Calls {
    begun: AtomicU64,
    cancelled: AtomicU64,
    nanos: AtomicU64,
    /// By the word of their kind. Failures are rare enough for a lock.
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl Calls {
    async fn count<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.begun.fetch_add(1, Relaxed);
        let mut running = Running { calls: self, since: Instant::now(), answered: false };
        let result = call.await;
        running.answered = true;
        if let Err(error) = &result {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            *errors.entry(error.kind().as_str()).or_default() += 1;
        }
        result
    }

    fn snapshot(&self) -> CallMetrics {
        CallMetrics {
            begun: self.begun.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            errors: self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            time: Duration::from_nanos(self.nanos.load(Relaxed)),
        }
    }
}

/// A call between its beginning and its answer; a caller may drop it in between.
struct Running<'a> {
    calls: &'a Calls,
    since: Instant,
    answered: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.calls.nanos.fetch_add(self.since.elapsed().as_nanos() as u64, Relaxed);
        if !self.answered {
            self.calls.cancelled.fetch_add(1, Relaxed);
        }
    }
}

impl Meter {
    pub(super) async fn list(&self, call: impl Future<Output = Result<Vec<Shard>>> + Send) -> Result<Vec<Shard>> {
        self.0.lists.count(call).await
    }

    pub(super) async fn open<R>(&self, call: impl Future<Output = Result<R>> + Send) -> Result<R> {
        self.0.opens.count(call).await
    }

    pub(super) async fn read(&self, call: impl Future<Output = Result<Batch>> + Send) -> Result<Batch> {
        let batch = self.0.reads.count(call).await?;
        self.0.records.fetch_add(batch.records.len() as u64, Relaxed);
        self.0.bytes.fetch_add(batch.records.iter().map(Record::size).sum::<usize>() as u64, Relaxed);
        Ok(batch)
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> Metrics {
        let counts = &self.0;
        Metrics {
            lists: counts.lists.snapshot(),
            opens: counts.opens.snapshot(),
            reads: counts.reads.snapshot(),
            records: counts.records.load(Relaxed),
            bytes: counts.bytes.load(Relaxed),
        }
    }
}

/// What a [`Meter`] had counted at one moment. Counts only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Listings of the shards.
    pub lists: CallMetrics,
    /// Openings of a shard.
    pub opens: CallMetrics,
    /// Reads of a shard.
    pub reads: CallMetrics,
    /// Records that were read.
    pub records: u64,
    /// Their payloads and keys, in bytes.
    pub bytes: u64,
}

/// What was counted of one kind of call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallMetrics {
    /// Calls that began.
    pub begun: u64,
    /// Calls that were dropped before they answered.
    pub cancelled: u64,
    /// Calls that failed, by the word of their [kind](crate::ErrorKind::as_str).
    pub errors: BTreeMap<&'static str, u64>,
    /// The time that all calls took together, on tokio's clock.
    pub time: Duration,
}
