//! The operations that split and merge shards.

use std::time::Duration;

use kinesis_core::{HashKey, HashRange, Shard, ShardId};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::settings::updating;
use super::streams::SHARD_LIMIT;
use crate::stream::{ACCOUNT, even_ranges};
use crate::wire::refusal::Refusal;
use crate::wire::target::{self, Target};
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// The most shards that a stream can be scaled to (API reference of `UpdateShardCount`).
const MAX_TARGET: usize = 10_000;
/// How often a stream can be scaled in a day (API reference of `UpdateShardCount`).
const MAX_A_DAY: usize = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct SplitShard {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_split: Option<ShardId>,
    new_starting_hash_key: Option<String>,
}

/// Replaces a shard by two.
pub(in crate::wire) fn split_shard(account: &Account, request: &SplitShard) -> Result<(), Refusal> {
    let shard = validation::required("shardToSplit", request.shard_to_split.as_ref())?;
    let key = validation::required("newStartingHashKey", request.new_starting_hash_key.as_deref())?;
    let stream = Target::new(&request.stream_name, &request.stream_arn).active(account)?.stream;
    known(&stream, shard)?;
    let key: HashKey = key.parse().map_err(|error| {
        Refusal::invalid_argument(format!("NewStartingHashKey {key} used in SplitShard() is not valid: {error}"))
    })?;
    stream.split_at(shard, key)?;
    updating(account, &stream);
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct MergeShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_merge: Option<ShardId>,
    adjacent_shard_to_merge: Option<ShardId>,
}

/// Replaces two adjacent shards by one.
pub(in crate::wire) fn merge_shards(account: &Account, request: &MergeShards) -> Result<(), Refusal> {
    let one = validation::required("shardToMerge", request.shard_to_merge.as_ref())?;
    let other = validation::required("adjacentShardToMerge", request.adjacent_shard_to_merge.as_ref())?;
    let stream = Target::new(&request.stream_name, &request.stream_arn).active(account)?.stream;
    known(&stream, one)?;
    known(&stream, other)?;
    stream.merge(one, other)?;
    updating(account, &stream);
    Ok(())
}

fn known(stream: &MemoryStream, shard: &ShardId) -> Result<(), Refusal> {
    stream.with_log(|log, _| log.get(shard).map(drop)).map_err(|_| {
        let name = &stream.id().name;
        Refusal::not_found(format!("Could not find shard {shard} in stream {name} under account {ACCOUNT}."))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct UpdateShardCount {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    target_shard_count: Option<i64>,
    scaling_type: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ShardCountUpdated {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_count: usize,
    target_shard_count: usize,
}

/// Splits and merges until the open shards share the key space evenly.
pub(in crate::wire) fn update_shard_count(
    account: &Account,
    request: &UpdateShardCount,
) -> Result<ShardCountUpdated, Refusal> {
    let target = validation::required("targetShardCount", request.target_shard_count)?;
    let target = validation::within("targetShardCount", Some(target), 1..=usize::MAX, 1)?;
    let scaling = validation::required("scalingType", request.scaling_type.as_deref())?;
    validation::one_of("scalingType", scaling, &[("UNIFORM_SCALING", ())])?;
    let entry = Target::new(&request.stream_name, &request.stream_arn).active(account)?;
    let stream = entry.stream;
    if entry.on_demand {
        return Err(Refusal::invalid_argument("UpdateShardCount works only on streams of the PROVISIONED mode."));
    }
    let current = open_ranges(&stream).len();
    check_target(current, target)?;
    let today = |scaled: &Instant| scaled.elapsed() < DAY;
    if entry.scaled.iter().filter(|scaled| today(scaled)).count() >= MAX_A_DAY {
        return Err(Refusal::limit_exceeded(format!(
            "Stream {} was scaled {MAX_A_DAY} times in the last 24 hours, which is the most.",
            stream.id().name
        )));
    }
    scale(&stream, target)?;
    account.change(&stream.id().name, |entry| {
        entry.scaled.retain(today);
        entry.scaled.push(Instant::now());
    });
    updating(account, &stream);
    Ok(ShardCountUpdated {
        stream_name: stream.id().name.to_string(),
        stream_arn: target::arn(account, &stream),
        current_shard_count: current,
        target_shard_count: target,
    })
}

/// At most twice and at least half as many as now, and no more than the service allows at all.
fn check_target(current: usize, target: usize) -> Result<(), Refusal> {
    let name = "UpdateShardCount cannot scale";
    if target > current * 2 {
        return Err(Refusal::invalid_argument(format!(
            "{name} up over double your current open shard count. Current open shard count: {current} Target shard \
             count: {target}"
        )));
    }
    if target < current.div_ceil(2) {
        return Err(Refusal::invalid_argument(format!(
            "{name} down below half your current open shard count. Current open shard count: {current} Target shard \
             count: {target}"
        )));
    }
    if target > MAX_TARGET.min(SHARD_LIMIT) {
        return Err(Refusal::limit_exceeded(format!("{name} to {target} shards: the limit is {MAX_TARGET}.")));
    }
    Ok(())
}

/// Cuts where a range of the target begins, then joins what lies within one.
fn scale(stream: &MemoryStream, target: usize) -> Result<(), Refusal> {
    let ranges: Vec<HashRange> = even_ranges(target).collect();
    for range in &ranges {
        let inside =
            open_ranges(stream).into_iter().find(|(_, open)| open.start < range.start && range.start <= open.end);
        if let Some((shard, _)) = inside {
            stream.split_at(&shard, range.start)?;
        }
    }
    for range in &ranges {
        let mut parts =
            open_ranges(stream).into_iter().filter(|(_, open)| range.start <= open.start && open.end <= range.end);
        let Some((mut whole, _)) = parts.next() else { continue };
        for (part, _) in parts {
            whole = stream.merge(&whole, &part)?.id;
        }
    }
    Ok(())
}

/// The open shards in the order of their hash keys.
fn open_ranges(stream: &MemoryStream) -> Vec<(ShardId, HashRange)> {
    let open = stream.shards().into_iter().filter(|shard| !shard.closed);
    let mut ranges: Vec<_> = open.filter_map(|Shard { id, hash_range, .. }| Some((id, hash_range?))).collect();
    ranges.sort_by_key(|(_, range)| range.start);
    ranges
}
