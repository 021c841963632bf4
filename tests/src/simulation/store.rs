//! A lease store whose every write is looked at: what it stores must be true.

use async_trait::async_trait;
use kinesis_core::{
    Error, ErrorKind, HeldLease, Lease, LeaseStore, MemoryLeaseStore, Progress, Renewed, Result, ShardId, ShardKey,
    SubscriptionRecord, WorkerId,
};

use super::model::Model;

/// A store in memory that tells the model what is written. It stands inside the faults, so that it sees what is really
/// applied.
#[derive(Debug, Clone)]
pub(super) struct WatchedStore {
    inner: MemoryLeaseStore,
    model: Model,
}

impl WatchedStore {
    pub(super) fn new(model: &Model) -> Self {
        Self { inner: MemoryLeaseStore::new(), model: model.clone() }
    }

    /// A write was refused, perhaps because the lease is lost.
    fn refused(&self, held: &HeldLease, error: &Error) {
        if error.kind() == ErrorKind::LeaseLost {
            self.model.state().fenced(&held.key().shard);
        }
    }

    /// Looks at a write that was applied.
    fn written(&self, shard: &ShardId, before: Option<&Lease>, progress: Option<&Progress>) {
        let mut state = self.model.state();
        state.renewed(shard);
        for (name, cursor) in progress.iter().flat_map(|progress| &progress.cursors) {
            let stored = before.and_then(|row| row.cursors.get(name));
            if stored.is_some_and(|stored| !cursor.supersedes(stored)) {
                let evidence = format!("{name} on {shard}: {stored:?}, then {cursor:?}");
                state.violate("a cursor never moves back", evidence);
            }
            if stored.is_none_or(|stored| stored.position != cursor.position) {
                state.line(format_args!("{name} stores {:?} on {shard}", cursor.position));
            }
            state.check_cursor(name, shard, cursor);
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LeaseStore for WatchedStore {
    async fn list(&self) -> Result<Vec<Lease>> {
        self.inner.list().await
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        self.inner.get(key).await
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        self.inner.create(lease).await
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        let before = self.inner.get(&seen.key).await?;
        let held = self.inner.claim(seen, me).await?;
        if held.is_some() {
            let shard = &seen.key.shard;
            let mut state = self.model.state();
            state.line(format_args!("{me} claims {shard}"));
            let owner = before.and_then(|row| row.owner);
            // The thief stands for whatever may happen to a lease, so it is not bound by the rule.
            if owner.is_some_and(|owner| owner != *me) && !me.starts_with("a-thief") {
                state.taken_over(shard);
            }
            state.renewed(shard);
            state.reopened(shard);
        }
        Ok(held)
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        self.inner.request(seen, me).await
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let before = self.inner.get(held.key()).await?;
        let renewed = self.inner.advance(held, progress).await.inspect_err(|error| self.refused(held, error))?;
        self.written(&held.key().shard, before.as_ref(), progress);
        Ok(renewed)
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        let before = self.inner.get(held.key()).await?;
        let released = self.inner.release(held, last.clone(), to).await;
        released.inspect_err(|error| self.refused(held, error))?;
        self.written(&held.key().shard, before.as_ref(), last.as_ref());
        Ok(())
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        self.inner.reset(seen, to).await
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        self.inner.remove(seen).await
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.inner.subscriptions().await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        let written = self.inner.put_subscription(seen, new).await?;
        if written {
            self.model.state().wrote(seen, new);
        }
        Ok(written)
    }
}
