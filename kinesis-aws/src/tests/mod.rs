//! The source with the real SDK against the in-process wire of kinesis-mock, on a paused clock.

mod starting;

use std::error::Error as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::config::HttpClient;
use kinesis_core::{ErrorKind, SequenceNumber, ShardId, ShardReader, StartPosition, StreamSource};
use kinesis_mock::{Answer, MemoryStream, ReadLimits, WireClient, http_client};

use crate::KinesisSource;

/// A part of the credentials in use, which no error may show.
pub(crate) const SECRET: &str = "hush";
const MINUTE: Duration = Duration::from_secs(60);

fn max(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

pub(crate) fn config(http: &WireClient) -> SdkConfig {
    sdk_config(http.clone())
}

/// A configuration whose calls go to an HTTP client of the test's own.
pub(crate) fn sdk_config(http: impl HttpClient + 'static) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", SECRET, None, None, "test")))
        .http_client(http)
        .build()
}

async fn source(stream: &MemoryStream) -> (KinesisSource, WireClient) {
    let http = http_client(stream);
    (KinesisSource::builder(&config(&http), "orders").unlimited().connect().await.unwrap(), http)
}

async fn one_shard() -> (MemoryStream, KinesisSource, WireClient) {
    let stream = MemoryStream::new("orders", 1);
    let (source, http) = source(&stream).await;
    (stream, source, http)
}

fn first_shard(stream: &MemoryStream) -> ShardId {
    stream.shards()[0].id.clone()
}

fn put(stream: &MemoryStream, texts: &[&'static str]) -> Vec<SequenceNumber> {
    stream.put_all(texts.iter().map(|text| ("key", *text))).unwrap().into_iter().map(|(_, number)| number).collect()
}

async fn open(source: &KinesisSource, from: StartPosition) -> Box<dyn ShardReader> {
    source.open_shard(&ShardId::from("shardId-000000000000"), from).await.unwrap()
}

async fn read(reader: &mut dyn ShardReader, limit: usize) -> Vec<String> {
    let batch = reader.next_batch(max(limit)).await.unwrap();
    batch.records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect()
}

async fn failure(reader: &mut dyn ShardReader) -> kinesis_core::Error {
    reader.next_batch(max(10)).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn both_doors_show_the_same_stream() {
    let (stream, source, _) = one_shard().await;
    tokio::time::advance(Duration::from_millis(123_289)).await;
    stream.put("schlüssel", [0, 255].as_slice()).unwrap();
    stream.split(&first_shard(&stream)).unwrap();
    assert_eq!(source.stream(), StreamSource::stream(&stream));
    assert_eq!(source.list_shards().await.unwrap(), stream.shards());

    let direct = stream.open_shard(&first_shard(&stream), StartPosition::TrimHorizon).await.unwrap();
    let direct = { direct }.next_batch(max(10)).await.unwrap();
    let batch = open(&source, StartPosition::TrimHorizon).await.next_batch(max(10)).await.unwrap();
    assert_eq!(batch.records, direct.records);
    assert_eq!(batch.behind_latest, direct.behind_latest);
}

#[tokio::test(start_paused = true)]
async fn every_position_starts_where_it_says() {
    let (stream, source, _) = one_shard().await;
    let mut numbers = Vec::new();
    for text in ["0", "1", "2"] {
        numbers.extend(put(&stream, &[text]));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let second = stream.now() - Duration::from_secs(2);
    for (from, expected) in [
        (StartPosition::TrimHorizon, &["0", "1", "2"][..]),
        (StartPosition::Latest, &[]),
        (StartPosition::At(numbers[1]), &["1", "2"]),
        (StartPosition::At(numbers[1].with_sub(3)), &["2"]),
        (StartPosition::At(numbers[1].plus(1)), &["2"]),
        (StartPosition::After(numbers[1]), &["2"]),
        (StartPosition::After(numbers[2]), &[]),
        (StartPosition::Timestamp(second), &["1", "2"]),
        (StartPosition::Timestamp(second + Duration::from_millis(1)), &["2"]),
    ] {
        assert_eq!(read(&mut *open(&source, from).await, 10).await, expected, "{from}");
    }
    let foreign = open(&source, StartPosition::At(SequenceNumber::from(7))).await;
    assert_eq!(failure(&mut *{ foreign }).await.kind(), ErrorKind::Invalid);
}

/// Without it nobody can tell whether what is gone from a quiet shard was missed.
#[tokio::test(start_paused = true)]
async fn an_answer_says_when_it_was_given_by_the_clock_of_the_service() {
    let (stream, source, _) = one_shard().await;
    let began = stream.now();
    tokio::time::advance(Duration::from_millis(61_700)).await;
    put(&stream, &["one", "two"]);
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    for _ in 0..3 {
        let served_at = reader.next_batch(max(10)).await.unwrap().served_at;
        assert_eq!(served_at, Some(began + Duration::from_secs(61)), "in whole seconds, rounded down");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_to_come_is_waited_for() {
    let (stream, source, _) = one_shard().await;
    let mut reader = open(&source, StartPosition::Timestamp(stream.now() + 2 * MINUTE)).await;
    put(&stream, &["too early"]);
    assert_eq!(read(&mut *reader, 10).await, [""; 0]);
    tokio::time::advance(2 * MINUTE).await;
    put(&stream, &["in time"]);
    assert_eq!(read(&mut *reader, 10).await, ["in time"]);
}

#[tokio::test(start_paused = true)]
async fn the_tip_is_pinned_before_opening_returns() {
    let (stream, source, _) = one_shard().await;
    put(&stream, &["before"]);
    let mut reader = open(&source, StartPosition::Latest).await;
    put(&stream, &["after"]);
    assert_eq!(read(&mut *reader, 10).await, ["after"]);
    assert_eq!(reader.next_batch(max(1)).await.unwrap().resume, None);
}

#[tokio::test(start_paused = true)]
async fn an_idle_reader_at_the_tip_goes_back_to_the_instant_it_was_opened() {
    let (stream, source, _) = one_shard().await;
    put(&stream, &["before"]);
    tokio::time::advance(MINUTE).await;
    let mut reader = open(&source, StartPosition::Latest).await;
    let resume = reader.next_batch(max(1)).await.unwrap().resume;
    assert_eq!(resume, Some(StartPosition::Timestamp(stream.now())));
    put(&stream, &["after"]);
    tokio::time::advance(10 * MINUTE).await;
    assert_eq!(read(&mut *reader, 10).await, ["after"]);
    assert_eq!(read(&mut *open(&source, resume.unwrap()).await, 10).await, ["after"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_made_again_after_the_last_record_that_was_read() {
    let (stream, source, http) = one_shard().await;
    put(&stream, &["0", "1", "2"]);
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    assert_eq!(read(&mut *reader, 2).await, ["0", "1"]);
    tokio::time::advance(10 * MINUTE).await;
    assert_eq!(read(&mut *reader, 10).await, ["2"]);
    http.script("GetRecords", [Answer::fail("InvalidArgumentException")]);
    put(&stream, &["3"]);
    assert_eq!(read(&mut *reader, 10).await, ["3"]);
    assert_eq!(http.calls("GetShardIterator"), 3);

    http.script("GetRecords", vec![Answer::fail("ExpiredIteratorException"); 2]);
    put(&stream, &["4"]);
    assert_eq!(failure(&mut *reader).await.kind(), ErrorKind::Transient);
    assert_eq!(read(&mut *reader, 10).await, ["4"]);
}

#[tokio::test(start_paused = true)]
async fn throttling_is_reported_at_once_and_moves_nothing() {
    let stream = MemoryStream::builder("orders").read_limits(ReadLimits::aws()).build();
    let (source, http) = source(&stream).await;
    put(&stream, &["0", "1", "2", "3", "4", "5"]);
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    for expected in ["0", "1", "2", "3", "4"] {
        assert_eq!(read(&mut *reader, 1).await, [expected]);
    }
    let error = failure(&mut *reader).await;
    assert_eq!(error.kind(), ErrorKind::Throttled { retry_after: None });
    assert_eq!(http.calls("GetRecords"), 6, "the SDK repeats nothing by itself");
    assert_eq!(error.shard(), Some(&first_shard(&stream)));
    assert!(error.source().is_some());
    assert!(!error.to_string().contains('\n') && !error.chain().contains(SECRET));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(read(&mut *reader, 1).await, ["5"]);
}

#[tokio::test(start_paused = true)]
async fn faults_on_the_way_move_nothing() {
    let (stream, source, http) = one_shard().await;
    put(&stream, &["0"]);
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    let faults = [Answer::Drop, Answer::DropReply, Answer::Hang, Answer::fail("InternalFailure")];
    http.script("GetRecords", faults.clone());
    http.script("GetShardIterator", [Answer::Serve, Answer::Drop]);
    for _ in faults {
        assert_eq!(failure(&mut *reader).await.kind(), ErrorKind::Transient);
    }
    assert_eq!(read(&mut *reader, 1).await, ["0"]);
    for (code, kind) in [
        ("AccessDeniedException", ErrorKind::Denied),
        ("KMSDisabledException", ErrorKind::Denied),
        ("ResourceNotFoundException", ErrorKind::NotFound),
    ] {
        http.script("GetRecords", [Answer::fail(code)]);
        assert_eq!(failure(&mut *reader).await.kind(), kind);
    }
    put(&stream, &["1"]);
    assert_eq!(read(&mut *reader, 1).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_names_its_children_and_stays() {
    let (stream, source, http) = one_shard().await;
    put(&stream, &["0", "1"]);
    let children = stream.split(&first_shard(&stream)).unwrap();
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    assert_eq!(reader.next_batch(max(1)).await.unwrap().end, None);
    let calls = http.calls("GetRecords");
    for expected in [1, 0, 0] {
        let batch = reader.next_batch(max(1)).await.unwrap();
        assert_eq!(batch.records.len(), expected);
        let end = batch.end.unwrap();
        assert_eq!(end.children.len(), 2);
        for (told, child) in end.children.iter().zip(&children) {
            assert_eq!((&told.id, &told.parents, told.hash_range), (&child.id, &child.parents, child.hash_range));
        }
    }
    assert_eq!(http.calls("GetRecords"), calls + 1, "an ended shard is not asked again");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_read_at_any_point_loses_nothing() {
    let (stream, source, http) = one_shard().await;
    put(&stream, &["0", "1", "2"]);
    let slow = Answer::Delay(Duration::from_millis(100));
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    http.script("GetShardIterator", [slow.clone()]);
    http.script("GetRecords", vec![slow; 3]);
    let mut seen = Vec::new();
    for patience in [50, 150, 99, 101, 100, 5000] {
        let patience = Duration::from_millis(patience);
        if let Ok(texts) = tokio::time::timeout(patience, read(&mut *reader, 1)).await {
            seen.extend(texts);
        }
    }
    seen.extend(read(&mut *reader, 10).await);
    assert_eq!(seen, ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_more_than_was_asked_for_is_handed_out_in_pieces() {
    let (stream, source, http) = one_shard().await;
    let numbers = put(&stream, &["0", "1"]);
    let record = |number| format!(r#"{{"SequenceNumber":"{number}","Data":"eA==","PartitionKey":"key"}}"#);
    let body = |records: &[String]| format!(r#"{{"Records":[{}],"MillisBehindLatest":0}}"#, records.join(","));
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    http.script("GetRecords", [Answer::Body(body(&[record(numbers[0]), record(numbers[1])]))]);
    let first = reader.next_batch(max(1)).await.unwrap();
    assert_eq!((first.records.len(), first.end.is_some(), first.behind_latest), (1, false, None));
    let second = reader.next_batch(max(1)).await.unwrap();
    assert_eq!((second.records[0].sequence_number, second.end.is_some()), (numbers[1], true));
}

#[tokio::test(start_paused = true)]
async fn a_broken_sequence_number_is_a_broken_contract_and_moves_nothing() {
    let (stream, source, http) = one_shard().await;
    put(&stream, &["0"]);
    let mut reader = open(&source, StartPosition::TrimHorizon).await;
    let broken = r#"{"Records":[{"SequenceNumber":"12x","Data":"","PartitionKey":"key"}]}"#;
    // The fast read refuses it, and the SDK is asked.
    let broken = Answer::Body(broken.into());
    http.script("GetRecords", [broken.clone(), broken, Answer::Body("rubbish".into())]);
    let error = failure(&mut *reader).await;
    assert_eq!(error.kind(), ErrorKind::Contract);
    assert_eq!(
        error.to_string(),
        "the service answered what it must not: \"12x\" is no sequence number: 'x' is not a decimal digit \
         (shard shardId-000000000000)"
    );
    assert_eq!(failure(&mut *reader).await.kind(), ErrorKind::Transient);
    assert_eq!(read(&mut *reader, 1).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_listing_is_read_to_its_last_page() {
    let stream = MemoryStream::new("orders", 2100);
    let (source, http) = source(&stream).await;
    assert_eq!(source.list_shards().await.unwrap(), stream.shards());
    assert_eq!(http.calls("ListShards"), 3);
    let unknown = source.open_shard(&ShardId::from("shardId-9"), StartPosition::TrimHorizon).await.unwrap();
    assert_eq!(failure(&mut *{ unknown }).await.kind(), ErrorKind::NotFound);
    let unknown = source.open_shard(&ShardId::from("shardId-9"), StartPosition::Latest).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}
