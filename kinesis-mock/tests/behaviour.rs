//! What a consumer depends on and what emulators get wrong, row by row, with the real SDK through a socket.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, ShardFilter, ShardFilterType, ShardIteratorType as From, StartingPosition,
    SubscribeToShardEventStream,
};
use kinesis_mock::{Account, MemoryStream, ReadLimits, Server, WriteLimits};

use tokio::time::Instant;

use common::{code, sdk};

const FIRST: &str = "shardId-000000000000";

/// A server with one stream of so many shards.
async fn served(shards: usize) -> (Server, MemoryStream, Client) {
    let account = Account::new();
    let stream = account.create("orders", shards);
    let server = Server::start(&account).await.unwrap();
    let client = sdk(&server.endpoint());
    (server, stream, client)
}

async fn iterator(client: &Client, from: From) -> String {
    let request = client.get_shard_iterator().stream_name("orders").shard_id(FIRST).shard_iterator_type(from);
    request.send().await.unwrap().shard_iterator.unwrap()
}

async fn read(client: &Client, iterator: &str, limit: i32) -> GetRecordsOutput {
    client.get_records().shard_iterator(iterator).limit(limit).send().await.unwrap()
}

fn entry(data: &str) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key("key").data(Blob::new(data)).build().unwrap()
}

#[tokio::test]
async fn streams_are_created_and_the_codes_of_duplicates_and_missing_ones_are_right() {
    let server = Server::start(&Account::new()).await.unwrap();
    let client = sdk(&server.endpoint());
    let create = || client.create_stream().stream_name("orders").shard_count(1).send();
    create().await.unwrap();
    assert_eq!(code(create().await), "ResourceInUseException");
    let put = |name: &str| client.put_records().stream_name(name).records(entry("0")).records(entry("1")).send();
    let records = put("orders").await.unwrap().records;
    assert!(records[0].sequence_number() < records[1].sequence_number());
    assert_eq!(code(put("odors").await), "ResourceNotFoundException");
}

#[tokio::test]
async fn shards_are_listed_by_pages_of_token_alone_and_by_filters() {
    let (_server, stream, client) = served(3).await;
    let first = client.list_shards().stream_name("orders").max_results(2).send().await.unwrap();
    assert_eq!(first.shards().len(), 2);
    let token = first.next_token().unwrap();
    let rest = client.list_shards().next_token(token).send().await.unwrap();
    assert_eq!((rest.shards().len(), rest.next_token()), (1, None));
    let both = client.list_shards().next_token(token).stream_name("orders").send().await;
    assert_eq!(code(both), "InvalidArgumentException");
    stream.split(&stream.shards()[0].id).unwrap();
    let filtered = async |r#type, id: Option<&str>| {
        let filter = ShardFilter::builder().r#type(r#type).set_shard_id(id.map(str::to_owned)).build().unwrap();
        client.list_shards().stream_name("orders").shard_filter(filter).send().await.unwrap().shards().len()
    };
    assert_eq!(filtered(ShardFilterType::AtLatest, None).await, 4);
    assert_eq!(filtered(ShardFilterType::FromTrimHorizon, None).await, 5);
    assert_eq!(filtered(ShardFilterType::AfterShardId, Some("shardId-000000000002")).await, 2);
}

#[tokio::test]
async fn every_iterator_starts_where_it_says() {
    let (_server, stream, client) = served(1).await;
    let numbers: Vec<String> =
        ["0", "1", "2"].into_iter().map(|text| stream.put("key", text).unwrap().1.to_string()).collect();
    let from = async |from: From, number: Option<&String>, time: Option<DateTime>| {
        let request = client.get_shard_iterator().stream_name("orders").shard_id(FIRST).shard_iterator_type(from);
        let iterator = request.set_starting_sequence_number(number.cloned()).set_timestamp(time).send().await?;
        Ok::<_, aws_sdk_kinesis::Error>(read(&client, iterator.shard_iterator().unwrap(), 10).await.records.len())
    };
    assert_eq!(from(From::TrimHorizon, None, None).await.unwrap(), 3);
    assert_eq!(from(From::Latest, None, None).await.unwrap(), 0);
    assert_eq!(from(From::AtSequenceNumber, Some(&numbers[1]), None).await.unwrap(), 2);
    assert_eq!(from(From::AfterSequenceNumber, Some(&numbers[1]), None).await.unwrap(), 1);
    let now = DateTime::from(stream.now()).secs();
    assert_eq!(from(From::AtTimestamp, None, Some(DateTime::from_secs(now - 60))).await.unwrap(), 3);
    let future = from(From::AtTimestamp, None, Some(DateTime::from_secs(now + 3600))).await;
    assert!(matches!(future, Err(aws_sdk_kinesis::Error::InvalidArgumentException(_))));
}

