//! Building a pipeline: defaults, and every misconfiguration found before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::check::check;
use super::{Handle, Pipeline, Subscription};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::feed::RingSize;
use crate::lease::{LeaseStore, WorkerId};
use crate::memory::MemoryLeaseStore;
use crate::observe::{Observer, Silent};
use crate::retry::RetryPolicy;
use crate::selector::ChannelFrom;
use crate::source::StreamSource;
use crate::worker::{Attached, WorkerConfig};

/// Collects what a [`Pipeline`] is made of; [`build`](Self::build) checks it.
#[derive(Debug)]
#[must_use = "a pipeline is made by `build` and does nothing before `run_until`"]
pub struct PipelineBuilder {
    application: String,
    source: Arc<dyn StreamSource>,
    store: Option<Arc<dyn LeaseStore>>,
    subscriptions: Vec<Subscription>,
    channel_from: ChannelFrom,
    observer: Arc<dyn Observer>,
    idle: Duration,
    commit_every: Duration,
    failover: Duration,
    drain: Duration,
    byte_budget: usize,
    seed: Option<u64>,
}

impl PipelineBuilder {
    pub(super) fn new(application: String, source: Arc<dyn StreamSource>) -> Self {
        Self {
            application,
            source,
            store: None,
            subscriptions: Vec::new(),
            channel_from: ChannelFrom::default(),
            observer: Arc::new(Silent),
            idle: Duration::from_millis(250),
            commit_every: Duration::from_secs(1),
            failover: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            byte_budget: 256 << 20,
            seed: None,
        }
    }

    /// Where leases and cursors are kept. Default: in memory, with this process as the sole worker.
    pub fn leases(mut self, store: impl LeaseStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Adds a subscription. Any number, each with a name of its own; none, when all are attached later by the
    /// [`handle`](Pipeline::handle).
    pub fn subscribe(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// How a record's channel is found. Default: the partition key.
    pub fn channel_from(mut self, from: ChannelFrom) -> Self {
        self.channel_from = from;
        self
    }

    /// Is told what happens. Default: nobody.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// The wait after a read that returned nothing, for sources that poll. Default 250 ms: Kinesis allows five reads a
    /// second and shard, and four leave room for a second reader now and then.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How often progress is stored while there is some. Default 1 s.
    pub fn commit_every(mut self, interval: Duration) -> Self {
        self.commit_every = interval;
        self
    }

    /// After how long without a renewal a lease passes to another worker. Default 10 s, as in the KCL; renewals come
    /// three times as often.
    pub fn failover(mut self, failover: Duration) -> Self {
        self.failover = failover;
        self
    }

    /// How long a drain may take. Default 30 s. Workers that share a stream should have the same: a shard that was asked for
    /// and is not handed over within this time and two failovers is taken.
    pub fn drain_within(mut self, deadline: Duration) -> Self {
        self.drain = deadline;
        self
    }

    /// How many bytes all shards hold together: records with their overhead, from when they are read until nobody needs
    /// them, those that are kept for lanes to come and the room of reads under way included. Default 256 MiB.
    ///
    /// A read waits until there is room for what it may bring, a quarter of the budget at most. Half of the budget is for
    /// what shards keep, the same share for each; the other half is for what subscriptions hold, each up to its
    /// [cap](Subscription::cap). So that nobody waits for ever, one read at a time is let through without room, in turn,
    /// and every subscription may hold one record on each shard. A subscription that settles nothing for a second while
    /// others wait gives back what is not with its sink, and has it read again later.
    ///
    /// The bound is exceeded by one answer of a read that had its turn and by one record for every subscription and shard.
    /// A source that cannot be read again gives nothing back.
    pub fn byte_budget(mut self, bytes: usize) -> Self {
        self.byte_budget = bytes;
        self
    }

    /// Seeds the jitter and the worker's name, so that a run on a paused clock can be replayed. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks everything and makes the pipeline.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the field, its value and the way out.
    pub fn build(self) -> Result<Pipeline> {
        self.check()?;
        if self.store.is_none() && self.source.caps().replayable {
            tracing::warn!(
                application = self.application,
                "leases are kept in memory: after a restart every subscription begins anew; give `leases` a store that lasts"
            );
        }
        let mut rng = self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let me = WorkerId::from(format!("{}-{:016x}", self.application, rng.u64(..)));
        let budget = Budget::new(self.byte_budget);
        let attached: BTreeMap<_, _> = self
            .subscriptions
            .into_iter()
            .map(|subscription| (subscription.name.clone(), Attached::new(subscription, &budget)))
            .collect();
        let records_read = Arc::new(AtomicU64::new(0));
        let (handle, requests) = Handle::new(&attached, Arc::clone(&records_read));
        let worker = WorkerConfig {
            me,
            source: self.source,
            store: self.store.unwrap_or_else(|| Arc::new(MemoryLeaseStore::default())),
            channel_from: self.channel_from,
            observer: self.observer,
            idle: self.idle,
            commit_every: self.commit_every,
            failover: self.failover,
            drain: self.drain,
            ring: RingSize::default(),
            budget,
            retry: RetryPolicy::default(),
            seed: rng.u64(..),
            records_read,
        };
        Ok(Pipeline { worker, attached, requests, handle })
    }

    fn check(&self) -> Result<()> {
        if self.application.trim().is_empty() {
            return Err(Error::invalid("the application has no name; leases and cursors are stored under it"));
        }
        for (field, value) in [("commit_every", self.commit_every), ("failover", self.failover)] {
            if value.is_zero() {
                return Err(Error::invalid(format!("{field} is 0; it has to be longer")));
            }
        }
        if self.byte_budget == 0 {
            return Err(Error::invalid("`byte_budget` is 0; it has to be at least 1"));
        }
        check(&self.subscriptions, self.byte_budget, self.source.caps())
    }
}
