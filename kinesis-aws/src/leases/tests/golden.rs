//! Items written by hand, to the letter of the KCL's table: they are read, and what is written has their names and types.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{Cursor, CursorPosition, Progress};
use kinesis_core::{
    ErrorKind, HashKey, HashRange, Lease, LeaseStore, SequenceNumber, Shard, ShardKey, StartPosition, StreamId,
    SubscriptionRecord,
};

use super::rig::{Server, orders};
use crate::leases::item::Item;

const NUMBER: &str = "49590338271490256608559692538361571095921575989136588898";
const HALF: &str = "170141183460469231731687303715884105727";
const LAST: &str = "340282366920938463463374607431768211455";

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(text.into())
}

fn ss(texts: &[&str]) -> AttributeValue {
    AttributeValue::Ss(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn item(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A lease of a KCL 2.x application over one stream, held, with a checkpoint inside an aggregate and another one prepared.
fn single_2x() -> Item {
    item(&[
        ("leaseKey", s("shardId-000000000002")),
        ("leaseOwner", s("ip-10-0-0-7:0c3c8e5a")),
        ("leaseCounter", n("42")),
        ("checkpoint", s(NUMBER)),
        ("checkpointSubSequenceNumber", n("3")),
        ("ownerSwitchesSinceCheckpoint", n("1")),
        ("parentShardId", ss(&["shardId-000000000000", "shardId-000000000001"])),
        ("startingHashKey", s("0")),
        ("endingHashKey", s(HALF)),
        ("pendingCheckpoint", s(NUMBER)),
        ("pendingCheckpointSubSequenceNumber", n("7")),
        ("pendingCheckpointState", AttributeValue::B(Blob::new(*b"opaque"))),
    ])
}

/// The same of KCL 3.5, ended and unowned.
fn single_3x() -> Item {
    item(&[
        ("leaseKey", s("shardId-000000000000")),
        ("leaseCounter", n("7")),
        ("checkpoint", s("SHARD_END")),
        ("checkpointSubSequenceNumber", n("0")),
        ("ownerSwitchesSinceCheckpoint", n("0")),
        ("childShardIds", ss(&["shardId-000000000002"])),
        ("startingHashKey", s("0")),
        ("endingHashKey", s(LAST)),
        ("throughputKBps", n("12.345678")),
        ("checkpointOwner", s("ip-10-0-0-8:gone")),
        ("entityType", s("LEASE")),
        ("pendingCheckpointState", n("0")),
    ])
}

fn multi(extra: &[(&str, AttributeValue)]) -> Item {
    let mut lease = item(&[
        ("leaseKey", s("111122223333:orders:1700000000:shardId-000000000000")),
        ("streamName", s("111122223333:orders:1700000000")),
        ("shardId", s("shardId-000000000000")),
        ("leaseCounter", n("0")),
        ("checkpoint", s("TRIM_HORIZON")),
        ("checkpointSubSequenceNumber", n("0")),
        ("ownerSwitchesSinceCheckpoint", n("0")),
        ("startingHashKey", s("0")),
        ("endingHashKey", s(LAST)),
    ]);
    lease.extend(item(extra));
    lease
}

/// What stands in the one table of KCL 3.5 beside its leases.
fn others() -> Vec<Item> {
    vec![
        item(&[("leaseKey", s("ip-10-0-0-7:0c3c8e5a")), ("entityType", s("WORKER_METRIC_STATS")), ("lut", n("1"))]),
        item(&[("leaseKey", s("Leader")), ("entityType", s("LEADER")), ("leaseDuration", s("120000"))]),
        item(&[("leaseKey", s("Migration3.0")), ("entityType", s("CLIENT_VERSION_MIGRATION")), ("cv", s("x"))]),
        item(&[
            ("leaseKey", s("orders")),
            ("entityType", s("STREAM")),
            ("checkpoint", s("LATEST")),
            ("leaseCounter", n("1")),
        ]),
        item(&[("leaseKey", s("of somebody else")), ("value", n("5"))]),
        item(&[("leaseKey", s("1")), ("leaseCounter", n("9223372036854775807")), ("checkpoint", s("LATEST"))]),
        item(&[
            ("leaseKey", s("2")),
            ("leaseCounter", n("1")),
            ("checkpoint", s("7")),
            ("checkpointSubSequenceNumber", n("-1")),
        ]),
        item(&[("leaseKey", s("shardId-of-no-kcl")), ("leaseCounter", n("1")), ("checkpoint", s("somewhere"))]),
    ]
}

fn types(item: &Item) -> BTreeMap<&str, &'static str> {
    let kind = |value: &AttributeValue| match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::B(_) => "B",
        AttributeValue::Ss(_) => "SS",
        _ => "something else",
    };
    item.iter().map(|(name, value)| (&**name, kind(value))).collect()
}

fn at(n: &str, sub: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(n.parse::<SequenceNumber>().unwrap().with_sub(sub)))
}

