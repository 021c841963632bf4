//! Progress beside the lease when calls are lost, late or refused, and workers die between two of them.

use std::time::Duration;

use kinesis_core::lease::Cursor;
use kinesis_core::{ErrorKind, Lease, LeaseStore, Shard};

use super::many::{SHARD, after, expect_lost, held, many, one, row};
use super::rig::{Fault, Server, orders};
use crate::DynamoLeaseStore;

/// A call that was given up reaches the table behind those that came after it: behind a later commit, a claim, and the
/// write of a lease that names another item.
#[tokio::test]
async fn a_commit_that_comes_late_moves_nothing_back() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    let (late, patience) = (Duration::from_millis(300), Duration::from_millis(50));
    for (n, then) in [(20, "a commit"), (30, "a seek"), (40, "a claim")] {
        server.wire.fail("PutItem", [Fault::Late(late)]);
        let progress = many(n);
        let given_up = tokio::time::timeout(patience, store.advance(&mut held, Some(&progress))).await;
        assert!(given_up.is_err(), "{then}");
        match then {
            "a commit" => drop(store.advance(&mut held, Some(&many(n + 5))).await.unwrap()),
            "a seek" => drop(store.advance(&mut held, Some(&one(0, 2, after(1)))).await.unwrap()),
            _ => held = store.claim(&row(&store).await, &"next".into()).await.unwrap().unwrap(),
        }
        let now = row(&store).await;
        assert_eq!(now, *held.lease(), "{then}");
        tokio::time::sleep(late * 2).await;
        assert_eq!(row(&store).await, now, "{then}");
        assert_eq!(server.moved().await, 1, "{then}");
    }
    assert!(server.wire.is_done());
}

/// Whether a commit without an answer was stored nobody knows: it counts as stored, so that the next one, which may know
/// less, does not move a cursor back.
#[tokio::test]
async fn what_was_stored_without_an_answer_stays() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    for (n, fault) in [(20, Fault::LoseReply), (30, Fault::LoseRequest)] {
        for by_the_lease in [false, true] {
            let n = if by_the_lease { n + 5 } else { n };
            let (operation, mut progress) = if by_the_lease { ("UpdateItem", many(n)) } else { ("PutItem", many(n)) };
            if by_the_lease {
                progress.cursors.insert("new".into(), Cursor::new(n, after(1)));
            }
            server.wire.fail(operation, [fault]);
            let error = store.advance(&mut held, Some(&progress)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
            store.advance(&mut held, Some(&one(0, 1, after(n + 1)))).await.unwrap();
            progress.cursors.extend(one(0, 1, after(n + 1)).cursors);
            let now = row(&store).await;
            assert_eq!(now, *held.lease(), "{fault:?}");
            assert!(progress.cursors.iter().all(|(name, cursor)| now.cursors[name] == *cursor), "{fault:?}");
            // A renewal without an answer leaves the way free.
            server.wire.fail("UpdateItem", [fault]);
            assert!(store.advance(&mut held, None).await.is_err());
            store.advance(&mut held, Some(&many(n + 2))).await.unwrap();
            store.advance(&mut held, None).await.unwrap();
            assert_eq!(row(&store).await, *held.lease(), "{fault:?}");
        }
    }
    store.claim(&row(&store).await, &"next".into()).await.unwrap().unwrap();
    assert_eq!(server.moved().await, 1);
    assert!(server.wire.is_done());
}

/// The SDK makes a call again whose answer was lost, and is told that the condition does not hold.
#[tokio::test]
async fn a_client_that_retries_by_itself_writes_over_once() {
    let server = Server::start().await;
    drop(server.one_stream().await);
    let client = server.client();
    let store = DynamoLeaseStore::builder(&*server.table).client(client).stream(&orders()).connect().await.unwrap();
    let mut lease = Lease::new(&orders(), &Shard::new(SHARD));
    lease.cursors = many(5).cursors;
    server.wire.fail("PutItem", [Fault::None, Fault::LoseReply]);
    // That it was this call which created it is not seen; its cursors stay.
    store.create(&lease).await.unwrap();
    assert_eq!((row(&store).await.cursors, server.moved().await), (many(5).cursors, 1));
    server.wire.fail("UpdateItem", [Fault::None, Fault::LoseReply]);
    let mut held = store.claim(&row(&store).await, &"us".into()).await.unwrap().unwrap();
    for n in [10, 11, 12] {
        server.wire.fail("PutItem", [Fault::LoseReply]);
        store.advance(&mut held, Some(&many(n))).await.unwrap();
        assert_eq!(row(&store).await, *held.lease());
    }
    assert_eq!(held.lease().counter, 2, "after the claim one went by the lease");
    assert!(server.wire.is_done());
}

