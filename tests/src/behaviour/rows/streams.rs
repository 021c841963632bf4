//! Streams, the records that are put on them, and the listing of their shards.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsResultEntry, ShardFilter, ShardFilterType};
use kinesis_core::SequenceNumber;

use crate::behaviour::stage::{Stage, entry};
use crate::behaviour::verdict::{Answered, Deviates, Verdict, holds, same};

pub(super) async fn is_created(stage: &Stage) -> Verdict {
    stage.create(2).await?;
    same("open shards", stage.settled().await?.open_shard_count, 2)?;
    same("shards", stage.shards().await?.len(), 2)
}

pub(super) async fn is_created_once(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let again = stage.client.create_stream().stream_name(stage.name).shard_count(1).send().await;
    again.refused("CreateStream", &["ResourceInUseException"])
}

pub(super) async fn is_missing(stage: &Stage) -> Verdict {
    let put = stage.client.put_records().stream_name(stage.name).records(entry("0")).send().await;
    put.refused("PutRecords", &["ResourceNotFoundException"])
}

pub(super) async fn numbers_ascend(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let put = stage.client.put_records().stream_name(stage.name).set_records(Some(["0", "1", "2"].map(entry).into()));
    let records = put.send().await.of("PutRecords")?.records;
    let numbers = records.iter().filter_map(PutRecordsResultEntry::sequence_number);
    let numbers: Vec<SequenceNumber> = numbers.filter_map(|number| number.parse().ok()).collect();
    same("records with a number", numbers.len(), 3)?;
    holds(numbers.is_sorted_by(|a, b| a < b), "the numbers do not ascend")
}

/// The code depends on whether the stream could take larger ones on request, which none of the pages says.
pub(super) async fn large_is_refused(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let large = Blob::new(vec![0; (1 << 20) + 1]);
    let put = stage.client.put_record().stream_name(stage.name).partition_key("k").data(large).send().await;
    put.refused("PutRecord", &["InvalidArgumentException", "ValidationException"])
}

/// The token after the first two of three shards, with the ids of these two.
async fn first_page(stage: &Stage) -> Verdict<(String, BTreeSet<String>)> {
    stage.create(3).await?;
    let page = stage.client.list_shards().stream_name(stage.name).max_results(2).send().await.of("ListShards")?;
    same("shards of the first page", page.shards().len(), 2)?;
    let ids = page.shards().iter().map(|shard| shard.shard_id.clone()).collect();
    let token = page.next_token.ok_or_else(|| Deviates::by("there is no token"))?;
    Ok((token, ids))
}

pub(super) async fn comes_in_pages(stage: &Stage) -> Verdict {
    first_page(stage).await.map(drop)
}

pub(super) async fn token_is_enough(stage: &Stage) -> Verdict {
    let (token, mut ids) = first_page(stage).await?;
    let rest = stage.client.list_shards().next_token(token).send().await.of("ListShards")?;
    same("shards of the second page", rest.shards().len(), 1)?;
    holds(rest.next_token().is_none(), "the last page has a token")?;
    ids.extend(rest.shards().iter().map(|shard| shard.shard_id.clone()));
    same("shards of both pages", ids.len(), 3)
}

pub(super) async fn token_is_all(stage: &Stage) -> Verdict {
    let (token, _) = first_page(stage).await?;
    let both = stage.client.list_shards().next_token(token).stream_name(stage.name).send().await;
    both.refused("ListShards", &["InvalidArgumentException"])
}

pub(super) async fn token_expires(stage: &Stage) -> Verdict {
    let (token, _) = first_page(stage).await?;
    stage.backend.pass(Duration::from_secs(310)).await;
    let late = stage.client.list_shards().next_token(token).send().await;
    late.refused("ListShards", &["ExpiredNextTokenException"])
}

/// How many of the shards 0, 1, 2 and 3, 4, which came of 0, a filter lists.
async fn filtered(stage: &Stage, kind: ShardFilterType, after: Option<&str>) -> Verdict<usize> {
    stage.create(3).await?;
    stage.split(3).await?;
    let filter = ShardFilter::builder().r#type(kind).set_shard_id(after.map(str::to_owned)).build();
    let filter = filter.expect("it has its type");
    let listed = stage.client.list_shards().stream_name(stage.name).shard_filter(filter).send().await;
    Ok(listed.of("ListShards")?.shards().len())
}

pub(super) async fn filters_at_latest(stage: &Stage) -> Verdict {
    same("shards listed", filtered(stage, ShardFilterType::AtLatest, None).await?, 4)
}

pub(super) async fn filters_at_horizon(stage: &Stage) -> Verdict {
    same("shards listed", filtered(stage, ShardFilterType::AtTrimHorizon, None).await?, 3)
}

pub(super) async fn filters_from_horizon(stage: &Stage) -> Verdict {
    same("shards listed", filtered(stage, ShardFilterType::FromTrimHorizon, None).await?, 5)
}

pub(super) async fn filters_after(stage: &Stage) -> Verdict {
    same("shards listed", filtered(stage, ShardFilterType::AfterShardId, Some("shardId-000000000002")).await?, 2)
}
