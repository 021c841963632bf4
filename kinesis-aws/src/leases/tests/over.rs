//! Progress beside the lease: one write that leaves it alone, and still nobody writes who does not hold it.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{Cursor, CursorPosition, Progress};
use kinesis_core::{ErrorKind, Lease, LeaseStore, SequenceNumber, Shard, StartPosition};

use super::kcl::KclWorker;
use super::many::{MANY, SHARD, after, expect_lost, held, key, many, one, row};
use super::rig::{Fault, Server, orders};

/// A commit must cost one write; and a worker of the KCL must see the checkpoint, a renewal late.
#[tokio::test]
async fn a_commit_leaves_the_lease_alone_and_a_renewal_takes_its_checkpoint_along() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    let counter = held.lease().counter;
    let before = server.item(SHARD).await;
    for n in 11..14 {
        store.advance(&mut held, Some(&many(n))).await.unwrap();
        assert_eq!(server.item(SHARD).await, before);
        assert_eq!((row(&store).await, held.lease().counter), (held.lease().clone(), counter));
        assert_eq!((row(&store).await.cursors, server.moved().await), (many(n).cursors, 1));
    }
    store.advance(&mut held, None).await.unwrap();
    let now = server.item(SHARD).await;
    assert_eq!(now["checkpoint"], AttributeValue::S("13".into()));
    assert_eq!(now["cursors"], before["cursors"], "it names the same item");
    assert_eq!((row(&store).await, held.lease().counter), (held.lease().clone(), counter + 1));
    assert_eq!(row(&store).await.cursors, many(13).cursors);
    // And so does letting go without a last word, also to somebody.
    store.advance(&mut held, Some(&many(14))).await.unwrap();
    store.release(&mut held, None, Some("next".into())).await.unwrap();
    assert_eq!(server.item(SHARD).await["checkpoint"], AttributeValue::S("14".into()));
    assert_eq!(row(&store).await.cursors, many(14).cursors);
}

/// The item says beside which checkpoint it was written, and a renewal moves that of the lease on: no cursor may move by
/// it, of whatever kind the least one is.
#[tokio::test]
async fn a_checkpoint_that_a_renewal_moved_moves_no_cursor() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let place = |n: u64| SequenceNumber::from(n);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    for (from, to) in [
        (StartPosition::TrimHorizon, StartPosition::After(place(3))),
        (StartPosition::TrimHorizon, StartPosition::At(place(3))),
        (StartPosition::At(place(3).with_sub(4)), StartPosition::After(place(3).with_sub(4))),
        (StartPosition::After(place(3)), StartPosition::At(place(4).with_sub(2))),
        (StartPosition::Timestamp(time), StartPosition::After(place(3))),
        (StartPosition::Timestamp(time), StartPosition::TrimHorizon),
    ] {
        let mut held = held(&store).await;
        store.advance(&mut held, Some(&one(0, 1, CursorPosition::Next(from)))).await.unwrap();
        store.advance(&mut held, Some(&one(0, 2, CursorPosition::Next(from)))).await.unwrap();
        for step in [None, Some(&one(0, 2, CursorPosition::Next(to))), None, Some(&many(20)), None] {
            store.advance(&mut held, step).await.unwrap();
            assert_eq!(row(&store).await, *held.lease(), "{from:?} to {to:?}");
        }
        let now = &held.lease().cursors["subscription-0"];
        assert_eq!(now.position, CursorPosition::Next(to), "{from:?} to {to:?}");
        // The end of all of them.
        let end = |(name, cursor): (_, &Cursor)| (name, Cursor::new(cursor.generation, CursorPosition::End));
        let cursors = held.lease().cursors.clone();
        let all = Progress::new(cursors.iter().map(|(name, cursor)| end((name.clone(), cursor))));
        store.advance(&mut held, Some(&all)).await.unwrap();
        assert_ne!(row(&store).await.checkpoint(), None);
        store.advance(&mut held, None).await.unwrap();
        assert_eq!(server.item(SHARD).await["checkpoint"], AttributeValue::S("SHARD_END".into()));
        assert_eq!(row(&store).await.cursors, all.cursors, "{from:?} to {to:?}");
        assert!(store.remove(&row(&store).await).await.unwrap());
    }
}

