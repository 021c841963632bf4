//! Leases as a worker finds them: of programs that do not answer it, and with claims that took long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Worker;
use crate::lease::{HeldLease, Lease, LeaseStore, WorkerId};
use crate::observe::{Event, Observer};
use crate::pipeline::PipelineBuilder;
use crate::wrap::scripted::Scripted;
use crate::{MemoryLeaseStore, Pipeline, Shard, StreamSource as _, Subscription, handler};

const SECOND: Duration = Duration::from_secs(1);

fn pipeline(source: &Arc<Scripted>, store: &MemoryLeaseStore) -> PipelineBuilder {
    let pipeline = Pipeline::builder("app", Arc::clone(source)).leases(store.clone());
    pipeline.subscribe(Subscription::new("audit", handler(|_| async {})))
}

async fn claim(store: &MemoryLeaseStore, source: &Scripted, shard: &str, me: &WorkerId) -> HeldLease {
    let row = Lease::new(source.stream(), &Shard::new(shard));
    store.create(&row).await.unwrap();
    store.claim(&row, me).await.unwrap().unwrap()
}

/// Lives as a holder that hears nobody.
async fn renew(store: MemoryLeaseStore, mut held: Vec<HeldLease>) {
    loop {
        sleep(3 * SECOND).await;
        for mut lease in std::mem::take(&mut held) {
            if store.advance(&mut lease, None).await.is_ok() {
                held.push(lease);
            }
        }
    }
}

async fn shares(store: &MemoryLeaseStore) -> BTreeMap<bool, usize> {
    let mut shares = BTreeMap::new();
    for row in store.list().await.unwrap() {
        *shares.entry(row.owner.is_some_and(|owner| owner == "of-the-kcl")).or_default() += 1;
    }
    shares
}

/// A worker of the KCL does not know that it is asked. The request stood for ever, and counted as if it were granted: a
/// worker of ours beside one of the KCL got nothing. And so did one of somebody who was gone since.
#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_hand_over_is_left_its_share_and_no_more() {
    let (source, store) = (Arc::new(Scripted::new(["0", "1", "2", "3"])), MemoryLeaseStore::new());
    let kcl = WorkerId::from("of-the-kcl");
    let mut held = Vec::new();
    for shard in ["0", "1", "2", "3"] {
        held.push(claim(&store, &source, shard, &kcl).await);
    }
    assert!(store.request(held[0].lease(), &"gone".into()).await.unwrap());
    let renewal = tokio::spawn(renew(store.clone(), held));
    let ours = pipeline(&source, &store).build().unwrap();
    let run = tokio::spawn(ours.run_until(sleep(400 * SECOND)));
    sleep(45 * SECOND).await;
    assert_eq!(shares(&store).await, [(true, 4)].into(), "it may be one of ours that has a drain of 30 s");
    sleep(40 * SECOND).await;
    assert_eq!(shares(&store).await, [(true, 3), (false, 1)].into(), "somebody else has asked for one as well");
    for after in [200, 60] {
        sleep(after * SECOND).await;
        assert_eq!(shares(&store).await, [(true, 2), (false, 2)].into(), "nobody takes more than its share");
    }
    run.await.unwrap().unwrap();
    renewal.abort();
}

/// Nobody made a row of a shard that was left to others, so that they never heard of it; and without a row it was never
/// overdue. It stayed unread until somebody listed the stream anew.
#[tokio::test(start_paused = true)]
async fn a_shard_that_is_left_to_others_has_a_row_and_is_taken_when_nobody_comes() {
    let (source, store) = (Arc::new(Scripted::new(["0", "1", "2", "3"])), MemoryLeaseStore::new());
    let held = vec![claim(&store, &source, "3", &"of-the-kcl".into()).await];
    let renewal = tokio::spawn(renew(store.clone(), held));
    let ours = pipeline(&source, &store).build().unwrap();
    let run = tokio::spawn(ours.run_until(sleep(60 * SECOND)));
    let holders = async || {
        let rows = store.list().await.unwrap();
        let holders = rows.into_iter().map(|row| row.owner.map_or("nobody".into(), |owner| owner.to_string()));
        holders.collect::<BTreeSet<_>>().len()
    };
    sleep(SECOND).await;
    assert_eq!((store.list().await.unwrap().len(), holders().await), (4, 3), "the share of each is two");
    sleep(30 * SECOND).await;
    assert_eq!((store.list().await.unwrap().len(), holders().await), (4, 2));
    run.await.unwrap().unwrap();
    renewal.abort();
}

/// A worker whose lease was claimed half a failover time ago, and which starts on it now.
async fn late(store: &MemoryLeaseStore, pipeline: PipelineBuilder) -> Worker {
    let mut worker = pipeline.build().unwrap().into_worker();
    let sent = Instant::now();
    worker.try_sync().await.unwrap();
    worker.tasks.shutdown().await;
    let held = store.list().await.unwrap().remove(0);
    let held = store.claim(&held, &worker.config.me).await.unwrap().unwrap();
    sleep(worker.config.failover / 2).await;
    worker.start(held, sent).await.unwrap();
    worker
}

/// Others count from the arrival of a claim. Its holder counted from the answer, so that it worked on for as long as that
/// had taken when somebody else had the lease.
#[tokio::test(start_paused = true)]
async fn a_lease_whose_claim_took_long_is_renewed_at_once() {
    let (source, store) = (Arc::new(Scripted::new(["0"])), MemoryLeaseStore::new());
    let mut worker = late(&store, pipeline(&source, &store)).await;
    let claimed = store.list().await.unwrap()[0].counter;
    sleep(SECOND / 10).await;
    assert!(store.list().await.unwrap()[0].counter > claimed, "it would have been renewed a third of a failover later");
    worker.tasks.shutdown().await;
}

/// A lease is to be renewed a third of a failover time after the last write; this one was half of it late to begin with.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_late_says_by_how_much() {
    #[derive(Debug, Default)]
    struct Late(Mutex<Vec<Duration>>);
    impl Observer for Late {
        fn on(&self, event: &Event) {
            if let Event::RenewalLate { late, .. } = event {
                self.0.lock().unwrap().push(*late);
            }
        }
    }
    let (source, store) = (Arc::new(Scripted::new(["0"])), MemoryLeaseStore::new());
    let seen = Arc::new(Late::default());
    let mut worker = late(&store, pipeline(&source, &store).observer(Arc::clone(&seen))).await;
    let failover = worker.config.failover;
    sleep(failover).await;
    assert_eq!(*seen.0.lock().unwrap(), [failover / 2 - failover / 3], "the next one is in time");
    worker.tasks.shutdown().await;
}
