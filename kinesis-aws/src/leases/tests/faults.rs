//! Replies that are lost, calls that come late, and what is refused: who is told what, and that nothing is written twice.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use kinesis_core::lease::{Cursor, CursorPosition, HeldLease, Progress, SubscriptionRecord};
use kinesis_core::{ErrorKind, Lease, LeaseStore, SequenceNumber, Shard, ShardKey, StartPosition};

use super::rig::{Fault, Server, orders};
use crate::tests::SECRET;
use crate::{CreateTable, DynamoLeaseStore};

fn after(n: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
}

fn progress(n: u64) -> Progress {
    Progress::new([("audit".into(), Cursor::new(1, after(n)))])
}

fn key() -> ShardKey {
    ShardKey::new(&orders(), &"shardId-000000000000".into())
}

async fn row(store: &DynamoLeaseStore) -> Lease {
    store.get(&key()).await.unwrap().unwrap()
}

async fn held(store: &DynamoLeaseStore) -> HeldLease {
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    store.claim(&row(store).await, &"me".into()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_our_own() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    for (round, fault) in [Fault::LoseReply, Fault::LoseRequest, Fault::LoseReply].into_iter().enumerate() {
        let n = round as u64 * 2 + 1;
        server.wire.fail("UpdateItem", [fault]);
        let error = store.advance(&mut held, Some(&progress(n))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        store.advance(&mut held, Some(&progress(n + 1))).await.unwrap();
        let now = row(&store).await;
        assert_eq!(now, *held.lease());
        assert_eq!(now.checkpoint(), Some(after(n + 1)));
    }
    server.wire.fail("UpdateItem", [Fault::LoseReply]);
    assert!(store.release(&mut held, Some(progress(9)), None).await.is_err());
    let now = row(&store).await;
    assert_eq!((now.owner.clone(), now.checkpoint()), (None, Some(after(9))));
    store.release(&mut held, Some(progress(9)), None).await.unwrap();
    assert_eq!(row(&store).await, now, "it was let go already");
    let error = store.release(&mut held, Some(progress(9)), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);

    // A claim whose answer was lost is found in the row, and taken anew.
    server.wire.fail("UpdateItem", [Fault::LoseReply]);
    assert!(store.claim(&now, &"me".into()).await.is_err());
    let seen = row(&store).await;
    assert_eq!(seen.owner, Some("me".into()));
    let mut held = store.claim(&seen, &"me".into()).await.unwrap().unwrap();
    store.advance(&mut held, None).await.unwrap();
    assert!(server.wire.is_done());
}

/// The SDK makes a call again whose answer was lost, and is told that the condition does not hold.
#[tokio::test]
async fn a_client_that_retries_by_itself_does_no_harm() {
    let server = Server::start().await;
    drop(server.one_stream().await);
    let client = server.client();
    let store = DynamoLeaseStore::builder(&*server.table).client(client).stream(&orders()).connect().await.unwrap();
    store.create(&Lease::new(&orders(), &Shard::new("shardId-000000000000"))).await.unwrap();
    server.wire.fail("UpdateItem", [Fault::LoseReply]);
    let mut held = store.claim(&row(&store).await, &"me".into()).await.unwrap().unwrap();
    server.wire.fail("UpdateItem", [Fault::LoseReply]);
    store.advance(&mut held, Some(&progress(5))).await.unwrap();
    assert_eq!(row(&store).await, *held.lease());
    store.advance(&mut held, None).await.unwrap();
    server.wire.fail("UpdateItem", [Fault::LoseReply]);
    assert!(store.reset(&row(&store).await, &progress(3)).await.unwrap());
    assert_eq!(row(&store).await.checkpoint(), Some(after(3)));
    let record = SubscriptionRecord::new(&orders(), "audit".into(), StartPosition::TrimHorizon, []);
    server.wire.fail("PutItem", [Fault::LoseReply]);
    assert!(store.put_subscription(None, &record).await.unwrap());
    assert!(!store.put_subscription(None, &record).await.unwrap());
    assert!(server.wire.is_done());
}

#[tokio::test]
async fn a_lost_answer_is_no_claim_to_what_somebody_else_took_since() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    server.wire.fail("UpdateItem", [Fault::LoseReply]);
    assert!(store.advance(&mut held, Some(&progress(1))).await.is_err());
    for thief in ["other", "me"] {
        let stolen = store.claim(&row(&store).await, &thief.into()).await.unwrap().unwrap();
        let error = store.advance(&mut held, Some(&progress(2))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error}");
        assert_eq!(row(&store).await, *stolen.lease());
    }
}

/// A call that was given up reaches the table later, behind those that came after it.
#[tokio::test]
async fn a_write_that_comes_late_changes_nothing() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    server.wire.fail("UpdateItem", [Fault::Late(Duration::from_millis(300))]);
    let given_up = tokio::time::timeout(Duration::from_millis(50), store.advance(&mut held, Some(&progress(1)))).await;
    assert!(given_up.is_err());
    store.advance(&mut held, Some(&progress(2))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(row(&store).await, *held.lease());
}

#[tokio::test]
async fn what_a_refusal_means_is_said() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    let throttled = ErrorKind::Throttled { retry_after: None };
    for (code, kind) in [
        ("ProvisionedThroughputExceededException", throttled),
        ("ThrottlingException", throttled),
        ("RequestLimitExceeded", throttled),
        ("InternalServerError", ErrorKind::Transient),
        ("AccessDeniedException", ErrorKind::Denied),
        ("UnrecognizedClientException", ErrorKind::Denied),
        ("ResourceNotFoundException", ErrorKind::NotFound),
        ("ValidationException", ErrorKind::Invalid),
    ] {
        for operation in ["UpdateItem", "GetItem", "Scan", "Query", "PutItem", "DeleteItem"] {
            server.wire.fail(operation, [Fault::Refuse(code)]);
            let record = SubscriptionRecord::new(&orders(), "audit".into(), StartPosition::TrimHorizon, []);
            let error = match operation {
                "UpdateItem" => store.advance(&mut held, None).await.map(drop),
                "GetItem" => store.get(&key()).await.map(drop),
                "Scan" => store.list().await.map(drop),
                "Query" => store.subscriptions().await.map(drop),
                "PutItem" => store.put_subscription(None, &record).await.map(drop),
                _ => store.remove(held.lease()).await.map(drop),
            };
            let error = error.unwrap_err();
            assert_eq!(error.kind(), kind, "{operation} {code}: {error}");
            let text = error.to_string();
            assert!(text.contains(operation) && text.contains(&server.table) && text.contains(code), "{text}");
            assert!(!error.chain().contains(SECRET) && !format!("{error:?}").contains(SECRET), "{error:?}");
        }
    }
    store.advance(&mut held, Some(&progress(5))).await.unwrap();
    assert!(server.wire.is_done());
    assert!(!format!("{store:?}").contains(SECRET));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    server.wire.fail("UpdateItem", [Fault::Late(Duration::from_secs(60))]);
    let started = tokio::time::Instant::now();
    let error = store.advance(&mut held, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    store.advance(&mut held, None).await.unwrap();
}

#[tokio::test]
async fn a_missing_table_is_named_with_the_way_out() {
    let server = Server::start().await;
    let never = || server.builder().create_table(CreateTable::Never).stream(&orders());
    let error = never().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for part in [&*server.table, "eu-central-1", "CreateTable::IfMissing"] {
        assert!(error.message().contains(part), "{error}");
    }
    let store = server.one_stream().await;
    held(&store).await;
    let again = never().connect().await.unwrap();
    assert_eq!(again.list().await.unwrap(), store.list().await.unwrap());
    let call = server.client().delete_table().table_name(format!("{}-subscriptions", server.table));
    call.send().await.unwrap();
    let error = never().connect().await.unwrap_err();
    assert!(error.message().contains(&format!("{}-subscriptions", server.table)), "{error}");
    // Asked for again, the one that is missing is created, and the other stays.
    assert_eq!(server.one_stream().await.list().await.unwrap(), store.list().await.unwrap());
}

#[tokio::test]
async fn a_table_of_something_else_is_refused() {
    let text = |name: &str, kind: ScalarAttributeType| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let key =
        |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    for (hash, kind, range) in [
        ("id", ScalarAttributeType::S, None),
        ("leaseKey", ScalarAttributeType::N, None),
        ("leaseKey", ScalarAttributeType::S, Some("other")),
    ] {
        let server = Server::start().await;
        let mut call =
            server.client().create_table().table_name(&server.table).billing_mode(BillingMode::PayPerRequest);
        call = call.attribute_definitions(text(hash, kind)).key_schema(key(hash, KeyType::Hash));
        if let Some(range) = range {
            call =
                call.attribute_definitions(text(range, ScalarAttributeType::S)).key_schema(key(range, KeyType::Range));
        }
        call.send().await.unwrap();
        let error = server.builder().stream(&orders()).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(&server.table) && error.message().contains("leaseKey (S)"), "{error}");
    }
}

