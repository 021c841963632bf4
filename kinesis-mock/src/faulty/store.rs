//! Faults of a lease store.

use async_trait::async_trait;
use kinesis_core::{HeldLease, Lease, LeaseStore, Progress, Renewed, Result, ShardKey, SubscriptionRecord, WorkerId};
use tokio::time::sleep;

use super::Faulty;
use super::faults::{Call, Fault, Injected};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: LeaseStore> LeaseStore for Faulty<S> {
    async fn list(&self) -> Result<Vec<Lease>> {
        self.faults.around(Call::ListLeases, self.inner.list()).await
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        self.faults.around(Call::GetLease, self.inner.get(key)).await
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        self.faults.around(Call::Create, self.inner.create(lease)).await
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        self.faults.around(Call::Claim, self.inner.claim(seen, me)).await
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        self.faults.around(Call::Request, self.inner.request(seen, me)).await
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let Some(lost) = self.before_write(Call::Advance, held).await? else {
            return self.inner.advance(held, progress).await;
        };
        self.inner.advance(&mut unaware(held), progress).await?;
        Err(lost.error())
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        let Some(lost) = self.before_write(Call::Release, held).await? else {
            return self.inner.release(held, last, to).await;
        };
        self.inner.release(&mut unaware(held), last, to).await?;
        Err(lost.error())
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        self.faults.around(Call::Reset, self.inner.reset(seen, to)).await
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        self.faults.around(Call::Remove, self.inner.remove(seen)).await
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.faults.around(Call::Subscriptions, self.inner.subscriptions()).await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        self.faults.around(Call::PutSubscription, self.inner.put_subscription(seen, new)).await
    }
}

impl<S: LeaseStore> Faulty<S> {
    /// Draws what goes wrong with a holder's write. `None`: it goes on as it should; otherwise its answer is lost.
    async fn before_write(&self, call: Call, held: &HeldLease) -> Result<Option<Injected>> {
        let Some(injected) = self.faults.draw(call) else { return Ok(None) };
        match injected.fault {
            Fault::DropReply => return Ok(Some(injected)),
            Fault::Delay(delay) => sleep(delay).await,
            Fault::Expire => self.steal(held.key()).await?,
            _ => return Err(injected.error()),
        }
        Ok(None)
    }

    /// Claims a lease as another worker would, and lets it go: its holder is fenced, and the row is free.
    async fn steal(&self, key: &ShardKey) -> Result<()> {
        if let Some(row) = self.inner.get(key).await?
            && let Some(mut stolen) = self.inner.claim(&row, &WorkerId::from("a-thief-on-purpose")).await?
        {
            self.inner.release(&mut stolen, None, None).await?;
        }
        Ok(())
    }
}

/// The lease as its holder knows it, to write with: the holder does not learn what came of it.
fn unaware(held: &HeldLease) -> HeldLease {
    HeldLease::new(held.lease().clone())
}