/// The lease tells who holds it, and progress does not look at it: so a claim has to stop the holder where it writes.
#[tokio::test]
async fn who_claims_knows_all_that_is_stored_and_nothing_is_stored_after_it() {
    let server = Server::start().await;
    let (store, other) = (server.one_stream().await, server.one_stream().await);
    let mut old = held(&store).await;
    let seen = row(&other).await;
    store.advance(&mut old, Some(&many(12))).await.unwrap();
    // From another process, and then within one; the first has seen the row before the last commit.
    for (of_old, seen, n, known) in [(&store, Some(seen), 20, 12), (&other, None, 30, 21)] {
        let seen = match seen {
            Some(seen) => seen,
            None => row(&other).await,
        };
        let mut new = other.claim(&seen, &"us".into()).await.unwrap().unwrap();
        assert_eq!(*new.lease(), row(&store).await);
        assert_eq!(new.lease().cursors, many(known).cursors);
        expect_lost(of_old, &mut old, &many(n)).await;
        other.advance(&mut new, Some(&many(n))).await.unwrap();
        other.advance(&mut new, Some(&many(n + 1))).await.unwrap();
        assert_eq!(row(&store).await.cursors, many(n + 1).cursors);
        // And the next one takes it from this one.
        old = new;
    }
    other.claim(&row(&other).await, &"next".into()).await.unwrap().unwrap();
    assert_eq!(server.moved().await, 1);
}

/// Without a look at the lease a holder would go on, and be told that what it writes is stored.
#[tokio::test]
async fn a_reset_and_a_removal_stop_a_holder_at_its_next_commit() {
    let server = Server::start().await;
    let (store, other) = (server.one_stream().await, server.one_stream().await);
    let mut held = held(&store).await;
    let seen = row(&other).await;
    store.advance(&mut held, Some(&many(20))).await.unwrap();
    assert!(other.reset(&seen, &one(3, 1, after(1))).await.unwrap(), "the row is as it was seen");
    let mut wanted = many(20).cursors;
    wanted.extend(one(3, 1, after(1)).cursors);
    assert_eq!(row(&store).await.cursors, wanted, "what the view did not know of the others stays");
    expect_lost(&store, &mut held, &many(21)).await;
    let mut held = store.claim(&row(&store).await, &"us".into()).await.unwrap().unwrap();
    for n in [30, 31] {
        store.advance(&mut held, Some(&many(n))).await.unwrap();
    }
    // Cleaning up fails.
    server.wire.fail("Query", [Fault::LoseRequest]);
    assert!(other.remove(&row(&other).await).await.unwrap());
    let error = store.advance(&mut held, Some(&many(32))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error}");
    assert_eq!((store.get(&key()).await.unwrap(), server.wire.is_done()), (None, true));
}

/// A worker of the KCL does not know of the second table. What we store until we find out is done; what it does counts for
/// all that are behind it.
#[tokio::test]
async fn a_worker_of_the_kcl_that_takes_many_cursors_takes_them_on() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    store.advance(&mut held, Some(&many(12))).await.unwrap();
    let mut kcl = KclWorker::look(&server).await;
    assert!(kcl.take().await);
    store.advance(&mut held, Some(&many(14))).await.unwrap();
    assert!(kcl.checkpoint("100", 0).await);
    let behind = |n: u64| Cursor::new(1, after(n.max(100)));
    let wanted = |least: u64| (0..MANY).map(move |name| (format!("subscription-{name}").into(), behind(least + name)));
    assert_eq!(row(&store).await.cursors, wanted(14).collect());
    // Behind its work, too.
    store.advance(&mut held, Some(&many(16))).await.unwrap();
    assert_eq!(row(&store).await.cursors, wanted(16).collect());
    let error = store.advance(&mut held, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost, "a renewal finds out");
    let new = store.claim(&row(&store).await, &"us".into()).await.unwrap().unwrap();
    assert_eq!(new.lease().cursors, wanted(16).collect());
    expect_lost(&store, &mut held, &many(200)).await;
}