#[tokio::test]
async fn a_start_that_cannot_succeed_says_why() {
    let server = Server::start().await;
    let error = server.builder().connect().await.unwrap_err();
    assert!(error.message().contains("stream(source.stream())"), "{error}");
    let error = server.builder().stream(&orders()).stream(&orders()).connect().await.unwrap_err();
    assert!(error.message().contains("multi_stream(true)"), "{error}");
    for (operation, code, kind) in [
        ("DescribeTable", "AccessDeniedException", ErrorKind::Denied),
        ("CreateTable", "AccessDeniedException", ErrorKind::Denied),
        ("CreateTable", "LimitExceededException", ErrorKind::Throttled { retry_after: None }),
    ] {
        server.wire.fail(operation, [Fault::Refuse(code)]);
        let error = server.builder().stream(&orders()).connect().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(&server.table) && error.message().contains(operation), "{error}");
    }
    server.wire.fail("DescribeTable", [Fault::LoseRequest]);
    let error = server.builder().stream(&orders()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.message().contains("check the network"), "{error}");
    // Two workers create the table at once: the slower one waits for it.
    server.wire.fail("CreateTable", [Fault::Refuse("ResourceInUseException")]);
    let (slow, fast) = tokio::join!(server.builder().stream(&orders()).connect(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.builder().stream(&orders()).connect().await
    });
    assert_eq!((slow.unwrap().table(), fast.unwrap().table()), (&*server.table, &*server.table));
}