/// Who seals the cursors and does not come to write the lease, or finds that it may not, has taken nothing from its holder.
#[tokio::test]
async fn a_holder_whose_cursors_were_sealed_in_vain_goes_on() {
    let server = Server::start().await;
    let (store, other) = (server.one_stream().await, server.one_stream().await);
    let mut held = held(&store).await;
    for (n, fault) in [(20, Fault::LoseRequest), (30, Fault::Late(Duration::from_millis(300)))] {
        server.wire.fail("UpdateItem", [Fault::None, fault]);
        let (seen, back) = (row(&other).await, one(0, 1, after(1)));
        let reset = tokio::time::timeout(Duration::from_millis(100), other.reset(&seen, &back)).await;
        assert!(reset.is_err() || reset.is_ok_and(|reset| reset.is_err()), "{fault:?}");
        store.advance(&mut held, Some(&many(n))).await.unwrap();
        store.advance(&mut held, Some(&many(n + 1))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(row(&store).await, *held.lease(), "{fault:?}");
        assert_eq!(row(&store).await.cursors, many(n + 1).cursors, "{fault:?}");
    }
    assert!(server.wire.is_done());
}

/// Until it has sealed the cursors, a claim does not know them all: it must not say that it has the lease.
#[tokio::test]
async fn a_claim_that_cannot_seal_is_none_yet() {
    let server = Server::start().await;
    let (store, other) = (server.one_stream().await, server.one_stream().await);
    let mut old = held(&store).await;
    for fault in [Fault::LoseRequest, Fault::LoseReply, Fault::Refuse("ProvisionedThroughputExceededException")] {
        server.wire.fail("UpdateItem", [Fault::None, fault]);
        let next = "next".into();
        assert!(other.claim(&row(&other).await, &next).await.is_err(), "{fault:?}");
        // What its holder does until it finds out is done.
        let stored = store.advance(&mut old, Some(&many(12))).await.is_ok();
        let mut new = other.claim(&row(&other).await, &next).await.unwrap().unwrap();
        assert_eq!(new.lease().cursors, if stored { many(12) } else { many(10) }.cursors, "{fault:?}");
        expect_lost(&store, &mut old, &many(13)).await;
        other.release(&mut new, None, None).await.unwrap();
        assert!(store.remove(&row(&store).await).await.unwrap());
        old = held(&store).await;
    }
    // Somebody resets it in between.
    server.wire.fail("UpdateItem", [Fault::None, Fault::Slow(Duration::from_millis(300))]);
    let (seen, next, to) = (row(&other).await, "next".into(), many(50));
    let (claimed, reset) = tokio::join!(other.claim(&seen, &next), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.reset(&row(&store).await, &to).await.unwrap()
    });
    assert!(claimed.unwrap().is_none() && reset, "it was taken from the one that claimed it");
    assert_eq!((row(&store).await.cursors, server.moved().await), (many(50).cursors, 1));
    assert!(server.wire.is_done());
}

/// The way by the lease ends anywhere: the item is put, and the lease does not name it; it does, and the one before is there
/// still. Whoever comes next finds the state before or after.
#[tokio::test]
async fn a_worker_that_dies_halfway_loses_nothing() {
    let server = Server::start().await;
    let (store, other) = (server.one_stream().await, server.one_stream().await);
    for (operation, fault, stored) in [
        ("PutItem", Fault::LoseRequest, false),
        ("PutItem", Fault::LoseReply, false),
        ("UpdateItem", Fault::LoseRequest, false),
        ("UpdateItem", Fault::LoseReply, true),
        ("DeleteItem", Fault::LoseRequest, true),
    ] {
        let mut held = held(&store).await;
        store.advance(&mut held, Some(&many(12))).await.unwrap();
        server.wire.fail(operation, [fault]);
        let sought = one(0, 2, after(1));
        assert_eq!(store.advance(&mut held, Some(&sought)).await.is_ok(), operation == "DeleteItem");
        let mut wanted = many(12).cursors;
        if stored {
            wanted.extend(sought.cursors);
        }
        assert_eq!(row(&other).await.cursors, wanted, "{operation} {fault:?}");
        let new = other.claim(&row(&other).await, &"next".into()).await.unwrap().unwrap();
        assert_eq!(new.lease().cursors, wanted, "{operation} {fault:?}");
        assert!(other.remove(&row(&other).await).await.unwrap());
        assert_eq!(server.moved().await, 0, "{operation} {fault:?}");
    }
    assert!(server.wire.is_done());
}
