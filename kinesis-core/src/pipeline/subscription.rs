//! A subscription: a sink with a name, and how records are to reach it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::demand::Demand;
use crate::record::Channel;
use crate::retry::RetryPolicy;
use crate::selector::Selector;
use crate::shard::StartPosition;
use crate::sink::{Sink, SubscriptionName};

/// In which order records reach a sink, and how many deliveries run at once on one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ordering {
    /// In shard order, one delivery at a time. A record that is not taken holds everything behind it.
    PerShard,
    /// In order within each partition key; keys are spread over `parallel` slots that deliver side by side. A record
    /// that is not taken holds its key and no other.
    PerKey {
        /// How many deliveries run at once.
        parallel: NonZeroUsize,
    },
    /// In no order. A record that is not taken holds nothing.
    Unordered {
        /// How many deliveries run at once.
        parallel: NonZeroUsize,
    },
}

impl Ordering {
    /// [`PerKey`](Self::PerKey) with this many slots.
    ///
    /// # Panics
    ///
    /// When `parallel` is 0.
    #[must_use]
    pub const fn per_key(parallel: usize) -> Self {
        Self::PerKey { parallel: NonZeroUsize::new(parallel).expect("at least one slot") }
    }

    /// [`Unordered`](Self::Unordered) with this many deliveries at once.
    ///
    /// # Panics
    ///
    /// When `parallel` is 0.
    #[must_use]
    pub const fn unordered(parallel: usize) -> Self {
        Self::Unordered { parallel: NonZeroUsize::new(parallel).expect("at least one delivery at a time") }
    }
}

impl Default for Ordering {
    fn default() -> Self {
        Self::per_key(8)
    }
}

/// How records are put together to one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPolicy {
    /// At most this many records. Default 1.
    pub max_records: usize,
    /// At most this many bytes of payloads and keys, or one record of more. Default 1 MiB.
    pub max_bytes: usize,
    /// How long a delivery waits to be filled, from its first record on. Default 50 ms; without effect for single records.
    pub max_wait: Duration,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self { max_records: 1, max_bytes: 1 << 20, max_wait: Duration::from_millis(50) }
    }
}

impl BatchPolicy {
    /// Up to this many records, with the default bounds on bytes and wait.
    #[must_use]
    pub fn of(max_records: usize) -> Self {
        Self { max_records, ..Self::default() }
    }
}

/// What becomes of a record that its sink rejects, or that was tried often and long enough.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum OnReject {
    /// The subscription stops, on every shard, its cursor before the record. The others go on.
    #[default]
    Halt,
    /// The record is passed over; the observer is told.
    Skip,
    /// The record goes to this sink, with a [`Rejection`](crate::Rejection), and counts as settled once it is there.
    DeadLetter(Arc<dyn Sink>),
}

impl OnReject {
    /// Sends dead letters to `sink`.
    pub fn dead_letter(sink: impl Sink) -> Self {
        Self::DeadLetter(Arc::new(sink))
    }
}

/// What becomes of a subscription when records were trimmed before it had read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OnGap {
    /// It stops, on every shard, its cursor before what is missing. [`Handle::seek`](crate::Handle::seek) moves it on.
    #[default]
    Halt,
    /// It goes on with the first record that is left; the observer is told what is missing.
    Jump,
}

/// A named sink on a stream, with its own cursor on every shard.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub(crate) name: SubscriptionName,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) start: StartPosition,
    pub(crate) selector: Selector,
    pub(crate) ordering: Ordering,
    pub(crate) batch: BatchPolicy,
    pub(crate) demand: Demand,
    pub(crate) retry: RetryPolicy,
    pub(crate) on_reject: OnReject,
    pub(crate) on_gap: OnGap,
    pub(crate) cap: Option<usize>,
}

impl Subscription {
    /// A subscription that starts at the tip, takes every channel, keeps order per key and halts at what it cannot
    /// deliver.
    pub fn new(name: impl Into<SubscriptionName>, sink: impl Sink) -> Self {
        Self {
            name: name.into(),
            sink: Arc::new(sink),
            start: StartPosition::Latest,
            selector: Selector::All,
            ordering: Ordering::default(),
            batch: BatchPolicy::default(),
            demand: Demand::default(),
            retry: RetryPolicy::default(),
            on_reject: OnReject::default(),
            on_gap: OnGap::default(),
            cap: None,
        }
    }

    /// Where it starts on shards that it has no cursor for. Default [`StartPosition::Latest`].
    #[must_use]
    pub fn start_at(mut self, start: StartPosition) -> Self {
        self.start = start;
        self
    }

    /// Which channels it takes. Default all.
    #[must_use]
    pub fn channels<C: Into<Channel>>(mut self, channels: impl IntoIterator<Item = C>) -> Self {
        self.selector = Selector::only(channels);
        self
    }

    /// In which order records reach the sink. Default per key, 8 slots.
    #[must_use]
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.ordering = ordering;
        self
    }

    /// How records are put together. Default one by one.
    #[must_use]
    pub fn batch(mut self, batch: BatchPolicy) -> Self {
        self.batch = batch;
        self
    }

    /// How much it takes in before its sink has settled it.
    #[must_use]
    pub fn demand(mut self, demand: Demand) -> Self {
        self.demand = demand;
        self
    }

    /// How it tries again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// What becomes of records that cannot be delivered. Default [`OnReject::Halt`].
    #[must_use]
    pub fn on_reject(mut self, on_reject: OnReject) -> Self {
        self.on_reject = on_reject;
        self
    }

    /// What becomes of it when records were trimmed before it had read them. Default [`OnGap::Halt`].
    #[must_use]
    pub fn on_gap(mut self, on_gap: OnGap) -> Self {
        self.on_gap = on_gap;
        self
    }

    /// The most bytes that it holds of the [budget](crate::PipelineBuilder::byte_budget), on all shards together: records
    /// with their overhead, from when it takes them until they are settled. Every shard may hold one record whatever this
    /// says. Default a quarter of the budget.
    #[must_use]
    pub fn cap(mut self, bytes: usize) -> Self {
        self.cap = Some(bytes);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }
}
