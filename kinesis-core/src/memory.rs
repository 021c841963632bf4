//! Leases and subscriptions in memory: enough for a single process, and the yardstick of every other store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use crate::error::Result;
use crate::lease::{HeldLease, Lease, LeaseStore, Progress, Renewed, SubscriptionRecord, WorkerId, rows};
use crate::shard::{ShardKey, StreamId};
use crate::sink::SubscriptionName;

/// A [`LeaseStore`] that forgets everything when the last clone of it is dropped. Clones share their rows.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// use kinesis_core::{Lease, LeaseStore, MemoryLeaseStore, Shard, StreamId};
/// let store = MemoryLeaseStore::new();
/// let row = Lease::new(&StreamId::new("orders"), &Shard::new("shardId-000000000000"));
/// assert!(store.create(&row).await?);
/// let held = store.claim(&row, &"me".into()).await?.expect("nobody was faster");
/// assert_eq!(held.lease().counter, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryLeaseStore {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    leases: BTreeMap<ShardKey, Lease>,
    subscriptions: BTreeMap<(StreamId, SubscriptionName), SubscriptionRecord>,
}

impl MemoryLeaseStore {
    /// A store without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics while it holds the lock")
    }
}

#[async_trait]
impl LeaseStore for MemoryLeaseStore {
    async fn list(&self) -> Result<Vec<Lease>> {
        Ok(self.tables().leases.values().cloned().collect())
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        Ok(self.tables().leases.get(key).cloned())
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        let mut tables = self.tables();
        let absent = !tables.leases.contains_key(&lease.key);
        if absent {
            tables.leases.insert(lease.key.clone(), rows::create(lease));
        }
        Ok(absent)
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        let mut tables = self.tables();
        let Some(row) = tables.leases.get_mut(&seen.key) else { return Ok(None) };
        Ok(rows::claim(row, seen, me).then(|| HeldLease::new(row.clone())))
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        Ok(self.tables().leases.get_mut(&seen.key).is_some_and(|row| rows::request(row, seen, me)))
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let mut tables = self.tables();
        let mut row = tables.leases.get_mut(held.key());
        let renewed = rows::advance(row.as_deref_mut(), held.lease(), progress)?;
        if let Some(row) = row {
            held.written(row.clone());
        }
        Ok(renewed)
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        rows::release(self.tables().leases.get_mut(held.key()), held.lease(), last.as_ref(), to)
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        Ok(self.tables().leases.get_mut(&seen.key).is_some_and(|row| rows::reset(row, seen, to)))
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        let mut tables = self.tables();
        let unchanged = tables.leases.get(&seen.key).is_some_and(|row| rows::is_unchanged(row, seen));
        if unchanged {
            tables.leases.remove(&seen.key);
        }
        Ok(unchanged)
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        Ok(self.tables().subscriptions.values().cloned().collect())
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        let mut tables = self.tables();
        let key = (new.stream.clone(), new.name.clone());
        let put = rows::put_subscription(tables.subscriptions.get(&key), seen, new);
        Ok(put.map(|record| tables.subscriptions.insert(key, record)).is_some())
    }
}
