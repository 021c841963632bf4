//! The pipeline: a source, its subscriptions and a lease store, put together and run.

mod subscription;
mod summary;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use subscription::{BatchPolicy, OnReject, Ordering, Subscription};
pub use summary::{SubscriptionSummary, Summary};

use crate::error::Result;
use crate::lease::LeaseStore;
use crate::observe::Observer;
use crate::selector::ChannelFrom;
use crate::source::StreamSource;

/// A pipeline that is ready to run.
#[derive(Debug)]
pub struct Pipeline {}

impl Pipeline {
    /// Starts building a pipeline of `application`, the name that leases and cursors are stored under.
    pub fn builder(application: impl Into<String>, source: impl StreamSource) -> PipelineBuilder {
        let _ = (application.into(), source);
        PipelineBuilder {}
    }

    /// Runs until `shutdown` is ready or a finite source has ended; then drains.
    ///
    /// # Errors
    ///
    /// When the source or the store fails for good.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary> {
        shutdown.await;
        Ok(Summary::default())
    }
}

/// Collects what a [`Pipeline`] is made of.
#[derive(Debug)]
#[must_use]
pub struct PipelineBuilder {}

impl PipelineBuilder {
    /// Where leases and cursors are kept. Default: in memory, with this process as the sole worker.
    pub fn leases(self, store: impl LeaseStore) -> Self {
        let _ = store;
        self
    }

    /// Adds a subscription.
    pub fn subscribe(self, subscription: Subscription) -> Self {
        let _ = subscription;
        self
    }

    /// How a record's channel is found. Default: the partition key.
    pub fn channel_from(self, from: ChannelFrom) -> Self {
        let _ = from;
        self
    }

    /// Is told what happens.
    pub fn observer(self, observer: impl Observer) -> Self {
        let _ = Arc::new(observer);
        self
    }

    /// The wait between reads that return nothing. Default 250 ms.
    pub fn idle(self, idle: Duration) -> Self {
        let _ = idle;
        self
    }

    /// How often progress is stored. Default 1 s.
    pub fn commit_every(self, interval: Duration) -> Self {
        let _ = interval;
        self
    }

    /// How long a drain may take. Default 30 s.
    pub fn drain_within(self, deadline: Duration) -> Self {
        let _ = deadline;
        self
    }

    /// Seeds the jitter, so that a run on a paused clock can be replayed. Default: random.
    pub fn seed(self, seed: u64) -> Self {
        let _ = seed;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the field, its value and the way out.
    pub fn build(self) -> Result<Pipeline> {
        Ok(Pipeline {})
    }
}