fn key(shard: &str) -> ShardKey {
    ShardKey::new(&orders(), &shard.into())
}

#[tokio::test]
async fn leases_of_the_kcl_are_read() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    server.put(single_2x()).await;
    server.put(single_3x()).await;
    let lease = store.get(&key("shardId-000000000002")).await.unwrap().unwrap();
    assert_eq!(lease.owner, Some("ip-10-0-0-7:0c3c8e5a".into()));
    assert_eq!((lease.counter, lease.nonce, lease.wanted_by.clone()), (42, None, None));
    assert_eq!(lease.parents, ["shardId-000000000000".into(), "shardId-000000000001".into()].into());
    assert!(lease.children.is_empty() && lease.cursors.is_empty());
    assert_eq!(lease.hash_range, Some(HashRange { start: HashKey::MIN, end: HALF.parse().unwrap() }));
    assert_eq!((lease.inherited, lease.checkpoint()), (Some(at(NUMBER, 3)), Some(at(NUMBER, 3))));
    let ended = store.get(&key("shardId-000000000000")).await.unwrap().unwrap();
    assert_eq!((ended.owner, ended.inherited), (None, Some(CursorPosition::End)));
    assert_eq!(ended.children, ["shardId-000000000002".into()].into());
}

#[tokio::test]
async fn a_checkpoint_that_is_a_wish_is_no_place() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    for (word, inherited) in [
        ("AT_TIMESTAMP", None),
        ("LATEST", None),
        ("TRIM_HORIZON", Some(CursorPosition::Next(StartPosition::TrimHorizon))),
    ] {
        let mut lease = single_3x();
        lease.insert("checkpoint".into(), s(word));
        server.put(lease).await;
        assert_eq!(store.list().await.unwrap()[0].inherited, inherited, "{word}");
    }
}

/// A page of DynamoDB ends at a megabyte.
#[tokio::test]
async fn what_does_not_fit_into_a_page_is_read_whole() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let shards: Vec<String> = (0..15).map(|nth| format!("shardId-{nth:012}")).collect();
    for shard in &shards {
        let mut lease = single_2x();
        lease.extend(item(&[("leaseKey", s(shard)), ("large", s(&"x".repeat(200_000)))]));
        server.put(lease).await;
    }
    let many = (0..8_000).map(|nth| format!("shardId-{nth:012}").into()).collect::<Vec<_>>();
    for shard in &shards {
        let record =
            SubscriptionRecord::new(&orders(), shard.as_str().into(), StartPosition::TrimHorizon, many.clone());
        assert!(store.put_subscription(None, &record).await.unwrap());
    }
    server.consumed.take();
    let mut listed: Vec<String> = store.list().await.unwrap().iter().map(|lease| lease.key.shard.to_string()).collect();
    listed.sort();
    assert_eq!(listed, shards);
    assert!(server.consumed.take().0 >= 3, "they came in one page");
    let names: Vec<String> =
        store.subscriptions().await.unwrap().iter().map(|record| record.name.to_string()).collect();
    assert_eq!(names, shards);
    assert!(server.consumed.take().0 >= 3, "they came in one page");
}

/// The KCL refuses to read a lease whose range is not a range.
#[tokio::test]
async fn a_shard_of_a_single_key_has_no_range_to_the_kcl() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let range = HashRange { start: HashKey::MAX, end: HashKey::MAX };
    store.create(&Lease::new(&orders(), &Shard::new("0").with_hash_range(range))).await.unwrap();
    let written = server.item("0").await;
    assert!(!written.contains_key("startingHashKey") && !written.contains_key("endingHashKey"), "{written:?}");
}

