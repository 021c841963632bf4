//! Iterators, and what is read with them.

use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ChildShard, ShardIteratorType as From};

use crate::behaviour::stage::{FIRST, Stage};
use crate::behaviour::verdict::{Answered, Deviates, Verdict, holds, same};

/// Some of the server's time, so that two records are not of the same moment.
const MOMENT: Duration = Duration::from_millis(30);

/// How many records come from here on.
async fn come(stage: &Stage, from: From, number: Option<&str>) -> Verdict<usize> {
    let request = stage.client.get_shard_iterator().stream_name(stage.name).shard_id(FIRST).shard_iterator_type(from);
    let iterator = request.set_starting_sequence_number(number.map(str::to_owned)).send().await;
    let iterator = iterator.of("GetShardIterator")?.shard_iterator.unwrap_or_default();
    Ok(stage.read(&iterator, 10).await?.records.len())
}

pub(super) async fn starts_where_it_says(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    stage.put("0").await?;
    let second = stage.put("1").await?.sequence_number;
    stage.put("2").await?;
    same("from TRIM_HORIZON", come(stage, From::TrimHorizon, None).await?, 3)?;
    same("from LATEST", come(stage, From::Latest, None).await?, 0)?;
    same("from AT_SEQUENCE_NUMBER", come(stage, From::AtSequenceNumber, Some(&second)).await?, 2)?;
    same("from AFTER_SEQUENCE_NUMBER", come(stage, From::AfterSequenceNumber, Some(&second)).await?, 1)
}

/// Puts two records, and tells when the second of them came.
async fn two_records(stage: &Stage) -> Verdict<DateTime> {
    stage.create(1).await?;
    stage.put("0").await?;
    stage.backend.pass(MOMENT).await;
    stage.put("1").await?;
    let page = stage.read(&stage.iterator(From::TrimHorizon).await?, 10).await?;
    let second = page.records().get(1).and_then(|record| record.approximate_arrival_timestamp);
    second.ok_or_else(|| Deviates::by("the second record has no time of arrival"))
}

/// Asks for an iterator from so many seconds after a time.
async fn iterator_at(stage: &Stage, time: DateTime, plus: f64) -> Result<String, SdkError<GetShardIteratorError>> {
    let time = DateTime::from_secs_f64(time.as_secs_f64() + plus);
    let request = stage.client.get_shard_iterator().stream_name(stage.name).shard_id(FIRST);
    let output = request.shard_iterator_type(From::AtTimestamp).timestamp(time).send().await?;
    Ok(output.shard_iterator.unwrap_or_default())
}

pub(super) async fn starts_in_the_past(stage: &Stage) -> Verdict {
    let second = two_records(stage).await?;
    for (plus, wanted) in [(-60.0, 2), (-0.01, 1)] {
        let iterator = iterator_at(stage, second, plus).await.of("GetShardIterator")?;
        same("records", stage.read(&iterator, 10).await?.records.len(), wanted)?;
    }
    Ok(())
}

pub(super) async fn future_is_refused(stage: &Stage) -> Verdict {
    let second = two_records(stage).await?;
    iterator_at(stage, second, 3600.0).await.refused("GetShardIterator", &["InvalidArgumentException"])
}

pub(super) async fn who_is_behind_is_told(stage: &Stage) -> Verdict {
    two_records(stage).await?;
    let first = stage.read(&stage.iterator(From::TrimHorizon).await?, 1).await?;
    holds(first.millis_behind_latest.unwrap_or_default() > 0, "MillisBehindLatest is 0 before a record")?;
    let next = first.next_shard_iterator.ok_or_else(|| Deviates::by("an open shard ends"))?;
    same("MillisBehindLatest at the tip", stage.read(&next, 1).await?.millis_behind_latest, Some(0))
}

pub(super) async fn rubbish_is_refused(stage: &Stage) -> Verdict {
    let read = stage.client.get_records().shard_iterator("rubbish").send().await;
    read.refused("GetRecords", &["InvalidArgumentException"])
}

/// The reference names InvalidArgumentException, and its bounds of the member ValidationException.
pub(super) async fn limit_is_limited(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let iterator = stage.iterator(From::Latest).await?;
    let read = stage.client.get_records().shard_iterator(iterator).limit(10_001).send().await;
    read.refused("GetRecords", &["ValidationException", "InvalidArgumentException"])
}

pub(super) async fn closed_shard_ends(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    stage.put("0").await?;
    stage.split(1).await?;
    holds(stage.last_page().await?.is_some(), "the shard has no end")
}

pub(super) async fn children_are_named(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    stage.put("0").await?;
    stage.split(1).await?;
    let last = stage.last_page().await?.ok_or_else(|| Deviates::by("the shard has no end"))?;
    same("children", last.child_shards().len(), 2)?;
    let of_the_first = |child: &ChildShard| child.parent_shards() == [FIRST];
    holds(last.child_shards().iter().all(of_the_first), "the children have other parents")
}

pub(super) async fn iterator_expires(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let iterator = stage.iterator(From::TrimHorizon).await?;
    stage.read(&iterator, 1).await?;
    stage.backend.pass(Duration::from_secs(310)).await;
    let late = stage.client.get_records().shard_iterator(iterator).send().await;
    late.refused("GetRecords", &["ExpiredIteratorException"])
}