/// A cursor behind the checkpoint, of a seek or of a subscription that is new, must not stand beside a lease that was taken
/// before: what had been done by then would count for it.
#[tokio::test]
async fn what_is_behind_the_checkpoint_goes_by_the_lease() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let new = || Progress::new([("new".into(), Cursor::new(1, CursorPosition::Next(StartPosition::TrimHorizon)))]);
    for (nth, progress) in [one(5, 2, after(3)), new(), one(5, 3, after(300))].iter().enumerate() {
        for taken in ["before", "after", "never"] {
            let mut held = held(&store).await;
            store.advance(&mut held, Some(&many(12))).await.unwrap();
            store.advance(&mut held, None).await.unwrap();
            let mut kcl = KclWorker::look(&server).await;
            if taken == "before" {
                assert!(kcl.take().await);
                expect_lost(&store, &mut held, progress).await;
                assert_eq!(row(&store).await.cursors, many(12).cursors, "{nth}");
            } else {
                store.advance(&mut held, Some(progress)).await.unwrap();
                let mut wanted = many(12).cursors;
                wanted.extend(progress.cursors.clone());
                assert_eq!(row(&store).await.cursors, wanted, "{nth}");
                let checkpoint = ["3", "TRIM_HORIZON", "12"][nth];
                assert_eq!(server.item(SHARD).await["checkpoint"], AttributeValue::S(checkpoint.into()), "{nth}");
                if taken == "after" {
                    kcl = KclWorker::look(&server).await;
                    assert!(kcl.take().await && kcl.checkpoint("7", 0).await);
                    for cursor in wanted.values_mut().filter(|cursor| cursor.position.compare(&after(7)).is_lt()) {
                        *cursor = Cursor::new(cursor.generation, after(7));
                    }
                    assert_eq!(row(&store).await.cursors, wanted, "{nth}");
                }
            }
            assert!(store.remove(&row(&store).await).await.unwrap());
        }
    }
}

/// The shards that carry on stand in the lease, where a worker of the KCL looks for them.
#[tokio::test]
async fn the_end_of_a_shard_goes_by_the_lease() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    store.advance(&mut held, Some(&many(11))).await.unwrap();
    let counter = held.lease().counter;
    for n in [12, 13] {
        store.advance(&mut held, Some(&many(n).with_children(["child".into()]))).await.unwrap();
        assert_eq!((row(&store).await, held.lease().counter), (held.lease().clone(), counter + 1), "once");
        assert_eq!(server.item(SHARD).await["childShardIds"], AttributeValue::Ss(vec!["child".into()]));
    }
    assert_eq!(row(&store).await.cursors, many(13).cursors);
}

/// Items of cursors had no revision once, and were never written over.
#[tokio::test]
async fn an_item_without_a_revision_is_taken_over() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut old = held(&store).await;
    let second = format!("{}-subscriptions", server.table);
    let items = server.client().scan().table_name(&second).send().await.unwrap().items.unwrap_or_default();
    let (kind, name) = (items[0]["kind"].clone(), items[0]["name"].clone());
    let call = server.client().update_item().table_name(&second).key("kind", kind).key("name", name);
    call.update_expression("REMOVE revision").send().await.unwrap();
    let other = server.one_stream().await;
    let mut new = other.claim(&row(&other).await, &"next".into()).await.unwrap().unwrap();
    assert_eq!(new.lease().cursors, many(10).cursors);
    expect_lost(&store, &mut old, &many(11)).await;
    for n in [12, 13] {
        other.advance(&mut new, Some(&many(n))).await.unwrap();
        assert_eq!((row(&other).await.cursors, server.moved().await), (many(n).cursors, 1));
    }
}

/// A lease that is there already leaves nothing of the one that was to be created.
#[tokio::test]
async fn a_creation_that_is_refused_leaves_no_cursors() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut lease = Lease::new(&orders(), &Shard::new(SHARD));
    lease.cursors = many(5).cursors;
    assert!(store.create(&lease).await.unwrap());
    lease.cursors = many(9).cursors;
    assert!(!store.create(&lease).await.unwrap());
    assert_eq!((row(&store).await.cursors, server.moved().await), (many(5).cursors, 1));
}