#[tokio::test]
async fn a_lease_of_many_streams_is_read_with_its_stream() {
    let server = Server::start().await;
    let store = server.many_streams().await;
    server.put(multi(&[("entityType", s("LEASE"))])).await;
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let stream = StreamId::new("orders").with_account("111122223333").with_created_at(created);
    let listed = store.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key, ShardKey::new(&stream, &"shardId-000000000000".into()));
    assert_eq!(listed[0].inherited, Some(CursorPosition::Next(StartPosition::TrimHorizon)));
}

#[tokio::test]
async fn what_is_no_lease_is_left_alone() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    for other in others() {
        server.put(other).await;
    }
    server.put(single_2x()).await;
    let listed = store.list().await.unwrap();
    assert_eq!(listed.iter().map(|lease| &*lease.key.shard).collect::<Vec<_>>(), ["shardId-000000000002"]);
    let row = Lease::new(&orders(), &Shard::new("shardId-of-no-kcl"));
    assert!(!store.create(&row).await.unwrap());
    assert!(store.claim(&row, &"me".into()).await.unwrap().is_none());
    assert!(!store.remove(&row).await.unwrap());
    let error = store.get(&row.key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("shardId-of-no-kcl") && error.message().contains(&server.table), "{error}");
    for other in others() {
        let AttributeValue::S(key) = &other["leaseKey"] else { panic!("a key is a text") };
        assert_eq!(server.item(key).await, other);
    }
}

#[tokio::test]
async fn what_is_written_has_the_names_and_types_of_the_kcl() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let range = HashRange { start: HashKey::MIN, end: HALF.parse().unwrap() };
    let shard = Shard::new("shardId-000000000002").with_hash_range(range);
    let shard = shard.with_parents(["shardId-000000000000".into(), "shardId-000000000001".into()]);
    let row = Lease::new(&orders(), &shard);
    assert!(store.create(&row).await.unwrap());
    let mut golden = single_2x();
    golden.retain(|name, _| !name.starts_with("pending") && name != "leaseOwner");
    golden.extend(item(&[("cursors", AttributeValue::B(Blob::new([]))), ("ofStream", s(":orders:"))]));
    let written = server.item("shardId-000000000002").await;
    assert_eq!(types(&written), types(&golden));
    assert_eq!((&written["leaseCounter"], &written["checkpoint"]), (&n("0"), &s("TRIM_HORIZON")));

    let mut held = store.claim(&row, &"me".into()).await.unwrap().unwrap();
    let progress = Progress::new([("audit".into(), Cursor::new(1, at(NUMBER, 3)))]);
    let progress = progress.with_children(["shardId-000000000004".into()]);
    store.advance(&mut held, Some(&progress)).await.unwrap();
    golden.extend(item(&[("leaseOwner", s("me")), ("nonce", n("1")), ("childShardIds", ss(&["x"]))]));
    let written = server.item("shardId-000000000002").await;
    assert_eq!(types(&written), types(&golden));
    for name in ["checkpoint", "checkpointSubSequenceNumber", "parentShardId", "startingHashKey", "endingHashKey"] {
        assert_eq!(written[name], golden[name], "{name}");
    }
    assert_eq!(written["ownerSwitchesSinceCheckpoint"], n("0"));
    store.release(&mut held, None, None).await.unwrap();
    golden.retain(|name, _| name != "leaseOwner" && name != "nonce");
    assert_eq!(types(&server.item("shardId-000000000002").await), types(&golden));

    let server = Server::start().await;
    let store = server.many_streams().await;
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let stream = StreamId::new("orders").with_account("111122223333").with_created_at(created);
    let shard = Shard::new("shardId-000000000000").with_hash_range(HashRange::FULL);
    store.create(&Lease::new(&stream, &shard)).await.unwrap();
    let mut written = server.item("111122223333:orders:1700000000:shardId-000000000000").await;
    assert!(written.remove("cursors").is_some());
    assert_eq!(written, multi(&[]));
}

