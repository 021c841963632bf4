//! The way of one worker to the leases: outside its luck, in the middle the faults of a store, inside a look at every write.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::broken::{self, Part};
use kinesis_core::{
    Error, ErrorKind, HeldLease, Lease, LeaseStore, MemoryLeaseStore, Progress, Renewed, Result, ShardKey,
    SubscriptionRecord, WorkerId,
};
use kinesis_mock::{Faults, Faulty};
use tokio::time::sleep;

use super::luck::Luck;
use super::model::Model;

/// How long a call takes that reaches nobody.
const IN_VAIN: Duration = Duration::from_secs(2);

/// The store as one worker sees it.
#[derive(Debug)]
pub(super) struct Way {
    store: Faulty<Watched>,
    luck: Luck,
    worker: usize,
    model: Model,
    stale: f64,
    /// The rows as they were read last.
    rows: Mutex<Option<Vec<Lease>>>,
}

impl Way {
    pub(super) fn new(
        store: &MemoryLeaseStore,
        faults: Faults,
        luck: &Luck,
        worker: usize,
        model: &Model,
        stale: f64,
    ) -> Self {
        let watched = Watched::new(store, model, worker);
        let (luck, model) = (luck.clone(), model.clone());
        Self { store: Faulty::new(watched, faults), luck, worker, model, stale, rows: Mutex::new(None) }
    }

    pub(super) fn faults(&self) -> &Faults {
        self.store.faults()
    }

    fn known(&self) -> Option<Vec<Lease>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes to the store and back.
    async fn there<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.luck.pass().await;
        if self.luck.is_cut_off() {
            sleep(IN_VAIN).await;
            self.luck.pass().await;
            return Err(Error::transient("the store is not reached"));
        }
        let answer = call.await;
        self.luck.pass().await;
        answer
    }

    /// The same for a lease that is held: from now on the worker knows that it has lost it.
    async fn held<T>(&self, key: &ShardKey, call: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = self.there(call).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::LeaseLost) {
            self.model.state().told_lost(self.worker, &key.shard);
        }
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LeaseStore for Way {
    async fn list(&self) -> Result<Vec<Lease>> {
        let stale = self.model.state().draws(self.stale).then(|| self.known()).flatten();
        if let Some(rows) = stale {
            return self.there(async { Ok(rows) }).await;
        }
        let rows = self.there(self.store.list()).await?;
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).replace(rows.clone());
        Ok(rows)
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        self.there(self.store.get(key)).await
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        self.there(self.store.create(lease)).await
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        self.there(self.store.claim(seen, me)).await
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        self.there(self.store.request(seen, me)).await
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let key = held.key().clone();
        self.held(&key, self.store.advance(held, progress)).await
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        let key = held.key().clone();
        self.held(&key, self.store.release(held, last, to)).await
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        self.there(self.store.reset(seen, to)).await
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        self.there(self.store.remove(seen)).await
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.there(self.store.subscriptions()).await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        self.there(self.store.put_subscription(seen, new)).await
    }
}

/// The store itself, which tells the model of every write that it accepts.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    inner: MemoryLeaseStore,
    model: Model,
    worker: usize,
}

impl Watched {
    pub(super) fn new(store: &MemoryLeaseStore, model: &Model, worker: usize) -> Self {
        Self { inner: store.clone(), model: model.clone(), worker }
    }

    async fn before(&self, held: &HeldLease) -> Result<Option<Lease>> {
        self.inner.get(held.key()).await
    }

    /// The row as workers see it: what was stored apart from the lease does not count.
    fn shown(&self, mut row: Lease) -> Lease {
        row.counter -= self.model.state().apart.count(&row.key.shard);
        row
    }

    /// What a worker has seen, as the store counts.
    fn counted(&self, seen: &Lease) -> Lease {
        let mut row = seen.clone();
        row.counter += self.model.state().apart.count(&row.key.shard);
        row
    }

    /// A store that fences nobody: whoever has lost a lease has it again.
    async fn unfenced(&self, held: &mut HeldLease) -> Result<()> {
        if broken::is(Part::StoreDoesNotFence)
            && let Some(row) = self.inner.get(held.key()).await?
            && row.counter != self.counted(held.lease()).counter
            && let Some(me) = held.lease().owner.clone()
            && let Some(again) = self.inner.claim(&row, &me).await?
        {
            self.model.state().written(self.worker, &row, &me, None, false);
            *held = HeldLease::new(self.shown(again.lease().clone()));
        }
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LeaseStore for Watched {
    async fn list(&self) -> Result<Vec<Lease>> {
        Ok(self.inner.list().await?.into_iter().map(|row| self.shown(row)).collect())
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        Ok(self.inner.get(key).await?.map(|row| self.shown(row)))
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        self.inner.create(lease).await
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        let before = self.inner.get(&seen.key).await?;
        let held = self.inner.claim(&self.counted(seen), me).await?;
        if held.is_some() {
            self.model.state().claimed(self.worker, before.as_ref().unwrap_or(seen), me);
        }
        Ok(held.map(|held| HeldLease::new(self.shown(held.lease().clone()))))
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        self.inner.request(seen, me).await
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        self.unfenced(held).await?;
        let (before, me, known) = (self.before(held).await?, held.lease().owner.clone(), held.lease().counter);
        let renewed = self.inner.advance(held, progress).await?;
        let mut apart = false;
        if let (Some(before), Some(me)) = (before, me) {
            let mut state = self.model.state();
            apart = state.apart.takes(self.worker, &before, progress);
            state.written(self.worker, &before, &me, progress, apart);
        }
        let mut lease = self.shown(held.lease().clone());
        if apart {
            // Nobody has looked at the lease: what was written there without an answer is not known yet, nor who asks.
            lease.counter = known;
        }
        held.written(lease);
        Ok(if apart { Renewed::Held } else { renewed })
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        self.unfenced(held).await?;
        let (before, me) = (self.before(held).await?, held.lease().owner.clone());
        self.inner.release(held, last.clone(), to.clone()).await?;
        if let (Some(before), Some(me)) = (before, me) {
            let mut state = self.model.state();
            state.written(self.worker, &before, &me, last.as_ref(), false);
            state.let_go(&before.key.shard, to.is_some());
        }
        Ok(())
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        self.inner.reset(&self.counted(seen), to).await
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        let removed = self.inner.remove(&self.counted(seen)).await?;
        if removed {
            self.model.state().apart.is_removed(&seen.key.shard);
        }
        Ok(removed)
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.inner.subscriptions().await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        self.inner.put_subscription(seen, new).await
    }
}
