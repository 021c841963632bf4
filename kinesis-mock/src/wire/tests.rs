//! The wire as the real SDK sees it, on a paused clock.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    MetricsName, PutRecordsRequestEntry, Shard, ShardFilter, ShardFilterType, ShardIteratorType as From,
    ShardIteratorType,
};

use super::{Answer, WireClient, http_client};
use crate::{MemoryStream, ReadLimits};

fn sdk(http: &WireClient) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(10)).build())
        .http_client(http.clone())
        .build();
    Client::from_conf(config)
}

fn client(stream: &MemoryStream) -> Client {
    sdk(&http_client(stream))
}

fn first_shard(stream: &MemoryStream) -> String {
    stream.shards()[0].id.to_string()
}

async fn iterator(client: &Client, shard: &str, from: From) -> String {
    let request = client.get_shard_iterator().stream_name("orders").shard_id(shard).shard_iterator_type(from);
    request.send().await.unwrap().shard_iterator.unwrap()
}

async fn read(client: &Client, iterator: &str, limit: i32) -> GetRecordsOutput {
    client.get_records().shard_iterator(iterator).limit(limit).send().await.unwrap()
}

fn texts(output: &GetRecordsOutput) -> Vec<String> {
    output.records.iter().map(|record| String::from_utf8(record.data.as_ref().to_vec()).unwrap()).collect()
}

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> String {
    result.unwrap_err().code().expect("the service answers with a code").to_owned()
}

