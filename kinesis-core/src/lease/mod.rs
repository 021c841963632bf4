//! Leases and cursors: who reads which shard, how far each subscription is, and the store that remembers both.

mod cursor;
mod row;
pub(crate) mod rows;
mod subscription;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

pub use cursor::{Cursor, CursorPosition};
pub use row::{HeldLease, Lease, Nonce, Progress, Renewed};
pub use subscription::SubscriptionRecord;

use crate::error::Result;
use crate::name::name;
use crate::shard::ShardKey;

name! {
    /// One worker process. Ends in a random part, so that a restarted process is another worker.
    WorkerId
}

/// Remembers leases, cursors and subscriptions: one store for an application.
///
/// A store has no clock: it decides by what is in the row alone, and every write is conditional. Workers judge expiry by
/// watching [`Lease::counter`] on their own monotonic clocks.
///
/// # Contract
///
/// [`conformance::leases`](crate::conformance) proves these rules for an implementation:
///
/// 1. Of any number of racing writes on the same seen row, at most one succeeds. Progress that leaves the counter alone is
///    none of them.
/// 2. A holder whose row was claimed by anybody else, its own worker included, gets
///    [`LeaseLost`](crate::ErrorKind::LeaseLost) from every further write, and changes nothing. Whoever has claimed a row
///    knows all progress that was ever stored.
/// 3. A cursor never moves back within a generation; [`reset`](Self::reset) alone may do that.
/// 4. A write that was applied although its answer was lost is recognised by its nonce as the holder's own.
/// 5. What the store does not know (other subscriptions' cursors, attributes of others) stays in the row.
///
/// # How the methods map to the KCL's table
///
/// Conditions and updates on an item of the KCL 2.x lease table, for an implementation on DynamoDB. `:c` is the counter
/// that was seen or is held; `nonce`, `wantedBy` and `cursors` are attributes of our own, which the KCL leaves alone.
///
/// | method | condition | update |
/// |---|---|---|
/// | `create` | `attribute_not_exists(leaseKey)` | put the whole item, `leaseCounter = 0`, no `leaseOwner` |
/// | `claim` | `leaseCounter = :c` | `SET leaseOwner = :me, leaseCounter = :c+1, nonce = :new REMOVE checkpointOwner, wantedBy`, and `ADD ownerSwitchesSinceCheckpoint 1` where the owner changes |
/// | `request` | `leaseOwner = :owner AND (attribute_not_exists(wantedBy) OR wantedBy = :me)` | `SET wantedBy = :me`; the counter stays |
/// | `advance`, no progress | `leaseCounter = :c AND leaseOwner = :me AND attribute_not_exists(checkpointOwner)` | `SET leaseCounter = :c+1` |
/// | `advance` with progress | `leaseCounter = :c AND leaseOwner = :me` | `SET leaseCounter = :c+1, checkpoint, checkpointSubSequenceNumber, cursors, ownerSwitchesSinceCheckpoint = 0`, `ADD childShardIds` at the end, `REMOVE` the pending checkpoint |
/// | `advance` with progress of many subscriptions | | the cursors are written over in a second table, and the lease is left alone; the next renewal sets the checkpoint, too |
/// | `release` | `leaseCounter = :c AND leaseOwner = :me` | as `advance` with the last progress, then `REMOVE leaseOwner`, or `SET leaseOwner = :to` |
/// | `reset` | `leaseCounter = :c` | `SET leaseCounter = :c+2, nonce = :new, checkpoint, cursors`: a worker of the KCL takes one step for its own |
/// | `remove` | `leaseCounter = :c` | delete the item |
///
/// When the condition of `advance` or `release` fails, the item is read again: where owner and nonce are still the
/// holder's, its own earlier write was applied, and the counter is taken from the item; anything else is `LeaseLost`.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LeaseStore: Debug + Send + Sync + 'static {
    /// Lists every row of the application.
    ///
    /// # Errors
    ///
    /// Whatever keeps the backend from answering; the same for every method below.
    async fn list(&self) -> Result<Vec<Lease>>;

    /// Reads one row.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>>;

    /// Creates a row. `false`: there is one already, and it stays as it is.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn create(&self, lease: &Lease) -> Result<bool>;

    /// Takes the lease if the row is still as it was seen. `None`: someone was faster.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list). After an error the claim may have been applied: look at the row again.
    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>>;

    /// Asks the holder to hand the lease over to `me`. `false`: the holder changed, or somebody else asked before. A holder
    /// asks for its own lease to say that it is about to stop.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool>;

    /// Renews, and stores progress when there is some, in one conditional write.
    ///
    /// A store may keep progress apart from the lease. Progress alone does not renew then: the
    /// [counter](Lease::counter) of what is held stays as its holder knew it, and the holder has to renew, without progress,
    /// when its time has come. Without progress the counter moves always. Only a renewal is sure to learn who asks for the
    /// lease.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost) when someone else holds it now; otherwise as [`list`](Self::list), and
    /// then the write may have been applied or not: the next call finds out.
    ///
    /// # Cancel safety
    ///
    /// As after an error: the row has its old or its new state, and the next call finds out.
    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed>;

    /// Stores the last progress and lets the lease go, to `to` where someone asked for it. `held` is lost afterwards.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()>;

    /// Sets these cursors, backwards too, if the row is still as it was seen. A holder loses its lease by it.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool>;

    /// Removes the row if it is still as it was seen.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn remove(&self, seen: &Lease) -> Result<bool>;

    /// Lists every subscription of the application, those that this worker does not know too.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>>;

    /// Writes a subscription if the stored one is still as it was `seen` (`None`: if there is none). `false`: it is not.
    /// What is stored is `new` with its [`revision`](SubscriptionRecord::revision) counted on from `seen`.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool>;
}

macro_rules! forward_store {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: LeaseStore + ?Sized> LeaseStore for $pointer<T> {
            async fn list(&self) -> Result<Vec<Lease>> {
                (**self).list().await
            }
            async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
                (**self).get(key).await
            }
            async fn create(&self, lease: &Lease) -> Result<bool> {
                (**self).create(lease).await
            }
            async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
                (**self).claim(seen, me).await
            }
            async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
                (**self).request(seen, me).await
            }
            async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
                (**self).advance(held, progress).await
            }
            async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
                (**self).release(held, last, to).await
            }
            async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
                (**self).reset(seen, to).await
            }
            async fn remove(&self, seen: &Lease) -> Result<bool> {
                (**self).remove(seen).await
            }
            async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
                (**self).subscriptions().await
            }
            async fn put_subscription<'a>(
                &self,
                seen: Option<&'a SubscriptionRecord>,
                new: &SubscriptionRecord,
            ) -> Result<bool> {
                (**self).put_subscription(seen, new).await
            }
        }
    };
}

forward_store!(Arc);
forward_store!(Box);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_is_object_safe() {
        fn store(_: Option<&dyn LeaseStore>) {}
        store(None);
    }
}