#[tokio::test]
async fn attributes_of_others_survive_every_write() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut foreign = single_3x();
    foreign.extend(item(&[("checkpoint", s("TRIM_HORIZON")), ("of.a newer:KCL", ss(&["a", "b"]))]));
    foreign.remove("pendingCheckpointState");
    server.put(foreign.clone()).await;
    let seen = store.get(&key("shardId-000000000000")).await.unwrap().unwrap();
    let mut held = store.claim(&seen, &"me".into()).await.unwrap().unwrap();
    store.advance(&mut held, Some(&Progress::new([("audit".into(), Cursor::new(1, at("7", 0)))]))).await.unwrap();
    store.release(&mut held, None, None).await.unwrap();
    let seen = store.get(&key("shardId-000000000000")).await.unwrap().unwrap();
    assert!(store.reset(&seen, &Progress::new([("audit".into(), Cursor::new(1, at("3", 0)))])).await.unwrap());
    let now = server.item("shardId-000000000000").await;
    let ours = ["leaseCounter", "checkpoint", "checkpointOwner"];
    for (name, value) in foreign.iter().filter(|(name, _)| !ours.contains(&&***name)) {
        assert_eq!(now.get(name), Some(value), "{name}");
    }
    assert!(!now.contains_key("checkpointOwner"), "a claim ends the hand-over of somebody who is gone");
}

#[tokio::test]
async fn a_prepared_checkpoint_goes_with_a_checkpoint_and_stays_with_a_renewal() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    for state in [AttributeValue::B(Blob::new(*b"opaque")), n("7")] {
        let mut prepared = single_2x();
        prepared.insert("pendingCheckpointState".into(), state.clone());
        server.put(prepared).await;
        let seen = store.get(&key("shardId-000000000002")).await.unwrap().unwrap();
        let mut held = store.claim(&seen, &"me".into()).await.unwrap().unwrap();
        store.advance(&mut held, None).await.unwrap();
        let now = server.item("shardId-000000000002").await;
        assert_eq!((&now["pendingCheckpointState"], &now["pendingCheckpoint"]), (&state, &s(NUMBER)));
        assert_eq!(now["ownerSwitchesSinceCheckpoint"], n("2"));
        store.advance(&mut held, Some(&Progress::new([("a".into(), Cursor::new(1, at(NUMBER, 9)))]))).await.unwrap();
        let now = server.item("shardId-000000000002").await;
        assert!(now.keys().all(|name| !name.starts_with("pending")), "{now:?}");
        assert_eq!(now["ownerSwitchesSinceCheckpoint"], n("0"));
    }
}

#[tokio::test]
async fn a_table_of_the_other_kind_is_refused() {
    let server = Server::start().await;
    let (one, many) = (server.one_stream().await, server.many_streams().await);
    server.put(single_2x()).await;
    let error = many.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("without multi_stream"), "{error}");
    let server = Server::start().await;
    let store = server.one_stream().await;
    server.put(multi(&[])).await;
    let error = store.list().await.unwrap_err();
    assert!(error.message().contains("with multi_stream(true)"), "{error}");
    let other = ShardKey::new(&StreamId::new("other"), &"0".into());
    assert_eq!(one.get(&other).await.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A stream that was created anew has shards of the same ids: with the old leases it would count as read.
#[tokio::test]
async fn leases_of_the_stream_that_was_before_are_refused() {
    let server = Server::start().await;
    let stream = |second| orders().with_created_at(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    let store = server.builder().stream(&stream(1_700_000_000)).connect().await.unwrap();
    let row = Lease::new(&stream(1_700_000_000), &Shard::new("shardId-000000000000"));
    store.create(&row).await.unwrap();
    server.put(single_2x()).await;
    let seen =
        store.get(&ShardKey::new(&stream(1_700_000_000), &"shardId-000000000002".into())).await.unwrap().unwrap();
    store.claim(&seen, &"me".into()).await.unwrap().unwrap();
    let anew = server.builder().stream(&stream(1_800_000_000)).connect().await.unwrap();
    for shard in ["shardId-000000000000", "shardId-000000000002"] {
        let error = anew.get(&ShardKey::new(&stream(1_800_000_000), &shard.into())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("created anew"), "{error}");
    }
    assert!(anew.list().await.is_err());
}

#[tokio::test]
async fn cursors_of_a_newer_version_are_not_touched() {
    let server = Server::start().await;
    let store = server.one_stream().await;
    let mut newer = single_2x();
    newer.insert("cursors".into(), AttributeValue::B(Blob::new([9, 9, 9])));
    server.put(newer.clone()).await;
    let error = store.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("newer version"), "{error}");
    assert_eq!(server.item("shardId-000000000002").await, newer);
}
