//! Leases and subscriptions in memory: enough for a single process, and the yardstick of every other store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::lease::{HeldLease, Lease, LeaseStore, Nonce, Progress, Renewed, SubscriptionRecord, WorkerId};
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

impl Tables {
    /// The row, if no holder has written it since it was seen.
    fn unchanged(&mut self, seen: &Lease) -> Option<&mut Lease> {
        self.leases.get_mut(&seen.key).filter(|row| row.counter == seen.counter)
    }

    /// The row that `held` stands for. Owner and nonce decide, not the counter: when the answer to a write was lost, the
    /// row is ahead of its holder and still its own.
    fn held(&mut self, held: &HeldLease) -> Result<&mut Lease> {
        let ours = held.lease();
        let lost = |now: String| {
            Error::new(ErrorKind::LeaseLost, format!("the lease of {} is lost: {now}", ours.key))
                .on_shard(&ours.key.shard)
        };
        match self.leases.get_mut(&ours.key) {
            Some(row) if row.owner == ours.owner && row.nonce == ours.nonce => Ok(row),
            Some(Lease { owner: Some(owner), .. }) => Err(lost(format!("{owner} claimed it"))),
            Some(_) => Err(lost("it was released".into())),
            None => Err(lost("its row was removed".into())),
        }
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
            let row = Lease { owner: None, counter: 0, nonce: None, wanted_by: None, ..lease.clone() };
            tables.leases.insert(row.key.clone(), row);
        }
        Ok(absent)
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        Ok(self.tables().unchanged(seen).map(|row| {
            row.owner = Some(me.clone());
            row.nonce = Some(Nonce::random());
            row.wanted_by = None;
            row.counter += 1;
            HeldLease::new(row.clone())
        }))
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        let mut tables = self.tables();
        let row = tables.leases.get_mut(&seen.key).filter(|row| {
            row.owner.is_some() && row.owner == seen.owner && row.wanted_by.as_ref().is_none_or(|asker| asker == me)
        });
        Ok(row.map(|row| row.wanted_by = Some(me.clone())).is_some())
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let mut tables = self.tables();
        let row = tables.held(held)?;
        if let Some(progress) = progress {
            row.apply(progress);
        }
        row.counter += 1;
        held.written(row.clone());
        Ok(row.wanted_by.clone().map_or(Renewed::Held, Renewed::WantedBy))
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        let mut tables = self.tables();
        let row = tables.held(held)?;
        if let Some(progress) = &last {
            row.apply(progress);
        }
        row.owner = to;
        row.wanted_by = None;
        row.counter += 1;
        // A hand-over to the same worker is a new lease too: the old value must not write again.
        row.nonce = None;
        Ok(())
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        Ok(self
            .tables()
            .unchanged(seen)
            .map(|row| {
                row.cursors.retain(|name, _| !to.forgotten.contains(name));
                row.cursors.extend(to.cursors.clone());
                row.children.extend(to.children.iter().cloned());
                row.nonce = Some(Nonce::random());
                row.counter += 1;
            })
            .is_some())
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        let mut tables = self.tables();
        let unchanged = tables.unchanged(seen).is_some();
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
        let stored = tables.subscriptions.get(&key).map(|record| record.revision);
        let unchanged = stored == seen.map(|record| record.revision);
        if unchanged {
            let revision = stored.unwrap_or(0) + 1;
            tables.subscriptions.insert(key, SubscriptionRecord { revision, ..new.clone() });
        }
        Ok(unchanged)
    }
}
