//! The rules of the stream, one by one.

mod resharding;

use std::num::NonZeroUsize;
use std::time::Duration;

use kinesis_core::{ErrorKind, HashKey, SequenceNumber, ShardId, ShardReader, StartPosition, StreamSource};

use super::{MemoryStream, NewRecord, ReadLimits};

const HOUR: Duration = Duration::from_secs(3600);

fn max(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn first_shard(stream: &MemoryStream) -> ShardId {
    stream.shards()[0].id.clone()
}

async fn open(stream: &MemoryStream, shard: &ShardId, from: StartPosition) -> Box<dyn ShardReader> {
    stream.open_shard(shard, from).await.unwrap()
}

/// The payloads of everything up to the tip or the end, as text.
async fn rest(reader: &mut dyn ShardReader) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let batch = reader.next_batch(max(3)).await.unwrap();
        if batch.records.is_empty() {
            return texts;
        }
        texts.extend(batch.records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()));
    }
}

async fn from(stream: &MemoryStream, position: StartPosition) -> Vec<String> {
    rest(&mut *open(stream, &first_shard(stream), position).await).await
}

/// One shard with the payloads 0, 1, 2, ..., a second apart.
async fn counted(count: usize) -> (MemoryStream, Vec<SequenceNumber>) {
    let stream = MemoryStream::new("counted", 1);
    let mut numbers = Vec::new();
    for i in 0..count {
        numbers.push(stream.put("key", i.to_string()).unwrap().1);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    (stream, numbers)
}

#[tokio::test(start_paused = true)]
async fn every_start_position_is_found() {
    let (stream, n) = counted(4).await;
    let start = stream.now() - Duration::from_secs(4);
    assert_eq!(from(&stream, StartPosition::TrimHorizon).await, ["0", "1", "2", "3"]);
    assert_eq!(from(&stream, StartPosition::At(n[2])).await, ["2", "3"]);
    assert_eq!(from(&stream, StartPosition::After(n[2])).await, ["3"]);
    assert_eq!(from(&stream, StartPosition::At(n[1].plus(1))).await, ["2", "3"]);
    assert_eq!(from(&stream, StartPosition::Timestamp(start + Duration::from_millis(900))).await, ["1", "2", "3"]);
    assert_eq!(from(&stream, StartPosition::Latest).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_time_to_come_is_waited_for() {
    let (stream, _) = counted(1).await;
    let later = stream.now() + HOUR;
    let mut reader = open(&stream, &first_shard(&stream), StartPosition::Timestamp(later)).await;
    stream.put("key", "too early").unwrap();
    assert_eq!(rest(&mut *reader).await, [""; 0]);
    tokio::time::advance(HOUR).await;
    stream.put("key", "in time").unwrap();
    assert_eq!(rest(&mut *reader).await, ["in time"]);
}

#[tokio::test(start_paused = true)]
async fn the_tip_is_pinned_when_opened_and_resume_says_where() {
    let (stream, _) = counted(2).await;
    let shard = first_shard(&stream);
    let mut reader = open(&stream, &shard, StartPosition::Latest).await;
    let empty = reader.next_batch(max(10)).await.unwrap();
    assert!(empty.records.is_empty());
    stream.put("key", "new").unwrap();
    let mut again = open(&stream, &shard, empty.resume.unwrap()).await;
    assert_eq!(rest(&mut *again).await, ["new"]);
    assert_eq!(rest(&mut *reader).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn the_tip_of_a_shard_without_records_is_pinned_too() {
    let stream = MemoryStream::new("empty", 1);
    let shard = first_shard(&stream);
    let mut reader = open(&stream, &shard, StartPosition::Latest).await;
    let resume = reader.next_batch(max(1)).await.unwrap().resume.unwrap();
    stream.put("key", "first").unwrap();
    assert_eq!(rest(&mut *open(&stream, &shard, resume).await).await, ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_is_expired_only_when_a_record_behind_it_was_trimmed() {
    let (stream, n) = counted(4).await;
    let shard = first_shard(&stream);
    stream.trim(n[1]);
    let refused = |position| {
        let (stream, shard) = (stream.clone(), shard.clone());
        async move { stream.open_shard(&shard, position).await.unwrap_err().kind() }
    };
    assert_eq!(refused(StartPosition::At(n[1])).await, ErrorKind::PositionExpired);
    assert_eq!(refused(StartPosition::After(n[0])).await, ErrorKind::PositionExpired);
    assert_eq!(from(&stream, StartPosition::After(n[1])).await, ["2", "3"]);
    assert_eq!(from(&stream, StartPosition::At(n[1].plus(1))).await, ["2", "3"]);
    assert_eq!(from(&stream, StartPosition::TrimHorizon).await, ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_a_trim_overtook_says_so_each_time() {
    let (stream, n) = counted(4).await;
    let mut reader = open(&stream, &first_shard(&stream), StartPosition::TrimHorizon).await;
    reader.next_batch(max(1)).await.unwrap();
    stream.trim(n[2]);
    for _ in 0..2 {
        let error = reader.next_batch(max(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PositionExpired);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_never_existed_is_not_found() {
    let stream = MemoryStream::new("one", 1);
    let error = stream.open_shard(&ShardId::from("shardId-9"), StartPosition::Latest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "the stream has no such shard, or no longer retains it (shard shardId-9)");
}

#[tokio::test(start_paused = true)]
async fn records_and_then_closed_shards_disappear_with_retention() {
    let stream = MemoryStream::new("short", 1);
    let parent = first_shard(&stream);
    stream.put("key", "old").unwrap();
    tokio::time::advance(23 * HOUR).await;
    stream.put("key", "younger").unwrap();
    stream.split(&parent).unwrap();
    tokio::time::advance(2 * HOUR).await;
    assert_eq!(from(&stream, StartPosition::TrimHorizon).await, ["younger"]);
    assert_eq!(stream.shards().len(), 3);
    tokio::time::advance(23 * HOUR).await;
    assert_eq!(stream.shards().len(), 2);
    assert!(stream.shards().iter().all(|shard| shard.parents == [parent.clone()]));
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_with_the_last_record_and_stays() {
    let (stream, _) = counted(3).await;
    let parent = first_shard(&stream);
    let mut reader = open(&stream, &parent, StartPosition::TrimHorizon).await;
    let children = stream.split(&parent).unwrap();
    assert_eq!(reader.next_batch(max(2)).await.unwrap().end, None);
    for expected in [1, 0, 0] {
        let batch = reader.next_batch(max(2)).await.unwrap();
        assert_eq!(batch.records.len(), expected);
        assert_eq!(batch.end.unwrap().children, children);
        tokio::time::advance(25 * HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_merged_shard_names_both_parents_and_only_neighbours_merge() {
    let stream = MemoryStream::new("four", 4);
    let ids: Vec<_> = stream.shards().into_iter().map(|shard| shard.id).collect();
    let child = stream.merge(&ids[2], &ids[1]).unwrap();
    assert_eq!(child.parents, [ids[2].clone(), ids[1].clone()]);
    let listed = stream.shards();
    assert!(listed[1].closed && listed[2].closed && !child.closed);
    assert!(child.starting_sequence_number > listed[1].ending_sequence_number);
    assert_eq!(stream.merge(&ids[0], &ids[3]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(stream.merge(&ids[0], &ids[1]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(stream.split(&ids[1]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(stream.split_at(&ids[0], HashKey::MIN).unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn an_explicit_hash_key_routes_instead_of_the_partition_key() {
    let stream = MemoryStream::new("four", 4);
    for (key, index) in [(HashKey::MIN, 0), (HashKey::new(1 << 127), 2), (HashKey::MAX, 3)] {
        let (shard, _) = stream.put_record(NewRecord::new("same", "x").with_explicit_hash_key(key)).unwrap();
        assert_eq!(shard, stream.shards()[index].id);
    }
}

#[test]
fn sequence_numbers_have_56_digits() {
    let (_, number) = MemoryStream::new("one", 1).put("key", "x").unwrap();
    assert_eq!(number.to_string().len(), 56);
}

#[test]
fn what_the_service_would_refuse_is_refused_and_nothing_of_it_is_put() {
    let stream = MemoryStream::new("strict", 1);
    let why = |error: kinesis_core::Error| error.to_string();
    assert_eq!(why(stream.put("", "x").unwrap_err()), "a partition key has 1 to 256 characters, not 0");
    assert!(stream.put("ü".repeat(256), "x").is_ok());
    assert!(stream.put("ü".repeat(257), "x").is_err());
    assert!(stream.put("key", vec![0; 1 << 20]).is_ok());
    assert_eq!(
        why(stream.put_all([("a", vec![]), ("b", vec![0; (1 << 20) + 1])]).unwrap_err()),
        "record 1: a payload of 1048577 bytes is over the stream's limit of 1048576"
    );
    stream.finish();
    assert_eq!(why(stream.put("key", "x").unwrap_err()), "the stream was finished and takes no more records");
}

#[tokio::test(start_paused = true)]
async fn limited_shards_throttle_and_say_for_how_long() {
    let stream = MemoryStream::builder("limited").read_limits(ReadLimits::aws()).build();
    let mut reader = open(&stream, &first_shard(&stream), StartPosition::TrimHorizon).await;
    for _ in 0..5 {
        reader.next_batch(max(1)).await.unwrap();
    }
    let error = reader.next_batch(max(1)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    tokio::time::advance(Duration::from_secs(1)).await;
    stream.put_all((0..20).map(|_| ("key", vec![0; 1 << 20]))).unwrap();
    assert_eq!(reader.next_batch(max(100)).await.unwrap().records.len(), 9);
    assert_eq!(reader.next_batch(max(1)).await.unwrap_err().retry_after().map(|wait| wait.as_secs()), Some(4));
}

#[tokio::test(start_paused = true)]
async fn behind_latest_is_zero_only_at_the_tip() {
    let (stream, _) = counted(3).await;
    let mut reader = open(&stream, &first_shard(&stream), StartPosition::TrimHorizon).await;
    let behind: Vec<_> = [
        reader.next_batch(max(2)).await.unwrap().behind_latest,
        reader.next_batch(max(2)).await.unwrap().behind_latest,
        reader.next_batch(max(2)).await.unwrap().behind_latest,
    ]
    .into();
    assert_eq!(behind, [2, 0, 0].map(|seconds| Some(Duration::from_secs(seconds))));
}

#[tokio::test(start_paused = true)]
async fn a_parked_read_wakes_on_a_put_and_dropping_it_loses_nothing() {
    let stream = MemoryStream::builder("parked").parks(true).build();
    let mut reader = open(&stream, &first_shard(&stream), StartPosition::TrimHorizon).await;
    let patience = Duration::from_secs(60);
    assert!(tokio::time::timeout(patience, reader.next_batch(max(1))).await.is_err());
    let waiting = tokio::spawn(async move { (reader.next_batch(max(1)).await, reader) });
    tokio::task::yield_now().await;
    stream.put("key", "x").unwrap();
    let (batch, mut reader) = waiting.await.unwrap();
    assert_eq!(batch.unwrap().records.len(), 1);
    stream.finish();
    assert!(reader.next_batch(max(1)).await.unwrap().end.is_some());
}
