//! Leases of so many subscriptions that their cursors are in the second table.

use kinesis_core::lease::{Cursor, CursorPosition, HeldLease, Progress};
use kinesis_core::{ErrorKind, Lease, LeaseStore, SequenceNumber, Shard, ShardKey, StartPosition};

use super::rig::orders;
use crate::DynamoLeaseStore;

/// Cursors of so many do not fit into the lease.
pub(super) const MANY: u64 = 600;
pub(super) const SHARD: &str = "shardId-000000000000";

pub(super) fn after(n: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
}

pub(super) fn one(name: u64, generation: u64, position: CursorPosition) -> Progress {
    Progress::new([(format!("subscription-{name}").into(), Cursor::new(generation, position))])
}

/// Progress of all of them; the least is after `n`.
pub(super) fn many(n: u64) -> Progress {
    Progress::new((0..MANY).map(|name| (format!("subscription-{name}").into(), Cursor::new(1, after(n + name)))))
}

pub(super) fn key() -> ShardKey {
    ShardKey::new(&orders(), &SHARD.into())
}

pub(super) async fn row(store: &DynamoLeaseStore) -> Lease {
    store.get(&key()).await.unwrap().unwrap()
}

/// A lease that is held, with many cursors in an item that is written over.
pub(super) async fn held(store: &DynamoLeaseStore) -> HeldLease {
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    let mut held = store.claim(&row(store).await, &"us".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&many(10))).await.unwrap();
    held
}

pub(super) async fn expect_lost(store: &DynamoLeaseStore, held: &mut HeldLease, progress: &Progress) {
    let before = row(store).await;
    let error = store.advance(held, Some(progress)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error}");
    assert_eq!(row(store).await, before, "what was refused changed nothing");
}
