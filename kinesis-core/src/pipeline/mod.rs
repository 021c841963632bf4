//! The pipeline: a source, its subscriptions and a lease store, put together, checked, and run.

mod builder;
mod subscription;
mod summary;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

pub use builder::PipelineBuilder;
pub use subscription::{BatchPolicy, OnReject, Ordering, Subscription};
pub use summary::{SubscriptionSummary, Summary};

use crate::error::Result;
use crate::lane::Counters;
use crate::sink::SubscriptionName;
use crate::source::StreamSource;
use crate::worker::{Worker, WorkerConfig};

/// A pipeline that is ready to run.
#[derive(Debug)]
pub struct Pipeline {
    worker: WorkerConfig,
    handle: Handle,
}

impl Pipeline {
    /// Starts building a pipeline. `application` names the workers and what they log; a store belongs to one application.
    pub fn builder(application: impl Into<String>, source: impl StreamSource) -> PipelineBuilder {
        PipelineBuilder::new(application.into(), Arc::new(source))
    }

    #[cfg(test)]
    pub(crate) fn into_worker(self) -> WorkerConfig {
        self.worker
    }

    /// Shows how the run is going, while it runs and afterwards.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `shutdown` is ready or a finite source has ended; then drains and says what was done.
    ///
    /// A drain finishes the deliveries in flight, stores every cursor and releases the shards, within the time that
    /// [`PipelineBuilder::drain_within`] allows. What is not delivered by then is left to the next run.
    ///
    /// # Errors
    ///
    /// When the source or the store fails for good. What had been read before is delivered first, and the shards are
    /// released; [`Handle::summary`] says how far it came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops everything at once: no cursor is stored and no lease released. Nothing is lost by that,
    /// but what was delivered since the last stored cursor comes again.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<Summary> {
        let done = Worker::new(self.worker).run(shutdown).await;
        match done.failure {
            Some(error) => Err(error),
            None => Ok(Summary {
                shards_finished: done.shards_finished,
                drain_timed_out: done.drain_timed_out,
                ..self.handle.summary()
            }),
        }
    }
}

/// Looks into a pipeline while it runs. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Handle {
    counters: BTreeMap<SubscriptionName, Arc<Counters>>,
    records_read: Arc<AtomicU64>,
}

impl Handle {
    /// The counts up to now. Shards finished and the drain are known only when the run is over.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            subscriptions: self.counters.iter().map(|(name, counters)| (name.clone(), counters.summary())).collect(),
            records_read: self.records_read.load(AtomicOrdering::Relaxed),
            ..Summary::default()
        }
    }
}

#[cfg(test)]
mod tests;
