//! Races: whatever sixteen workers do at once, a lease has one owner, and nobody else writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use kinesis_core::lease::{Cursor, CursorPosition, HeldLease, Nonce, Progress};
use kinesis_core::{ErrorKind, Lease, LeaseStore, SequenceNumber, Shard, ShardKey, StartPosition};

use super::rig::{Server, orders};
use crate::DynamoLeaseStore;

const WORKERS: u64 = 16;
const ROUNDS: u64 = 500;

fn progress(n: u64) -> Progress {
    let position = CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)));
    Progress::new([("audit".into(), Cursor::new(1, position))])
}

async fn claim(store: Arc<DynamoLeaseStore>, seen: Lease, worker: u64) -> Option<HeldLease> {
    store.claim(&seen, &format!("worker-{worker}").as_str().into()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_workers_one_wins_every_round() {
    let server = Server::start().await;
    race(server.one_stream().await, ROUNDS).await;
}

/// With all cursors in the second table: who claims seals those of the holder before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_workers_one_wins_whose_cursors_are_apart() {
    let server = Server::start().await;
    race(server.apart(false).await, ROUNDS / 5).await;
}

async fn race(store: Arc<DynamoLeaseStore>, rounds: u64) {
    let row = Lease::new(&orders(), &Shard::new("shardId-000000000000"));
    store.create(&row).await.unwrap();
    let key: ShardKey = row.key;
    let mut nonces: BTreeSet<u64> = BTreeSet::new();
    let mut before: Option<HeldLease> = None;
    for round in 1..=rounds {
        let seen = store.get(&key).await.unwrap().unwrap();
        let racers: Vec<_> = (0..WORKERS).map(|n| tokio::spawn(claim(Arc::clone(&store), seen.clone(), n))).collect();
        // The holder of the round before writes at the same time; it may be the fastest, and then nobody wins.
        let late = match &mut before {
            Some(held) => Some(store.advance(held, Some(&progress(round))).await),
            None => None,
        };
        let mut winners = Vec::new();
        for racer in racers {
            winners.extend(racer.await.unwrap());
        }
        let now = store.get(&key).await.unwrap().unwrap();
        match late {
            Some(Ok(_)) => assert!(winners.is_empty(), "round {round}: {winners:?} beside the holder"),
            Some(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::LeaseLost, "round {round}");
                assert_eq!(winners.len(), 1, "round {round}");
            }
            None => assert_eq!(winners.len(), 1, "round {round}"),
        }
        let Some(held) = winners.pop() else {
            // Once more, with nobody else about.
            before = Some(claim(Arc::clone(&store), now, WORKERS).await.unwrap());
            continue;
        };
        assert_eq!((&now.owner, now.nonce), (&held.lease().owner, held.lease().nonce), "round {round}");
        assert!(now.nonce.map(Nonce::value).is_some_and(|nonce| nonces.insert(nonce)), "round {round}");
        before = Some(held);
    }
}

/// A holder, those who reset and those who claim: every row that is read is one that somebody wrote, and whoever holds the
/// lease in the end knows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_and_claims_race_with_a_holder_whose_cursors_have_moved() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let row = Lease::new(&orders(), &Shard::new("shardId-000000000000"));
    store.create(&row).await.unwrap();
    let many = |n: u64| {
        let position = CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)));
        Progress::new((0..600).map(|name| (format!("subscription-{name}").into(), Cursor::new(1, position))))
    };
    for round in 1..=20 {
        let seen = store.get(&row.key).await.unwrap().unwrap();
        let mut held = claim(Arc::clone(&store), seen, 0).await.unwrap();
        store.advance(&mut held, Some(&many(round * 10))).await.unwrap();
        let seen = store.get(&row.key).await.unwrap().unwrap();
        let (resets, to) = (Arc::clone(&store), many(round * 10 + 1));
        let seen_too = seen.clone();
        let reset = tokio::spawn(async move { resets.reset(&seen_too, &to).await.unwrap() });
        let claimed = tokio::spawn(claim(Arc::clone(&store), seen, 1));
        let advanced = match store.advance(&mut held, Some(&many(round * 10 + 2))).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::LeaseLost, "round {round}: {error}");
                false
            }
        };
        let (reset, claimed) = (reset.await.unwrap(), claimed.await.unwrap());
        // Progress that came before either of them was stored beside the lease: it counts, and the lease is lost after it.
        assert!(!reset || claimed.is_none(), "round {round}: a reset and a claim of the same row");
        assert!(reset || claimed.is_some() || advanced, "round {round}: somebody is first");
        let now = store.get(&row.key).await.unwrap().unwrap();
        let wanted = if reset {
            many(round * 10 + 1)
        } else if advanced {
            many(round * 10 + 2)
        } else {
            many(round * 10)
        };
        if let Some(claimed) = claimed {
            assert_eq!(claimed.lease().cursors, now.cursors, "round {round}: nothing is written behind a claim");
        }
        assert_eq!(now.cursors, wanted.cursors, "round {round}");
    }
    let seen = store.get(&row.key).await.unwrap().unwrap();
    claim(Arc::clone(&store), seen, 0).await.unwrap();
    assert_eq!(server.moved().await, 1, "whoever claims the lease cleans up");
}
