//! What it costs: calls, bytes and capacity units for one, ten, fifty and a thousand subscriptions.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{Cursor, CursorPosition, HeldLease, Progress};
use kinesis_core::{HashRange, Lease, LeaseStore, SequenceNumber, Shard, StartPosition};

use super::rig::{Server, orders};
use crate::DynamoLeaseStore;
use crate::leases::item::Item;

/// As many bytes as DynamoDB counts for an item ("Item sizes and formats" in its developer guide): names and values; of
/// numbers a byte for two digits and one more.
fn size(item: &Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        other => panic!("nobody writes {other:?}"),
    };
    item.iter().map(|(name, it)| name.len() + value(it)).sum()
}

/// Progress of subscriptions that are some thousand records apart, each with a time of arrival.
fn progress(subscriptions: u64, step: u64) -> Progress {
    let number: SequenceNumber = "49590338271490256608559692538361571095921575989136588898".parse().unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123 + step);
    Progress::new((0..subscriptions).map(|nth| {
        let position = StartPosition::After(number.plus((nth + step) * 1_000_003_000_007));
        let cursor = Cursor::new(1, CursorPosition::Next(position)).with_arrived_at(Some(at));
        (format!("subscription-{nth:04}").into(), cursor)
    }))
}

/// A lease of a Kinesis shard that was split, with progress of so many subscriptions.
async fn lease(server: &Server, subscriptions: u64) -> (std::sync::Arc<DynamoLeaseStore>, HeldLease) {
    let store = server.one_stream().await;
    let shard = Shard::new("shardId-000000000001").with_hash_range(HashRange::FULL);
    store.create(&Lease::new(&orders(), &shard.with_parents(["shardId-000000000000".into()]))).await.unwrap();
    let seen = store.list().await.unwrap().remove(0);
    let mut held = store.claim(&seen, &"ip-10-0-0-7-0c3c8e5a".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&progress(subscriptions, 0))).await.unwrap();
    (store, held)
}

/// The bytes of a lease's item, and what a renewal and a commit cost in write units and calls.
#[derive(Debug, PartialEq)]
struct Cost {
    bytes: usize,
    renewal: f64,
    calls: usize,
    commit: f64,
    /// The renewal after that.
    next: (usize, f64),
}

/// The figures of the guide. They change when the format does: change both.
#[tokio::test]
async fn a_renewal_and_a_commit_are_one_write_each() {
    for (subscriptions, wanted) in [
        (1, Cost { bytes: 400, renewal: 1.0, calls: 1, commit: 1.0, next: (1, 1.0) }),
        (10, Cost { bytes: 730, renewal: 1.0, calls: 1, commit: 1.0, next: (1, 1.0) }),
        (50, Cost { bytes: 2240, renewal: 3.0, calls: 1, commit: 3.0, next: (1, 3.0) }),
        (1000, Cost { bytes: 380, renewal: 1.0, calls: 1, commit: 38.0, next: (1, 1.0) }),
    ] {
        let server = Server::start().await;
        let (store, mut held) = lease(&server, subscriptions).await;
        let bytes = size(&server.item("shardId-000000000001").await);
        server.consumed.take();
        store.advance(&mut held, None).await.unwrap();
        let renewal = server.consumed.take();
        store.advance(&mut held, Some(&progress(subscriptions, 1))).await.unwrap();
        let commit = server.consumed.take();
        // This one takes the checkpoint along, where the commit has left the lease alone.
        store.advance(&mut held, None).await.unwrap();
        let next = server.consumed.take();
        let read = (renewal.1, commit.1, next.1);
        assert_eq!((renewal.0, read), (1, (0.0, 0.0, 0.0)), "a renewal is one write, and nothing is read");
        // A nonce has more digits or less.
        let bytes = if bytes.abs_diff(wanted.bytes) <= 8 { wanted.bytes } else { bytes };
        let cost = Cost { bytes, renewal: renewal.2, calls: commit.0, commit: commit.2, next: (next.0, next.2) };
        assert_eq!(cost, wanted, "{subscriptions} subscriptions");
    }
}

/// What the guide says of a thousand subscriptions: a lease that changes hands, and the commit that is no step forward.
#[tokio::test]
async fn many_cursors_cost_more_when_a_lease_changes_hands() {
    let server = Server::start().await;
    let (store, _) = lease(&server, 1000).await;
    let seen = store.list().await.unwrap().remove(0);
    server.consumed.take();
    let mut held = store.claim(&seen, &"ip-10-0-0-8-0c3c8e5b".into()).await.unwrap().unwrap();
    let claim = server.consumed.take();
    store.advance(&mut held, Some(&progress(1000, 1))).await.unwrap();
    let first = server.consumed.take();
    assert_eq!(((claim.0, claim.2), (first.0, first.2)), ((3, 39.0), (3, 77.0)));
}

#[tokio::test]
async fn a_look_around_costs_half_a_unit_for_four_kilobytes() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    for shard in 0..16 {
        let shard = Shard::new(format!("shardId-{shard:012}")).with_hash_range(HashRange::FULL);
        store.create(&Lease::new(&orders(), &shard)).await.unwrap();
    }
    server.consumed.take();
    assert_eq!(store.list().await.unwrap().len(), 16);
    let (calls, reads, writes) = server.consumed.take();
    assert_eq!((calls, writes), (1, 0.0));
    assert!(reads <= 1.0, "16 leases of about 300 bytes cost {reads} read units");
}
