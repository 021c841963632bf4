//! Cursors that have moved to the second table: they keep the contract, and leave nothing behind.

use std::time::Duration;

use kinesis_core::lease::{Cursor, Progress};
use kinesis_core::{ErrorKind, Lease, LeaseStore, Shard, StartPosition, SubscriptionRecord};

use super::many::{MANY, key, many};
use super::rig::{Fault, Server, orders};

#[tokio::test]
async fn many_cursors_move_out_and_few_move_back() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    let row = async || store.get(&key()).await.unwrap().unwrap();
    let mut held = store.claim(&row().await, &"us".into()).await.unwrap().unwrap();
    for n in 1..=3 {
        store.advance(&mut held, Some(&many(n))).await.unwrap();
        store.advance(&mut held, None).await.unwrap();
        assert_eq!(row().await, *held.lease());
        assert_eq!(row().await.cursors, many(n).cursors);
        assert_eq!(store.list().await.unwrap(), [row().await]);
        assert_eq!(server.moved().await, 1, "the one before is gone");
    }
    let all_but_one = (1..MANY).map(|name| format!("subscription-{name}").into());
    store.advance(&mut held, Some(&Progress::default().with_forgotten(all_but_one))).await.unwrap();
    assert_eq!((row().await.cursors.len(), server.moved().await), (1, 0));
    store.advance(&mut held, Some(&many(5))).await.unwrap();
    assert!(store.remove(&row().await).await.unwrap());
    assert_eq!(server.moved().await, 0, "a lease takes its cursors along");
}

#[tokio::test]
async fn a_fenced_worker_does_not_change_what_is_read() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    let row = async || store.get(&key()).await.unwrap().unwrap();
    let mut old = store.claim(&row().await, &"old".into()).await.unwrap().unwrap();
    store.advance(&mut old, Some(&many(1))).await.unwrap();
    let mut new = store.claim(&row().await, &"new".into()).await.unwrap().unwrap();
    let now = row().await;
    let error = store.advance(&mut old, Some(&many(9))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    assert_eq!(row().await, now);
    store.advance(&mut new, Some(&many(2))).await.unwrap();
    assert_eq!(row().await.cursors, many(2).cursors);
    // What the fenced one left behind goes with the next claim.
    store.claim(&row().await, &"third".into()).await.unwrap().unwrap();
    assert_eq!((row().await.cursors, server.moved().await), (many(2).cursors, 1));
}

/// Whoever claims a lease cleans up, slowly; a reset puts its cursors meanwhile, and names them afterwards.
#[tokio::test]
async fn cleaning_up_takes_nothing_that_is_about_to_be_named() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    let row = async || store.get(&key()).await.unwrap().unwrap();
    let mut held = store.claim(&row().await, &"us".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&many(1))).await.unwrap();
    let seen = row().await;
    server.wire.fail("Query", [Fault::Slow(Duration::from_millis(300))]);
    let next = "next".into();
    let (claimed, reset) = tokio::join!(store.claim(&seen, &next), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let seen = row().await;
        assert_eq!(seen.owner, Some("next".into()));
        server.wire.fail("UpdateItem", [Fault::Slow(Duration::from_millis(500))]);
        store.reset(&seen, &many(2)).await
    });
    assert!(claimed.unwrap().is_some() && reset.unwrap() && server.wire.is_done());
    assert_eq!((row().await.cursors, server.moved().await), (many(2).cursors, 1));
}

/// Who read a lease that was removed meanwhile was told that its cursors were gone and the table damaged, which ended its
/// pipeline.
#[tokio::test]
async fn a_lease_that_is_removed_while_it_is_read_is_not_there() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    let seen = store.get(&key()).await.unwrap().unwrap();
    let mut held = store.claim(&seen, &"us".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&many(1))).await.unwrap();
    let seen = store.get(&key()).await.unwrap().unwrap();
    server.wire.fail("GetItem", [Fault::Slow(Duration::from_millis(300))]);
    let (listed, removed) = tokio::join!(store.list(), async {
        while !server.wire.is_done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        store.remove(&seen).await
    });
    assert!(removed.unwrap());
    assert_eq!(listed.unwrap(), []);
    assert_eq!(store.get(&key()).await.unwrap(), None);
}

#[tokio::test]
async fn lost_answers_leave_one_set_of_cursors() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    let row = async || store.get(&key()).await.unwrap().unwrap();
    let mut held = store.claim(&row().await, &"us".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&many(1))).await.unwrap();
    // Each is a seek, which goes by the lease.
    let mut generation = 1;
    let mut sought = |n: u64| {
        generation += 1;
        Progress::new(many(n).cursors.into_iter().map(|(name, it)| (name, Cursor::new(generation, it.position))))
    };
    for operation in ["PutItem", "UpdateItem", "DeleteItem"] {
        for fault in [Fault::LoseReply, Fault::LoseRequest] {
            server.wire.fail(operation, [fault]);
            let written = store.advance(&mut held, Some(&sought(3))).await;
            assert_eq!(written.is_ok(), operation == "DeleteItem", "{operation} {fault:?}: cleaning up may fail");
            let last = sought(2);
            store.advance(&mut held, Some(&last)).await.unwrap();
            assert_eq!(row().await, *held.lease(), "{operation} {fault:?}");
            assert_eq!(row().await.cursors, last.cursors, "{operation} {fault:?}");
        }
    }
    let last = row().await.cursors;
    store.claim(&row().await, &"next".into()).await.unwrap().unwrap();
    assert_eq!((row().await.cursors, server.moved().await), (last, 1));
    assert!(server.wire.is_done());
}

#[tokio::test]
async fn a_record_that_no_item_can_hold_is_refused_by_name() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let shards = (0..20_000).map(|nth| format!("shardId-{nth:012}").into());
    let record = SubscriptionRecord::new(&orders(), "audit".into(), StartPosition::TrimHorizon, shards);
    let error = store.put_subscription(None, &record).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("audit") && error.message().contains("20000 shards"), "{error}");
    assert!(store.subscriptions().await.unwrap().is_empty());
}
