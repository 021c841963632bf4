//! The worker: which shards are mine, which may be read already, and when is the work done.

mod attach;
mod change;
mod control;
mod keeper;
mod runner;
mod shards;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::broken::{self, Part};
use crate::budget::{Account, Budget};
use crate::error::{Error, Result};
use crate::feed::RingSize;
use crate::lane::Counters;
use crate::lease::{Lease, LeaseStore, WorkerId};
use crate::observe::{Event, Observer};
use crate::pipeline::{Registry, Request, Subscription, default_cap};
use crate::retry::RetryPolicy;
use crate::selector::ChannelFrom;
use crate::shard::{Shard, ShardId};
use crate::sink::SubscriptionName;
use crate::source::{ShardEnd, StreamSource};

pub(crate) use attach::Place;
pub(crate) use change::Change;

use keeper::Kept;
use runner::{Command, Exit, Notice};
use shards::Shards;

/// What a worker works with.
#[derive(Debug)]
pub(crate) struct WorkerConfig {
    pub(crate) me: WorkerId,
    pub(crate) source: Arc<dyn StreamSource>,
    pub(crate) store: Arc<dyn LeaseStore>,
    pub(crate) channel_from: ChannelFrom,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) idle: Duration,
    pub(crate) commit_every: Duration,
    pub(crate) failover: Duration,
    pub(crate) drain: Duration,
    pub(crate) ring: RingSize,
    pub(crate) budget: Budget,
    /// For what the pipeline itself tries again: listing, opening, reading, the store.
    pub(crate) retry: RetryPolicy,
    pub(crate) seed: u64,
    pub(crate) records_read: Arc<AtomicU64>,
}

/// A subscription that this worker works for.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) account: Account,
}

impl Attached {
    pub(crate) fn new(subscription: Subscription, budget: &Budget) -> Self {
        let cap = subscription.cap.unwrap_or_else(|| default_cap(budget.limit()));
        Self { account: Account::new(budget, cap), subscription: Arc::new(subscription), counters: Arc::default() }
    }
}

/// How a worker ended.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) shards_finished: u64,
    pub(crate) drain_timed_out: bool,
    pub(crate) failure: Option<Error>,
}

/// The end of one of the two tasks of a held shard.
#[derive(Debug)]
enum Ended {
    Runner(Exit),
    Keeper(Kept),
}

#[derive(Debug)]
pub(crate) struct Worker {
    config: Arc<WorkerConfig>,
    attached: BTreeMap<SubscriptionName, Attached>,
    registry: Registry,
    requests: mpsc::UnboundedReceiver<Request>,
    shards: Shards,
    /// Claims without an answer, and the rows that they were made of: cut off by the stop, or lost on the way.
    unanswered: BTreeMap<ShardId, Lease>,
    tasks: JoinSet<Ended>,
    notices: (mpsc::UnboundedSender<Notice>, mpsc::UnboundedReceiver<Notice>),
    rng: fastrand::Rng,
    /// Something happened after which leases are looked at again.
    stale: bool,
    /// How often in a row that failed in passing, and when it is tried again.
    failures: u32,
    retry_at: Option<Instant>,
    done: Done,
}

impl Worker {
    pub(crate) fn new(
        config: WorkerConfig,
        attached: BTreeMap<SubscriptionName, Attached>,
        registry: Registry,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let config = Arc::new(config);
        Self {
            attached,
            registry,
            requests,
            rng: fastrand::Rng::with_seed(config.seed),
            shards: Shards::default(),
            unanswered: BTreeMap::new(),
            tasks: JoinSet::new(),
            notices: mpsc::unbounded_channel(),
            stale: true,
            failures: 0,
            retry_at: None,
            done: Done::default(),
            config,
        }
    }

