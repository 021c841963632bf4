//! Building a pipeline: defaults, and every misconfiguration found before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{Handle, OnReject, Pipeline, Subscription};
use crate::error::{Error, Result};
use crate::feed::RingSize;
use crate::lane::Counters;
use crate::lease::{LeaseStore, WorkerId};
use crate::memory::MemoryLeaseStore;
use crate::observe::{Observer, Silent};
use crate::retry::RetryPolicy;
use crate::selector::{ChannelFrom, Selector};
use crate::source::StreamSource;
use crate::worker::WorkerConfig;

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
            seed: None,
        }
    }

    /// Where leases and cursors are kept. Default: in memory, with this process as the sole worker.
    pub fn leases(mut self, store: impl LeaseStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Adds a subscription. Any number, each with a name of its own.
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

    /// How long a drain may take. Default 30 s.
    pub fn drain_within(mut self, deadline: Duration) -> Self {
        self.drain = deadline;
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
        let counters: BTreeMap<_, Arc<Counters>> =
            self.subscriptions.iter().map(|subscription| (subscription.name.clone(), Arc::default())).collect();
        let records_read = Arc::new(AtomicU64::new(0));
        let handle = Handle { counters: counters.clone(), records_read: Arc::clone(&records_read) };
        let worker = WorkerConfig {
            me,
            source: self.source,
            store: self.store.unwrap_or_else(|| Arc::new(MemoryLeaseStore::default())),
            subscriptions: self.subscriptions.into_iter().map(Arc::new).collect(),
            channel_from: self.channel_from,
            observer: self.observer,
            idle: self.idle,
            commit_every: self.commit_every,
            failover: self.failover,
            drain: self.drain,
            ring: RingSize::default(),
            retry: RetryPolicy::default(),
            seed: rng.u64(..),
            counters,
            records_read,
        };
        Ok(Pipeline { worker, handle })
    }

    fn check(&self) -> Result<()> {
        if self.application.trim().is_empty() {
            return Err(Error::invalid("the application has no name; leases and cursors are stored under it"));
        }
        if self.subscriptions.is_empty() {
            return Err(Error::invalid("there is no subscription; add one with `subscribe`"));
        }
        for (field, value) in [("commit_every", self.commit_every), ("failover", self.failover)] {
            if value.is_zero() {
                return Err(Error::invalid(format!("{field} is 0; it has to be longer")));
            }
        }
        let mut names = std::collections::BTreeSet::new();
        for subscription in &self.subscriptions {
            check_subscription(subscription)
                .map_err(|why| Error::invalid(format!("subscription {:?}: {why}", subscription.name)))?;
            if !names.insert(&subscription.name) {
                let name = &subscription.name;
                return Err(Error::invalid(format!("two subscriptions are named {name:?}; names must differ")));
            }
        }
        Ok(())
    }
}

/// Why a subscription cannot work, as the rest of a sentence that names it.
fn check_subscription(subscription: &Subscription) -> Result<(), String> {
    let Subscription { name, selector, batch, demand, retry, on_reject, sink, .. } = subscription;
    if name.trim().is_empty() {
        return Err("the name is empty; cursors are stored under it".into());
    }
    if let Selector::Only(channels) = selector
        && channels.is_empty()
    {
        return Err("`channels` is empty, so it would take nothing; leave it out to take every channel".into());
    }
    for (field, value) in [
        ("batch.max_records", batch.max_records),
        ("batch.max_bytes", batch.max_bytes),
        ("demand.max", demand.max),
        ("demand.max_bytes", demand.max_bytes),
        ("demand.max_ahead", demand.max_ahead),
    ] {
        if value == 0 {
            return Err(format!("`{field}` is 0; it has to be at least 1"));
        }
    }
    for (field, value, bound, limit) in [
        ("demand.min", demand.min, "demand.max", demand.max.saturating_sub(1)),
        ("batch.max_records", batch.max_records, "demand.max", demand.max),
        ("batch.max_bytes", batch.max_bytes, "demand.max_bytes", demand.max_bytes),
        ("demand.max", demand.max, "demand.max_ahead", demand.max_ahead),
    ] {
        if value > limit {
            return Err(format!(
                "`{field}` is {value}, which `{bound}` allows up to {limit}; lower the one or raise the other"
            ));
        }
    }
    if retry.base > retry.cap {
        return Err(format!("`retry.base` is {:?}, more than `retry.cap`, {:?}", retry.base, retry.cap));
    }
    if let OnReject::DeadLetter(letters) = on_reject
        && std::ptr::addr_eq(Arc::as_ptr(letters), Arc::as_ptr(sink))
    {
        return Err("the dead-letter sink is the sink itself, which just refused the record; use another one".into());
    }
    Ok(())
}
