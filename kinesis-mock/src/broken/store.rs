//! Lease stores that break a rule.

use async_trait::async_trait;
use kinesis_core::{
    Cursor, CursorPosition, Error, ErrorKind, HeldLease, Lease, LeaseStore, Progress, Renewed, Result, ShardKey,
    StartPosition, SubscriptionRecord, WorkerId,
};

super::flaws! {
    /// What is wrong with a [`BrokenStore`].
    StoreFlaw {
        /// A claim takes the row as it is, not as it was seen.
        ClaimsUnseen => "L2",
        /// A renewal without progress is answered and not written.
        SkipsRenewals => "L3",
        /// A fenced holder writes as if it had claimed the row again.
        IgnoresFencing => "L4",
        /// Rows are told apart by shard id alone.
        IgnoresStreams => "L6",
        /// A released row keeps its owner.
        KeepsTheOwner => "L7",
        /// A long list stops after its first page.
        ListsOnePage => "L8",
        /// The children of an ended shard are not stored.
        ForgetsChildren => "L9",
        /// Cursors are stored as they come, backwards too.
        MovesCursorsBack => "L10",
        /// The progress of a release is not stored.
        DropsTheLastProgress => "L11",
        /// Cursors lose their sub-numbers.
        CutsSubNumbers => "L12",
        /// A request is answered and forgotten.
        ForgetsRequests => "L13",
        /// A row that is there is created again.
        CreatesTwice => "L14",
        /// A removal takes the row as it is, not as it was seen.
        RemovesUnseen => "L15",
        /// A write whose answer was lost fences its own holder.
        TrustsTheCounterAlone => "L16",
        /// A subscription is written whatever is stored.
        OverwritesSubscriptions => "L17",
        /// An advance keeps the cursors of forgotten subscriptions.
        KeepsTheForgotten => "L19",
        /// A release keeps them.
        KeepsTheForgottenAtRelease => "L19",
        /// A reset keeps them.
        KeepsTheForgottenAtReset => "L19",
    }
}

/// A lease store that works but for one flaw.
#[derive(Debug, Clone)]
pub struct BrokenStore<S> {
    inner: S,
    flaw: StoreFlaw,
}

/// How many rows [`StoreFlaw::ListsOnePage`] lists.
const PAGE: usize = 10;

impl<S: LeaseStore> BrokenStore<S> {
    /// Breaks `inner`.
    pub const fn new(inner: S, flaw: StoreFlaw) -> Self {
        Self { inner, flaw }
    }

    /// The row as it is now, or as it was seen when it is gone.
    async fn now(&self, seen: &Lease) -> Result<Lease> {
        Ok(self.inner.get(&seen.key).await?.unwrap_or_else(|| seen.clone()))
    }

    /// Refuses a holder that has missed an answer.
    async fn check_counter(&self, held: &HeldLease) -> Result<()> {
        let now = self.now(held.lease()).await?;
        if self.flaw == StoreFlaw::TrustsTheCounterAlone && now.counter != held.lease().counter {
            return Err(Error::new(ErrorKind::LeaseLost, "the counter has moved"));
        }
        Ok(())
    }

    /// Stores progress without asking whether it is any.
    async fn overwrite(&self, held: &mut HeldLease, progress: &Progress) -> Result<()> {
        self.inner.reset(held.lease(), progress).await?;
        held.written(self.now(held.lease()).await?);
        Ok(())
    }
}

fn without_sub_numbers(progress: &Progress) -> Progress {
    let mut progress = progress.clone();
    for Cursor { position, .. } in progress.cursors.values_mut() {
        if let CursorPosition::Next(StartPosition::After(number) | StartPosition::At(number)) = position {
            *number = number.without_sub();
        }
    }
    progress
}

#[async_trait]
impl<S: LeaseStore> LeaseStore for BrokenStore<S> {
    async fn list(&self) -> Result<Vec<Lease>> {
        let mut rows = self.inner.list().await?;
        if self.flaw == StoreFlaw::ListsOnePage {
            rows.truncate(PAGE);
        }
        Ok(rows)
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        self.inner.get(key).await
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        match self.flaw {
            StoreFlaw::CreatesTwice => {
                self.inner.remove(&self.now(lease).await?).await?;
            }
            StoreFlaw::IgnoresStreams => {
                let rows = self.inner.list().await?;
                if rows.iter().any(|row| row.key.shard == lease.key.shard) {
                    return Ok(false);
                }
            }
            _ => {}
        }
        self.inner.create(lease).await
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        match self.flaw {
            StoreFlaw::ClaimsUnseen => self.inner.claim(&self.now(seen).await?, me).await,
            _ => self.inner.claim(seen, me).await,
        }
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        match self.flaw {
            StoreFlaw::ForgetsRequests => Ok(true),
            _ => self.inner.request(seen, me).await,
        }
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        self.check_counter(held).await?;
        match (self.flaw, progress) {
            (StoreFlaw::SkipsRenewals, None) => Ok(Renewed::Held),
            (StoreFlaw::ForgetsChildren, Some(progress)) => {
                self.inner.advance(held, Some(&Progress::new(progress.cursors.clone()))).await
            }
            (StoreFlaw::KeepsTheForgotten, Some(progress)) => {
                self.inner.advance(held, Some(&progress.clone().with_forgotten([]))).await
            }
            (StoreFlaw::CutsSubNumbers, Some(progress)) => {
                self.inner.advance(held, Some(&without_sub_numbers(progress))).await
            }
            (StoreFlaw::MovesCursorsBack, Some(progress)) => {
                let renewed = self.inner.advance(held, None).await?;
                self.overwrite(held, progress).await?;
                Ok(renewed)
            }
            (StoreFlaw::IgnoresFencing, _) => match self.inner.advance(held, progress).await {
                Err(error) if error.kind() == ErrorKind::LeaseLost => {
                    *held = HeldLease::new(self.now(held.lease()).await?);
                    self.inner.advance(held, progress).await
                }
                result => result,
            },
            _ => self.inner.advance(held, progress).await,
        }
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        self.check_counter(held).await?;
        match self.flaw {
            StoreFlaw::KeepsTheOwner => self.inner.advance(held, last.as_ref()).await.map(drop),
            StoreFlaw::DropsTheLastProgress => self.inner.release(held, None, to).await,
            StoreFlaw::KeepsTheForgottenAtRelease => {
                self.inner.release(held, last.map(|last| last.with_forgotten([])), to).await
            }
            _ => self.inner.release(held, last, to).await,
        }
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        match self.flaw {
            StoreFlaw::KeepsTheForgottenAtReset => self.inner.reset(seen, &to.clone().with_forgotten([])).await,
            _ => self.inner.reset(seen, to).await,
        }
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        match self.flaw {
            StoreFlaw::RemovesUnseen => self.inner.remove(&self.now(seen).await?).await,
            _ => self.inner.remove(seen).await,
        }
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.inner.subscriptions().await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        if self.flaw == StoreFlaw::OverwritesSubscriptions {
            let stored = self.inner.subscriptions().await?;
            let now = stored.iter().find(|record| record.stream == new.stream && record.name == new.name);
            return self.inner.put_subscription(now, new).await;
        }
        self.inner.put_subscription(seen, new).await
    }
}
