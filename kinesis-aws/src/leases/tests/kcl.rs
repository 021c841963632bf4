//! Beside a worker of the KCL 2.x: it takes leases and moves checkpoints, and so do we.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{Cursor, CursorPosition, Progress, SubscriptionRecord};
use kinesis_core::{ErrorKind, Lease, LeaseStore, SequenceNumber, Shard, ShardKey, StartPosition};

use super::rig::{Server, orders};

const SHARD: &str = "shardId-000000000000";

/// A worker of the KCL 2.x and the lease it holds, with the conditions and updates of its refresher.
pub(super) struct KclWorker {
    client: Client,
    table: String,
    counter: u64,
}

impl KclWorker {
    pub(super) async fn look(server: &Server) -> Self {
        let AttributeValue::N(counter) = &server.item(SHARD).await["leaseCounter"] else { panic!("it is a number") };
        Self { client: server.client(), table: server.table.clone(), counter: counter.parse().unwrap() }
    }

    /// Writes if the counter is as it was seen; `false` when somebody else was faster.
    async fn write(&mut self, update: &str, values: &[(&str, AttributeValue)]) -> bool {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let mut call =
            self.client.update_item().table_name(&self.table).key("leaseKey", AttributeValue::S(SHARD.into()));
        call = call.update_expression(format!("SET leaseCounter = :next, {update}"));
        call = call.condition_expression("leaseCounter = :seen");
        call = call.expression_attribute_values(":seen", number(self.counter));
        call = call.expression_attribute_values(":next", number(self.counter + 1));
        for (name, value) in values {
            call = call.expression_attribute_values(*name, value.clone());
        }
        let written = call.send().await;
        if let Err(error) = &written {
            let refused = error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception);
            assert!(refused, "{error:?}");
        }
        self.counter += u64::from(written.is_ok());
        written.is_ok()
    }

    pub(super) async fn take(&mut self) -> bool {
        let me = AttributeValue::S("kcl".into());
        self.write(
            "leaseOwner = :me REMOVE checkpointOwner ADD ownerSwitchesSinceCheckpoint :one",
            &[(":me", me), (":one", AttributeValue::N("1".into()))],
        )
        .await
    }

    async fn renew(&mut self) -> bool {
        self.write("leaseOwner = :me", &[(":me", AttributeValue::S("kcl".into()))]).await
    }

    pub(super) async fn checkpoint(&mut self, word: &str, sub: u64) -> bool {
        let update = "checkpoint = :c, checkpointSubSequenceNumber = :s, ownerSwitchesSinceCheckpoint = :o \
                      REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState";
        let number = |number: u64| AttributeValue::N(number.to_string());
        self.write(update, &[(":c", AttributeValue::S(word.into())), (":s", number(sub)), (":o", number(0))]).await
    }

    async fn evict(&mut self) -> bool {
        self.write("ownerSwitchesSinceCheckpoint = :o REMOVE leaseOwner", &[(":o", AttributeValue::N("0".into()))])
            .await
    }
}

fn after(n: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
}

fn progress(cursors: &[(&str, u64, u64)]) -> Progress {
    Progress::new(cursors.iter().map(|(name, generation, n)| ((*name).into(), Cursor::new(*generation, after(*n)))))
}

fn key() -> ShardKey {
    ShardKey::new(&orders(), &SHARD.into())
}

async fn row(store: &impl LeaseStore) -> Lease {
    store.get(&key()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_take_of_the_kcl_fences_us_and_its_checkpoint_moves_our_cursors() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    let mut held = store.claim(&row(&*store).await, &"us".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&progress(&[("audit", 1, 5), ("billing", 2, 9)]))).await.unwrap();

    let mut kcl = KclWorker::look(&server).await;
    assert!(kcl.take().await);
    for progress in [None, Some(&progress(&[("audit", 1, 6)]))] {
        let error = store.advance(&mut held, progress).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseLost);
        assert!(error.message().contains("kcl claimed it"), "{error}");
    }
    assert!(kcl.checkpoint("7", 2).await && kcl.renew().await, "what was refused changed nothing");
    let seen = row(&*store).await;
    assert_eq!(seen.owner, Some("kcl".into()));
    let seven = CursorPosition::Next(StartPosition::After(SequenceNumber::from(7).with_sub(2)));
    assert_eq!(seen.cursors["audit"], Cursor::new(1, seven));
    assert_eq!(seen.cursors["billing"], Cursor::new(2, after(9)));

    // And back again.
    let held = store.claim(&seen, &"us".into()).await.unwrap().unwrap();
    assert!(!kcl.renew().await, "a worker whose lease was taken may not write");
    assert!(!kcl.checkpoint("8", 0).await);
    assert_eq!(held.lease().cursors, seen.cursors);
    store.advance(&mut { held }, Some(&progress(&[("billing", 2, 10)]))).await.unwrap();
    let item = server.item(SHARD).await;
    assert_eq!(item["checkpoint"], AttributeValue::S("7".into()));
    assert_eq!(item["checkpointSubSequenceNumber"], AttributeValue::N("2".into()));
}

#[tokio::test]
async fn the_end_that_the_kcl_has_reached_is_everybodys() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    let mut held = store.claim(&row(&*store).await, &"us".into()).await.unwrap().unwrap();
    store.release(&mut held, Some(progress(&[("audit", 1, 5)])), None).await.unwrap();
    let mut kcl = KclWorker::look(&server).await;
    assert!(kcl.take().await && kcl.checkpoint("SHARD_END", 0).await && kcl.evict().await);
    let seen = row(&*store).await;
    assert_eq!((seen.owner.as_deref(), seen.checkpoint()), (None, Some(CursorPosition::End)));
}

