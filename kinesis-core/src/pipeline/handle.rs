//! The handle: who subscribes to a pipeline is changed while it runs, and how it stands is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::{Status, Subscription, Summary};
use crate::error::{Error, Result};
use crate::lane::Counters;
use crate::shard::{ShardId, StartPosition};
use crate::sink::SubscriptionName;
use crate::worker::Attached;

/// Where the answer to a request goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// What a worker is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Attach(Box<Subscription>, Reply<()>),
    /// Answers with a channel that is closed when the last lane has left.
    Detach(SubscriptionName, Reply<mpsc::Receiver<()>>),
    Pause(SubscriptionName, bool, Reply<()>),
    /// On one shard and what came from it, or on all.
    Seek(SubscriptionName, Option<ShardId>, StartPosition, Reply<()>),
    Forget(SubscriptionName, Reply<()>),
    Status(Reply<Status>),
}

/// The counts of every subscription that was ever attached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<BTreeMap<SubscriptionName, Arc<Counters>>>>);

impl Registry {
    pub(crate) fn add(&self, name: &SubscriptionName, counters: &Arc<Counters>) {
        self.all().insert(name.clone(), Arc::clone(counters));
    }

    /// The counts under a name; a subscription that is attached anew counts on.
    pub(crate) fn counters(&self, name: &SubscriptionName) -> Arc<Counters> {
        Arc::clone(self.all().entry(name.clone()).or_default())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<SubscriptionName, Arc<Counters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run has done so far.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    registry: Registry,
    records_read: Arc<AtomicU64>,
}

impl Counts {
    pub(super) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    pub(super) fn summary(&self) -> Summary {
        let all = self.registry.all();
        Summary {
            subscriptions: all.iter().map(|(name, counters)| (name.clone(), counters.summary())).collect(),
            records_read: self.records_read.load(Ordering::Relaxed),
            ..Summary::default()
        }
    }
}

/// Changes a pipeline and looks into it while it runs. Cloning shares it.
///
/// Changes are written to the lease store before they take effect, so they survive a restart: what is paused stays paused,
/// what was sought goes on from there, what was forgotten starts anew. Only the sink itself has to be given again, by
/// subscribing under the same name. Methods that change something wait until the pipeline runs.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// # use kinesis_core::{Handle, StartPosition, Subscription, handler};
/// async fn replay_yesterday(handle: &Handle, yesterday: std::time::SystemTime) -> kinesis_core::Result<()> {
///     handle.pause("audit").await?;
///     handle.seek("audit", StartPosition::Timestamp(yesterday)).await?;
///     handle.resume("audit").await?;
///     for (shard, lane) in &handle.status().await?.subscriptions["audit"].shards {
///         println!("{shard}: {:?}, {:?} behind, at the tip: {:?}", lane.state, lane.lag, lane.to_tip);
///     }
///     Ok(())
/// }
/// # let _ = replay_yesterday;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    counts: Counts,
    requests: mpsc::UnboundedSender<Request>,
}

impl Handle {
    pub(super) fn new(
        attached: &BTreeMap<SubscriptionName, Attached>,
        records_read: Arc<AtomicU64>,
    ) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, asked) = mpsc::unbounded_channel();
        let registry = Registry::default();
        attached.iter().for_each(|(name, attached)| registry.add(name, &attached.counters));
        (Self { counts: Counts { registry, records_read }, requests }, asked)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// The counts up to now. Shards finished and the drain are known only when the run is over.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.counts.summary()
    }

    /// Adds a subscription. One that the store knows goes on where it was; another one starts as it says, in closed shards
    /// too that are still retained.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for what [`build`](super::PipelineBuilder::build) would refuse, for a name
    /// that is attached already, and when the pipeline has stopped; otherwise what the source or the store met.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back: the subscription may be attached. The same holds for every method here that
    /// changes something.
    pub async fn attach(&self, subscription: Subscription) -> Result<()> {
        self.ask(|reply| Request::Attach(Box::new(subscription), reply)).await
    }

    /// Removes a subscription from this run. What is in flight is finished, up to the time that a drain may take; its
    /// cursors stay, and count in the minimum that the store tells of a shard, until it is attached again or forgotten.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when nothing is attached under the name,
    /// [`Invalid`](crate::ErrorKind::Invalid) when the pipeline has stopped.
    pub async fn detach(&self, name: impl Into<SubscriptionName>) -> Result<()> {
        let name = name.into();
        let mut left = self.ask(|reply| Request::Detach(name, reply)).await?;
        // Nothing is sent: the channel is closed when the last lane has left.
        let _ = left.recv().await;
        Ok(())
    }

    /// Stops a subscription from taking records, on every shard and over restarts; what is with its sink is finished.
    ///
    /// # Errors
    ///
    /// As [`detach`](Self::detach), and what the store met.
    pub async fn pause(&self, name: impl Into<SubscriptionName>) -> Result<()> {
        let name = name.into();
        self.ask(|reply| Request::Pause(name, true, reply)).await
    }

    /// Lets a subscription go on that was paused, or that has halted.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause).
    pub async fn resume(&self, name: impl Into<SubscriptionName>) -> Result<()> {
        let name = name.into();
        self.ask(|reply| Request::Pause(name, false, reply)).await
    }

    /// Moves a subscription to the horizon, to the tip or to a time, on every shard: forwards or back. Back means that
    /// records come again, from closed shards too that are still retained, parents first. One that has halted goes on.
    ///
    /// This is the subscription's next generation: cursors of the one before are void, whoever stores them.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause); [`Invalid`](crate::ErrorKind::Invalid) for a sequence number, which belongs to one shard:
    /// see [`seek_shard`](Self::seek_shard).
    pub async fn seek(&self, name: impl Into<SubscriptionName>, to: StartPosition) -> Result<()> {
        let name = name.into();
        if let StartPosition::At(number) | StartPosition::After(number) = to {
            return Err(Error::invalid(format!(
                "subscription {name:?} cannot seek to record {number} on every shard: a sequence number belongs to one \
                 shard; use `seek_shard`"
            )));
        }
        self.ask(|reply| Request::Seek(name, None, to, reply)).await
    }

    /// Moves a subscription on one shard. The shards that came from it are read again from their beginning, after it.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause); [`NotFound`](crate::ErrorKind::NotFound) for a shard that is not retained; and what the
    /// source says of a place that it does not take.
    pub async fn seek_shard(
        &self,
        name: impl Into<SubscriptionName>,
        shard: &ShardId,
        to: StartPosition,
    ) -> Result<()> {
        let (name, shard) = (name.into(), Some(shard.clone()));
        self.ask(|reply| Request::Seek(name, shard, to, reply)).await
    }

    /// Ends a subscription for good: it is detached at once, its cursors go, and no shard waits for it any more. Attached
    /// under the same name later, it starts anew.
    ///
    /// A subscription need not be attached to be forgotten.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the store does not know the name,
    /// [`Invalid`](crate::ErrorKind::Invalid) when the pipeline has stopped, and what the store met.
    pub async fn forget(&self, name: impl Into<SubscriptionName>) -> Result<()> {
        let name = name.into();
        self.ask(|reply| Request::Forget(name, reply)).await
    }

    /// How every subscription stands on every shard that this worker holds, and the memory that they share.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the pipeline has stopped.
    pub async fn status(&self) -> Result<Status> {
        self.ask(Request::Status).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let stopped = || Error::invalid("the pipeline has stopped; nothing can be asked of it any more");
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}