#[tokio::test]
async fn whoever_is_behind_is_told_and_a_closed_shard_ends_with_its_children() {
    let (_server, stream, client) = served(1).await;
    stream.put_all([("key", "0"), ("key", "1")]).unwrap();
    stream.split(&stream.shards()[0].id).unwrap();
    let first = read(&client, &iterator(&client, From::TrimHorizon).await, 1).await;
    assert!(first.millis_behind_latest.unwrap() > 0 && first.child_shards.is_none());
    let last = read(&client, first.next_shard_iterator().unwrap(), 1).await;
    assert_eq!((last.millis_behind_latest, last.next_shard_iterator()), (Some(0), None));
    assert_eq!(last.child_shards().len(), 2);
}

#[tokio::test]
async fn shards_split_merge_and_scale() {
    let (_server, stream, client) = served(1).await;
    let middle = (1u128 << 127).to_string();
    let split = client.split_shard().stream_name("orders").shard_to_split(FIRST).new_starting_hash_key(middle);
    split.send().await.unwrap();
    let ids: Vec<String> = stream.shards().iter().map(|shard| shard.id.to_string()).collect();
    let merge = client.merge_shards().stream_name("orders").shard_to_merge(&ids[1]).adjacent_shard_to_merge(&ids[2]);
    merge.send().await.unwrap();
    let scale = client.update_shard_count().stream_name("orders").target_shard_count(2);
    scale.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
    assert_eq!(stream.shards().iter().filter(|shard| !shard.closed).count(), 2);
}

#[tokio::test]
async fn a_subscription_pushes_ends_with_children_and_keeps_a_second_away() {
    let (_server, stream, client) = served(1).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    let consumer = client.register_stream_consumer().stream_arn(arn).consumer_name("app").send().await.unwrap();
    let subscribe = || {
        let position = StartingPosition::builder().r#type(From::TrimHorizon).build().unwrap();
        let request = client.subscribe_to_shard().consumer_arn(consumer.consumer().unwrap().consumer_arn());
        request.shard_id(FIRST).starting_position(position).send()
    };
    let mut subscription = subscribe().await.unwrap();
    assert_eq!(code(subscribe().await), "ResourceInUseException");
    stream.put("key", "0").unwrap();
    let mut records = 0;
    let mut children = 0;
    while let Some(event) = subscription.event_stream.recv().await.unwrap() {
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { panic!("{event:?}") };
        records += event.records.len();
        children += event.child_shards().len();
        if children == 0 {
            stream.split(&stream.shards()[0].id).unwrap();
        }
    }
    assert_eq!((records, children), (1, 2));
}

#[tokio::test]
async fn bad_iterators_limits_and_records_are_refused() {
    let account = Account::new();
    account.add(&MemoryStream::builder("orders").iterator_expiry(Duration::from_millis(50)).build());
    let server = Server::start(&account).await.unwrap();
    let client = sdk(&server.endpoint());
    let get = |iterator: &str, limit| client.get_records().shard_iterator(iterator).limit(limit).send();
    assert_eq!(code(get("rubbish", 1).await), "InvalidArgumentException");
    let iterator = iterator(&client, From::Latest).await;
    assert_eq!(code(get(&iterator, 10_001).await), "ValidationException");
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(code(get(&iterator, 1).await), "ExpiredIteratorException");
    let large = Blob::new(vec![0; (1 << 20) + 1]);
    let put = client.put_record().stream_name("orders").partition_key("key").data(large).send().await;
    assert_eq!(code(put), "InvalidArgumentException");
}

#[tokio::test]
async fn reads_and_writes_are_limited_as_by_the_service() {
    let account = Account::builder().read_limits(ReadLimits::aws()).write_limits(WriteLimits::aws()).build();
    let stream = account.create("orders", 1);
    let server = Server::start(&account).await.unwrap();
    let client = sdk(&server.endpoint());
    let tip = iterator(&client, From::Latest).await;
    let calls = within_a_second(async || {
        let mut calls = Vec::new();
        for _ in 0..6 {
            calls.push(client.get_records().shard_iterator(&tip).send().await.is_ok());
        }
        calls
    });
    assert_eq!(calls.await, [true, true, true, true, true, false]);
    stream.put_all((0..10).map(|_| ("k", vec![0; (1 << 20) - 1]))).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let all = read(&client, &tip, 10_000).await;
    assert_eq!(all.records().len(), 10);
    let again = client.get_records().shard_iterator(all.next_shard_iterator().unwrap()).send().await;
    assert_eq!(code(again), "ProvisionedThroughputExceededException");

    let failed = within_a_second(async || {
        let mut failed = 0;
        for _ in 0..3 {
            let entries = (0..500).map(|_| entry("x")).collect();
            let output = client.put_records().stream_name("orders").set_records(Some(entries)).send().await.unwrap();
            failed += output.failed_record_count().unwrap();
        }
        failed
    });
    assert_eq!(failed.await, 500);
}

/// What is counted by the second can only be told where this machine is fast enough, so a slow attempt is repeated.
async fn within_a_second<T>(attempt: impl AsyncFn() -> T) -> T {
    for _ in 0..10 {
        let start = Instant::now();
        let result = attempt().await;
        if start.elapsed() < Duration::from_secs(1) {
            return result;
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    panic!("this machine does not make a few calls within a second");
}