/// A seek backwards stores a lower cursor: what the KCL did before it does not count, what it does afterwards does.
#[tokio::test]
async fn a_seek_is_undone_only_by_work_after_it() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    let mut kcl = KclWorker::look(&server).await;
    assert!(kcl.take().await && kcl.checkpoint("7", 0).await);
    let mut held = store.claim(&row(&*store).await, &"us".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&progress(&[("audit", 2, 3)]))).await.unwrap();
    assert_eq!(row(&*store).await.cursors["audit"], Cursor::new(2, after(3)));
    let item = server.item(SHARD).await;
    assert_eq!(item["checkpoint"], AttributeValue::S("3".into()), "the KCL goes back with us");
    let mut kcl = KclWorker::look(&server).await;
    assert!(kcl.take().await && kcl.checkpoint("4", 0).await);
    assert_eq!(row(&*store).await.cursors["audit"], Cursor::new(2, after(4)));
}

/// A worker of the KCL that finds its own name and the next counter takes a write for its own renewal.
#[tokio::test]
async fn a_reset_is_not_taken_for_a_renewal_of_the_kcl() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    let mut kcl = KclWorker::look(&server).await;
    assert!(kcl.take().await && kcl.checkpoint("7", 0).await);
    assert!(store.reset(&row(&*store).await, &progress(&[("audit", 1, 3)])).await.unwrap());
    assert!(!kcl.renew().await);
    let now = row(&*store).await;
    assert_eq!(now.owner, Some("kcl".into()));
    assert_ne!(now.counter, kcl.counter + 1);
    assert_eq!(now.checkpoint(), Some(after(3)));
}

/// The first progress in a row of the KCL ends what is inherited: those who are read elsewhere, or not yet, keep their place.
#[tokio::test]
async fn nobody_loses_a_place_that_was_inherited() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    for (name, generation, forgotten) in
        [("audit", 1, false), ("billing", 1, false), ("sought", 2, false), ("gone", 1, true)]
    {
        let mut record = SubscriptionRecord::new(&orders(), name.into(), StartPosition::Latest, [SHARD.into()]);
        (record.generation, record.forgotten) = (generation, forgotten);
        assert!(store.put_subscription(None, &record).await.unwrap());
    }
    for reset in [false, true] {
        let number = |number: u64| AttributeValue::N(number.to_string());
        server
            .put(
                [
                    ("leaseKey".to_owned(), AttributeValue::S(SHARD.into())),
                    ("leaseCounter".to_owned(), number(8)),
                    ("checkpoint".to_owned(), AttributeValue::S("7".into())),
                    ("checkpointSubSequenceNumber".to_owned(), number(0)),
                    ("ownerSwitchesSinceCheckpoint".to_owned(), number(0)),
                ]
                .into(),
            )
            .await;
        let seen = row(&*store).await;
        assert_eq!((seen.inherited, seen.cursors.len()), (Some(after(7)), 0));
        if reset {
            assert!(store.reset(&seen, &progress(&[("audit", 1, 3)])).await.unwrap());
        } else {
            let mut held = store.claim(&seen, &"us".into()).await.unwrap().unwrap();
            store.advance(&mut held, None).await.unwrap();
            let nothing = Progress::default().with_children(["child".into()]);
            store.advance(&mut held, Some(&nothing)).await.unwrap();
            assert_eq!(row(&*store).await.inherited, Some(after(7)), "without a cursor there is nothing to end it");
            store.advance(&mut held, Some(&progress(&[("audit", 1, 9)]))).await.unwrap();
        }
        let now = row(&*store).await;
        let audit = if reset { 3 } else { 9 };
        let wanted = progress(&[("audit", 1, audit), ("billing", 1, 7)]);
        assert_eq!((now.cursors, now.inherited), (wanted.cursors, None));
    }
}

/// A leader of the KCL 3.x names another owner and leaves the counter: what we store from then on is no longer ours to store.
#[tokio::test]
async fn a_leader_that_hands_our_lease_over_fences_us() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    let mut held = store.claim(&row(&*store).await, &"us".into()).await.unwrap().unwrap();
    let text = |text: &str| AttributeValue::S(text.into());
    let call = server.client().update_item().table_name(&server.table).key("leaseKey", text(SHARD));
    let call = call.update_expression("SET leaseOwner = :new, checkpointOwner = :old");
    call.expression_attribute_values(":new", text("kcl"))
        .expression_attribute_values(":old", text("us"))
        .send()
        .await
        .unwrap();
    let before = server.item(SHARD).await;
    for progress in [None, Some(&progress(&[("audit", 1, 6)]))] {
        assert_eq!(store.advance(&mut held, progress).await.unwrap_err().kind(), ErrorKind::LeaseLost);
    }
    assert_eq!(server.item(SHARD).await, before);
}

/// Many workers take leases of a table that a KCL application wrote, while one of its workers takes them back.
#[tokio::test]
async fn a_lease_has_one_owner_whoever_takes_it() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    store.create(&Lease::new(&orders(), &Shard::new(SHARD))).await.unwrap();
    for round in 0..50 {
        let seen = row(&*store).await;
        let mut kcl = KclWorker::look(&server).await;
        let (us, me) = (std::sync::Arc::clone(&store), format!("us-{round}"));
        let (ours, theirs) =
            tokio::join!(async { us.claim(&seen, &me.as_str().into()).await.unwrap() }, async { kcl.take().await });
        assert_ne!(ours.is_some(), theirs, "round {round}");
        let owner = row(&*store).await.owner.unwrap();
        assert_eq!(&*owner, if theirs { "kcl" } else { &*me }, "round {round}");
    }
}
