//! What the checks of a lease store work with: rows by name, and short ways to say what must succeed.

use std::sync::Arc;
use std::time::Duration;

use super::Harness;
use crate::conformance::check::{Bench, Broken, Kept, Need, ensure};
use crate::error::{ErrorKind, Result};
use crate::lease::{Cursor, CursorPosition, HeldLease, Lease, LeaseStore, Progress, WorkerId};
use crate::record::SequenceNumber;
use crate::shard::{Shard, ShardKey, StartPosition, StreamId};
use crate::sink::SubscriptionName;

/// One fresh store.
pub(in crate::conformance) struct Rig {
    pub(super) store: Arc<dyn LeaseStore>,
    /// Kept because the store may need what stands behind it.
    _harness: Box<dyn Harness>,
}

impl Bench for Rig {
    fn meets(&self, _: Need) -> bool {
        true
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(120)
    }
}

impl Rig {
    pub(super) fn new(harness: impl Harness) -> Self {
        Self { store: harness.store(), _harness: Box::new(harness) }
    }

    /// Makes a row that nobody holds.
    pub(super) async fn row(&self, shard: &str) -> Kept<Lease> {
        let row = Lease::new(&StreamId::new("stream"), &Shard::new(shard));
        ensure!(self.store.create(&row).await?, "the row of {} could not be created: it is there already", row.key);
        self.get(&row.key).await
    }

    pub(super) async fn get(&self, key: &ShardKey) -> Kept<Lease> {
        self.store.get(key).await?.ok_or_else(|| Broken::new(format!("the row of {key} is not there")))
    }

    pub(super) async fn claim(&self, seen: &Lease, me: &str) -> Kept<HeldLease> {
        let held = self.store.claim(seen, &worker(me)).await?;
        let held = held.ok_or_else(|| Broken::new(format!("{me} was told that someone was faster, and nobody was")))?;
        let lease = held.lease();
        let mine = lease.owner.as_deref() == Some(me) && lease.nonce.is_some() && lease.key == seen.key;
        ensure!(mine, "{me} claimed {} and holds {lease:?}", seen.key);
        Ok(held)
    }

    /// A row that `me` has just claimed.
    pub(super) async fn held(&self, shard: &str, me: &str) -> Kept<HeldLease> {
        let row = self.row(shard).await?;
        self.claim(&row, me).await
    }

    /// Advances with this position of the subscription `audit`.
    pub(super) async fn store_cursor(&self, held: &mut HeldLease, generation: u64, position: CursorPosition) -> Kept {
        self.store.advance(held, Some(&progress("audit", generation, position))).await?;
        Ok(())
    }

    pub(super) async fn cursor(&self, key: &ShardKey, name: &str) -> Kept<Option<Cursor>> {
        Ok(self.get(key).await?.cursors.get(name).copied())
    }

    /// Neither the write nor a trace of it.
    pub(super) async fn expect_lost<T: std::fmt::Debug>(&self, write: Result<T>, before: &Lease) -> Kept {
        let lost = write.as_ref().is_err_and(|error| error.kind() == ErrorKind::LeaseLost);
        ensure!(lost, "a write with a lease that was lost gave {write:?}");
        let after = self.get(&before.key).await?;
        ensure!(after == *before, "a write with a lease that was lost changed {before:?} to {after:?}");
        Ok(())
    }
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::from(name)
}

pub(super) fn progress(name: &str, generation: u64, position: CursorPosition) -> Progress {
    Progress::new([(SubscriptionName::from(name), Cursor::new(generation, position))])
}

pub(super) fn after(number: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(SequenceNumber::from(number)))
}

/// The same lease as the holder knows it now, as if it had not learned what it writes next.
pub(super) fn as_known_now(held: &HeldLease) -> HeldLease {
    HeldLease::new(held.lease().clone())
}
