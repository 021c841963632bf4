//! The pipeline: a source, its subscriptions and a lease store, put together, checked, and run.

mod builder;
mod check;
mod handle;
mod status;
pub mod stored;
mod subscription;
mod summary;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;

pub use builder::PipelineBuilder;
pub use handle::Handle;
pub use status::{BudgetStatus, LaneState, LaneStatus, ShardStatus, Status, SubscriptionStatus, ToTip};
pub use subscription::{BatchPolicy, OnGap, OnReject, Ordering, Subscription};
pub use summary::{SubscriptionSummary, Summary};

pub(crate) use check::{check, default_cap};
pub(crate) use handle::{Registry, Request};

use crate::error::{Error, Result};
use crate::sink::SubscriptionName;
use crate::source::StreamSource;
use crate::worker::{Attached, Worker, WorkerConfig};

/// A pipeline that is ready to run.
#[derive(Debug)]
pub struct Pipeline {
    worker: WorkerConfig,
    attached: BTreeMap<SubscriptionName, Attached>,
    requests: mpsc::UnboundedReceiver<Request>,
    handle: Handle,
}

impl Pipeline {
    /// Starts building a pipeline. `application` names the workers and what they log; a store belongs to one application.
    pub fn builder(application: impl Into<String>, source: impl StreamSource) -> PipelineBuilder {
        PipelineBuilder::new(application.into(), Arc::new(source))
    }

    /// Changes the subscriptions and shows how the run is going, while it runs; shows what it did, afterwards.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    #[cfg(test)]
    pub(crate) fn into_worker(self) -> Worker {
        Worker::new(self.worker, self.attached, self.handle.counts().registry(), self.requests)
    }

    /// Runs until `shutdown` is ready or a finite source has ended; then drains and says what was done.
    ///
    /// A drain finishes the deliveries in flight, stores every cursor and releases the shards, within the time that
    /// [`PipelineBuilder::drain_within`] allows. What is not delivered by then is left to the next run.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) without a subscription and without a handle to attach one by.
    ///
    /// When the source or the store fails for good. What had been read before is delivered first, and the shards are
    /// released; [`Handle::summary`] says how far it came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops everything at once: no cursor is stored and no lease released. Nothing is lost by that,
    /// but what was delivered since the last stored cursor comes again.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary> {
        let Self { worker, attached, requests, handle } = self;
        let counts = handle.counts();
        // Once the caller has dropped his, nobody can attach a subscription any more.
        drop(handle);
        if attached.is_empty() && requests.is_closed() {
            return Err(Error::invalid(
                "there is no subscription, and nobody who could attach one; add one with `subscribe`, or keep a `handle`",
            ));
        }
        let done = Worker::new(worker, attached, counts.registry(), requests).run(shutdown).await;
        match done.failure {
            Some(error) => Err(error),
            None => Ok(Summary {
                shards_finished: done.shards_finished,
                drain_timed_out: done.drain_timed_out,
                ..counts.summary()
            }),
        }
    }
}

#[cfg(test)]
mod tests;