#[tokio::test]
async fn a_configuration_that_lacks_something_is_told_what() {
    let server = Server::start().await;
    let start = |config: SdkConfig| server.builder().config(&config).stream(&orders()).connect();
    let error = start(server.config.to_builder().region(None).build()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("AWS_REGION"), "{error}");
    let mut nobody = server.config.to_builder();
    nobody.set_credentials_provider(None);
    let error = start(nobody.build()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("AWS_ACCESS_KEY_ID") && error.message().contains(&server.table), "{error}");
    let nowhere = server.config.to_builder().endpoint_url("http://127.0.0.1:1").build();
    let error = start(nowhere.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    // The builder's endpoint goes before that of the configuration.
    let endpoint = server.config.endpoint_url().unwrap();
    server.builder().config(&nowhere).endpoint(endpoint).stream(&orders()).connect().await.unwrap();
}

#[tokio::test]
async fn cursors_that_somebody_deleted_are_missed() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut held = held(&store).await;
    let many = (0..600).map(|name| (format!("subscription-{name}").into(), Cursor::new(1, after(name))));
    store.advance(&mut held, Some(&Progress::new(many))).await.unwrap();
    let second = format!("{}-subscriptions", server.table);
    let items = server.client().scan().table_name(&second).send().await.unwrap().items.unwrap_or_default();
    for item in items {
        let (kind, name) = (item["kind"].clone(), item["name"].clone());
        let call = server.client().delete_item().table_name(&second).key("kind", kind).key("name", name);
        call.send().await.unwrap();
    }
    let error = store.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains(&second), "{error}");
    // The way out that the message names.
    let call = server.client().update_item().table_name(&server.table);
    let call = call.key("leaseKey", AttributeValue::S("shardId-000000000000".into()));
    call.update_expression("REMOVE cursors").send().await.unwrap();
    assert_eq!(row(&store).await.inherited, Some(after(0)));
}