    /// Works until `shutdown` is ready, the stream has ended, or the source or the store fails for good; then drains.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Done {
        let mut shutdown = pin!(shutdown);
        // Kept over the rounds: whoever asks something often must not put it off.
        let mut recheck_at = Instant::now();
        loop {
            if self.stale && self.retry_at.is_none_or(|at| at <= Instant::now()) {
                let synced = tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    synced = self.sync() => synced,
                };
                if let Err(error) = synced {
                    self.fail(error);
                }
                // What a worker lets go, another one reads within 2 s of a failover of 10 s: it looks after 1.25 s, and has
                // time for claiming and opening on a busy machine.
                recheck_at = Instant::now() + self.config.failover / 8;
            }
            if self.done.failure.is_some() || self.is_finished() {
                break;
            }
            let waits = self.shards.waits_for_lease()
                || self.shards.waits_for_parent(&self.working())
                || self.shards.waits_for_removal();
            let look_at = self.retry_at.or_else(|| waits.then_some(recheck_at));
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(notice) = self.notices.1.recv() => self.on_notice(notice),
                // Without a request there is nobody left who could ask.
                request = self.requests.recv(), if !self.nobody_asks() => {
                    let Some(request) = request else { continue };
                    tokio::select! {
                        biased;
                        () = &mut shutdown => break,
                        () = self.serve(request) => {}
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => self.on_ended(ended),
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => self.stale = true,
            }
        }
        self.drain().await;
        self.done
    }

    /// Nothing runs, and there is nothing left that could.
    fn is_finished(&self) -> bool {
        let all_halted = self.attached.values().all(|attached| attached.counters.is_halted());
        let waits_for_one = self.attached.is_empty() && !self.nobody_asks();
        let idle = self.tasks.is_empty() && !self.stale && !waits_for_one;
        idle && (all_halted || !self.shards.waits_for_lease())
    }

    /// Whether no handle is left.
    fn nobody_asks(&self) -> bool {
        self.requests.is_closed() && self.requests.is_empty()
    }

    /// Looks at the stream and the store, and takes every shard that is free and may be read. After a passing fault it
    /// says when to look again: requests and notices are not kept waiting for that.
    async fn sync(&mut self) -> Result<()> {
        match self.try_sync().await {
            Ok(()) => (self.stale, self.failures, self.retry_at) = (false, 0, None),
            Err(error) if error.kind().is_retryable() => {
                self.failures += 1;
                let wait = self.config.retry.wait(self.failures, &mut self.rng);
                let wait = wait.max(error.retry_after().unwrap_or_default());
                tracing::warn!(error = error.chain(), ?wait, "the stream or the store did not answer; trying again");
                self.retry_at = Some(Instant::now() + wait);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Ended(shard, children) => {
                self.shards.ended(&shard, &ShardEnd::new(children));
                self.stale = true;
            }
            // A lane of an older generation does not know that its subscription has begun anew.
            Notice::Finished(shard, subscription, generation)
                if generation != self.generation(&subscription, &shard) => {}
            Notice::Finished(shard, subscription, generation) => {
                self.shards.finished(&shard, &subscription, generation);
                // Gates of shards that are held open without looking at the store; others have to be claimed first.
                self.stale |= self.shards.open_gates(&subscription);
            }
            Notice::Halted(subscription) => self.shards.tell(|| Command::Halt(subscription.clone())),
        }
    }

    fn on_ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        self.shards.task_ended(match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        });
        match ended {
            Ok((_, Ended::Runner(Exit::Finished))) => {
                self.done.shards_finished += 1;
                self.stale = true;
            }
            Ok((_, Ended::Runner(Exit::Unwanted))) => self.stale = true,
            Ok((_, Ended::Runner(Exit::Drained))) => {}
            Ok((_, Ended::Runner(Exit::Failed(error)) | Ended::Keeper(Kept::Failed(error)))) => self.fail(error),
            // A runner whose lease was lost is stopped by its keeper. The shard may be taken anew when both are gone, and
            // somebody may want it again who did not when it was let go.
            Ok((_, Ended::Keeper(Kept::Released | Kept::Lost))) => self.stale = true,
            Err(error) if error.is_cancelled() => self.stale = true,
            Err(error) => self.fail(Error::contract("a task of the pipeline panicked").because(error)),
        }
    }

    fn generation(&self, subscription: &SubscriptionName, shard: &ShardId) -> u64 {
        self.shards.records().get(subscription).map_or(0, |record| record.generation_on(shard))
    }

    fn fail(&mut self, error: Error) {
        self.done.failure.get_or_insert(error);
    }

    /// Finishes what is in flight, stores and releases each shard as soon as it is drained.
    async fn drain(&mut self) {
        if self.tasks.is_empty() && self.unanswered.is_empty() {
            return;
        }
        self.config.observer.on(&Event::Draining);
        self.shards.tell(|| Command::Drain);
        let _announced = self.announce_leave();
        let patience = if broken::is(Part::DeadlineIgnored) { 100 } else { 1 };
        let deadline = Instant::now() + self.config.drain * patience;
        // A store that does not answer now either keeps nobody waiting: those leases run out.
        let _ = timeout_at(deadline.min(Instant::now() + self.config.failover / 3), self.disown()).await;
        if timeout_at(deadline, self.join_all()).await.is_err() {
            self.done.drain_timed_out = true;
            self.shards.tell(|| Command::Stop);
            // What is left is writing the last progress; a store that does not answer in a failover time never will.
            let _ = timeout_at(deadline + self.config.failover, self.join_all()).await;
        }
        self.tasks.shutdown().await;
    }

    /// Says on the shards still held that this worker leaves. Others would take it for one that has too few shards, and
    /// leave it what it has just let go. What is not said when the drain is over need not be said.
    fn announce_leave(&self) -> JoinSet<()> {
        let mut announced = JoinSet::new();
        let others = self.shards.waits_for_lease();
        for (shard, _) in self.shards.held().filter(|_| others) {
            let (store, me) = (Arc::clone(&self.config.store), self.config.me.clone());
            let row = Lease::new(self.config.source.stream(), &Shard::new(shard.clone()));
            let row = Lease { owner: Some(me.clone()), ..row };
            announced.spawn(async move {
                // Unsaid, the others come when the last shard is let go.
                if let Err(error) = store.request(&row, &me).await {
                    tracing::debug!(shard = %row.key.shard, error = error.chain(), "could not say that this worker leaves");
                }
            });
        }
        announced
    }

    /// Lets go of what claims without an answer may have taken.
    async fn disown(&mut self) {
        for (shard, seen) in std::mem::take(&mut self.unanswered) {
            if let Err(error) = self.disown_shard(&seen).await {
                tracing::warn!(%shard, error = error.chain(), "a lease that may be this worker's is left to run out");
            }
        }
    }

    /// The claim may have been done, or be on its way still. One more claim comes before it, or finds that it was done.
    async fn disown_shard(&self, seen: &Lease) -> Result<()> {
        let (store, me) = (&self.config.store, &self.config.me);
        while let Some(row) = store.get(&seen.key).await? {
            if row.owner.as_ref() != Some(me) && row.counter != seen.counter {
                // Somebody has written since, so that what is on its way is void.
                return Ok(());
            }
            if let Some(mut held) = store.claim(&row, me).await? {
                return store.release(&mut held, None, None).await;
            }
        }
        Ok(())
    }

    async fn join_all(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.on_ended(ended);
        }
    }
}