fn ids(shards: &[Shard]) -> Vec<&str> {
    shards.iter().map(Shard::shard_id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_one_door_puts_the_other_reads() {
    let stream = MemoryStream::new("orders", 2);
    let client = client(&stream);
    let put = client.put_record().stream_name("orders").partition_key("schlüssel").data(Blob::new([0, 255]));
    let put = put.send().await.unwrap();
    tokio::time::advance(Duration::from_millis(1234)).await;
    let (shard, number) = stream.put("schlüssel", "second").unwrap();
    assert_eq!(put.shard_id(), &*shard);

    let output = read(&client, &iterator(&client, &shard, From::TrimHorizon).await, 10).await;
    assert_eq!(output.records[0].data.as_ref(), [0, 255]);
    assert_eq!(output.records[0].sequence_number(), put.sequence_number());
    assert_eq!(output.records[0].partition_key(), Some("schlüssel"));
    assert_eq!(output.records[1].sequence_number(), number.to_string());
    let arrival = output.records[1].approximate_arrival_timestamp().unwrap().as_secs_f64();
    assert!((arrival - 1_704_067_201.234).abs() < 0.000_1, "{arrival}");
    assert_eq!(output.millis_behind_latest, Some(0));
}

#[tokio::test(start_paused = true)]
async fn all_five_iterator_types_start_where_they_say() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let mut numbers = Vec::new();
    for text in ["0", "1", "2"] {
        numbers.push(stream.put("key", text).unwrap().1.to_string());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let at = |from: From, number: Option<&str>, time: Option<i64>| {
        let request = client
            .get_shard_iterator()
            .stream_arn("arn:aws:kinesis:us-east-1:000000000000:stream/orders")
            .shard_id(first_shard(&stream))
            .shard_iterator_type(from)
            .set_starting_sequence_number(number.map(str::to_owned))
            .set_timestamp(time.map(|millis| DateTime::from_millis(1_704_067_200_000 + millis)));
        let client = client.clone();
        async move {
            let iterator = request.send().await.map_err(|error| error.code().unwrap_or_default().to_owned())?;
            Ok::<_, String>(texts(&read(&client, iterator.shard_iterator().unwrap(), 10).await))
        }
    };
    assert_eq!(at(From::TrimHorizon, None, None).await.unwrap(), ["0", "1", "2"]);
    assert_eq!(at(From::Latest, None, None).await.unwrap(), [""; 0]);
    assert_eq!(at(From::AtSequenceNumber, Some(&numbers[1]), None).await.unwrap(), ["1", "2"]);
    assert_eq!(at(From::AfterSequenceNumber, Some(&numbers[1]), None).await.unwrap(), ["2"]);
    assert_eq!(at(From::AtTimestamp, None, Some(1001)).await.unwrap(), ["2"]);
    for (from, number, time) in [
        (From::AtTimestamp, None, Some(60_000)),
        (From::AtTimestamp, None, None),
        (From::AtSequenceNumber, None, None),
        (From::AtSequenceNumber, Some("17"), None),
        (From::AfterSequenceNumber, Some("rubbish"), None),
    ] {
        assert_eq!(at(from, number, time).await.unwrap_err(), "InvalidArgumentException");
    }
    assert_eq!(at(ShardIteratorType::from("SIDEWAYS"), None, None).await.unwrap_err(), "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn an_iterator_expires_after_five_minutes() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let iterator = iterator(&client, &first_shard(&stream), From::Latest).await;
    tokio::time::advance(Duration::from_secs(300)).await;
    read(&client, &iterator, 1).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    let expired = client.get_records().shard_iterator(iterator).send().await;
    assert!(expired.as_ref().unwrap_err().as_service_error().unwrap().is_expired_iterator_exception());
    assert_eq!(code(client.get_records().shard_iterator("rubbish").send().await), "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_ends_with_its_children_and_without_an_iterator() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    stream.put_all([("a", "0"), ("b", "1")]).unwrap();
    let children = stream.split(&stream.shards()[0].id).unwrap();
    let first = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 1).await;
    assert!(first.child_shards.is_none());
    let last = read(&client, first.next_shard_iterator().unwrap(), 1).await;
    assert_eq!(texts(&last), ["1"]);
    assert_eq!(last.next_shard_iterator(), None);
    for (told, child) in last.child_shards().iter().zip(&children) {
        assert_eq!(told.shard_id(), &*child.id);
        assert_eq!(told.parent_shards(), [first_shard(&stream)]);
        let range = told.hash_key_range().unwrap();
        assert_eq!(range.starting_hash_key(), child.hash_range.unwrap().start.to_string());
    }
    assert_eq!(last.child_shards().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn reads_are_limited_and_answers_capped_as_by_the_service() {
    let stream = MemoryStream::builder("orders").read_limits(ReadLimits::aws()).build();
    let client = client(&stream);
    stream.put_all((0..12).map(|_| ("key", vec![0; 1 << 20]))).unwrap();
    let output = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10_000).await;
    assert_eq!(output.records().len(), 9);
    let next = output.next_shard_iterator().unwrap();
    let again = client.get_records().shard_iterator(next).send().await;
    assert!(again.unwrap_err().as_service_error().unwrap().is_provisioned_throughput_exceeded_exception());
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(read(&client, next, 10_000).await.records().len(), 3);
    for limit in [0, 10_001] {
        let refused = client.get_records().shard_iterator(next).limit(limit).send().await;
        assert_eq!(code(refused), "ValidationException");
    }
}

#[tokio::test(start_paused = true)]
async fn listing_pages_by_token_alone() {
    let stream = MemoryStream::new("orders", 5);
    let client = client(&stream);
    let first = client.list_shards().stream_name("orders").max_results(2).send().await.unwrap();
    let token = first.next_token().unwrap();
    assert_eq!(ids(first.shards()), ["shardId-000000000000", "shardId-000000000001"]);

    let both = client.list_shards().stream_name("orders").next_token(token).send().await;
    assert_eq!(code(both), "InvalidArgumentException");
    let rest = client.list_shards().next_token(token).send().await.unwrap();
    assert_eq!(ids(rest.shards()), ["shardId-000000000002", "shardId-000000000003", "shardId-000000000004"]);
    assert_eq!(rest.next_token(), None);

    tokio::time::advance(Duration::from_secs(301)).await;
    let late = client.list_shards().next_token(token).send().await;
    assert!(late.unwrap_err().as_service_error().unwrap().is_expired_next_token_exception());
    assert_eq!(code(client.list_shards().next_token("rubbish").send().await), "InvalidArgumentException");
    assert_eq!(code(client.list_shards().send().await), "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn listings_are_filtered_by_age_and_place() {
    let stream = MemoryStream::new("orders", 2);
    let client = client(&stream);
    tokio::time::advance(Duration::from_secs(60)).await;
    stream.split(&stream.shards()[0].id).unwrap();
    let listed = |kind: ShardFilterType, shard: Option<&str>, seconds: Option<i64>| {
        let filter = ShardFilter::builder()
            .r#type(kind)
            .set_shard_id(shard.map(str::to_owned))
            .set_timestamp(seconds.map(|seconds| DateTime::from_secs(1_704_067_200 + seconds)))
            .build()
            .unwrap();
        let request = client.list_shards().stream_name("orders").shard_filter(filter);
        async move {
            let output = request.send().await.unwrap();
            output.shards().iter().map(|shard| shard.shard_id()[19..].to_owned()).collect::<String>()
        }
    };
    assert_eq!(listed(ShardFilterType::FromTrimHorizon, None, None).await, "0123");
    assert_eq!(listed(ShardFilterType::AtTrimHorizon, None, None).await, "01");
    assert_eq!(listed(ShardFilterType::AtLatest, None, None).await, "123");
    assert_eq!(listed(ShardFilterType::AfterShardId, Some("shardId-000000000001"), None).await, "23");
    assert_eq!(listed(ShardFilterType::AtTimestamp, None, Some(30)).await, "01");
    assert_eq!(listed(ShardFilterType::FromTimestamp, None, Some(61)).await, "123");
    let start = client.list_shards().stream_name("orders").exclusive_start_shard_id("shardId-000000000002");
    assert_eq!(ids(start.send().await.unwrap().shards()), ["shardId-000000000003"]);
    // With the parent's retention over, its children are what the horizon starts with.
    tokio::time::advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(listed(ShardFilterType::AtTrimHorizon, None, None).await, "123");
}

#[tokio::test(start_paused = true)]
async fn a_summary_describes_the_stream() {
    let stream = MemoryStream::new("orders", 3);
    let output = client(&stream).describe_stream_summary().stream_name("orders").send().await.unwrap();
    let summary = output.stream_description_summary().unwrap();
    assert_eq!(summary.stream_arn(), "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert_eq!((summary.open_shard_count(), summary.retention_period_hours()), (3, 24));
    assert_eq!(summary.stream_creation_timestamp().secs(), 1_704_067_200);
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_many_can_fail_alone() {
    let stream = MemoryStream::new("orders", 1);
    let http = http_client(&stream);
    http.script("PutRecords", [Answer::Refuse(vec![1])]);
    let client = sdk(&http);
    let entry = |key: &str| PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new("x")).build().unwrap();
    let request = client.put_records().stream_name("orders").set_records(Some(["a", "b", "c"].map(entry).into()));
    let output = request.send().await.unwrap();
    assert_eq!(output.failed_record_count(), Some(1));
    assert_eq!(output.records()[1].error_code(), Some("ProvisionedThroughputExceededException"));
    assert!(output.records()[0].sequence_number() < output.records()[2].sequence_number());
    let read = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10).await;
    assert_eq!(read.records().len(), 2);

    let empty_key = client.put_records().stream_name("orders").records(entry("a")).records(entry(""));
    assert_eq!(code(empty_key.send().await), "ValidationException");
    let many = client.put_records().stream_name("orders").set_records(Some(vec![entry("a"); 501]));
    assert_eq!(code(many.send().await), "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_named() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let error = client.list_shards().stream_name("odors").send().await.unwrap_err();
    assert_eq!(error.message(), Some("Stream odors under account 000000000000 not found."));
    let shard = client.get_shard_iterator().stream_name("orders").shard_id("shardId-7");
    let shard = shard.shard_iterator_type(From::Latest).send().await;
    assert!(shard.unwrap_err().as_service_error().unwrap().is_resource_not_found_exception());
    let unknown = client.enable_enhanced_monitoring().stream_name("orders").shard_level_metrics(MetricsName::All);
    assert_eq!(code(unknown.send().await), "UnknownOperationException");
}

#[tokio::test(start_paused = true)]
async fn scripted_answers_come_in_turn_and_then_the_stream_again() {
    let stream = MemoryStream::new("orders", 1);
    let http = http_client(&stream);
    let client = sdk(&http);
    let late = Answer::Delay(Duration::from_secs(2));
    http.script(
        "PutRecord",
        [Answer::fail("InternalFailure"), Answer::Drop, Answer::DropReply, Answer::Hang, late, Answer::Serve],
    );
    let mut outcomes = Vec::new();
    for _ in 0..7 {
        let put = client.put_record().stream_name("orders").partition_key("key").data(Blob::new("x"));
        outcomes.push(match put.send().await {
            Ok(_) => "ok",
            Err(SdkError::ServiceError(_)) => "service",
            Err(SdkError::DispatchFailure(_)) => "dispatch",
            Err(SdkError::TimeoutError(_)) => "timeout",
            Err(error) => panic!("{}", DisplayErrorContext(error)),
        });
    }
    assert_eq!(outcomes, ["service", "dispatch", "dispatch", "timeout", "ok", "ok", "ok"]);
    assert_eq!(http.calls("PutRecord"), 7);
    let read = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10).await;
    assert_eq!(read.records().len(), 4, "one reply was lost after its record was put");
}
