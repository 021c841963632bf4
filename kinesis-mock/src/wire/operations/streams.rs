//! The operations that create, delete and describe a stream.

use kinesis_core::ShardId;
use serde::{Deserialize, Serialize};

use super::shards::ListedShard;
use super::{OnlyTarget, StreamModeDetails};
use crate::account::{Entry, Phase};
use crate::stream::ACCOUNT;
use crate::wire::codec::Timestamp;
use crate::wire::refusal::Refusal;
use crate::wire::target::{self, Target};
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// The most open shards of an account (quotas page of the Kinesis developer guide, the larger regions).
pub(super) const SHARD_LIMIT: usize = 20_000;
/// What an on-demand stream starts with (Kinesis developer guide, "Choose the data stream capacity mode").
const ON_DEMAND_SHARDS: usize = 4;
/// The most shards of one answer of `DescribeStream`, and the default (its API reference).
const DESCRIBED_SHARDS: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct CreateStream {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
    tags: Option<super::tags::Tags>,
}

/// Creates a stream; it can be used once it is `ACTIVE`.
pub(in crate::wire) fn create_stream(account: &Account, request: CreateStream) -> Result<(), Refusal> {
    let name = validation::required("streamName", request.stream_name)?;
    validation::name("streamName", &name)?;
    let modes = [("PROVISIONED", false), ("ON_DEMAND", true)];
    let on_demand = match &request.stream_mode_details {
        None => false,
        Some(details) => validation::one_of("streamModeDetails.streamMode", &details.stream_mode, &modes)?,
    };
    let shards = match (on_demand, request.shard_count) {
        (true, _) => ON_DEMAND_SHARDS,
        (false, None) => return Err(Refusal::invalid_argument("ShardCount must be given for a PROVISIONED stream.")),
        (false, count) => validation::within("shardCount", count, 1..=100_000, 1)?,
    };
    let size = super::settings::record_size(request.max_record_size_in_kib)?;
    let open = open_shards(account);
    if open + shards > SHARD_LIMIT {
        return Err(Refusal::limit_exceeded(format!(
            "This request would exceed the shard limit for the account {ACCOUNT} in {}. Current shard count for the \
             account: {open}. Limit: {SHARD_LIMIT}. Number of additional shards that would have resulted from this \
             request: {shards}.",
            account.region()
        )));
    }
    let stream = account
        .begin_create(&name, shards, on_demand)
        .ok_or_else(|| Refusal::in_use(format!("Stream {name} under account {ACCOUNT} already exists.")))?;
    if let Some(size) = size {
        stream.set_max_record_size(size);
    }
    account.change(&name, |entry| entry.tags.extend(request.tags.unwrap_or_default()));
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct DeleteStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    enforce_consumer_deletion: Option<bool>,
}

/// Deletes a stream. One with consumers is deleted only with them.
pub(in crate::wire) fn delete_stream(account: &Account, request: &DeleteStream) -> Result<(), Refusal> {
    let entry = Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    let name = entry.stream.id().name.to_string();
    if let Phase::Deleting { .. } = entry.phase {
        return Err(Refusal::in_use(format!("Stream {name} under account {ACCOUNT} is being deleted already.")));
    }
    let consumers = entry.stream.with_consumers(|consumers| consumers.len());
    if consumers > 0 && request.enforce_consumer_deletion != Some(true) {
        return Err(Refusal::in_use(format!(
            "Stream {name} under account {ACCOUNT} has {consumers} consumers: deregister them, or set \
             EnforceConsumerDeletion."
        )));
    }
    account.enter(&name, |until| Phase::Deleting { until });
    Ok(())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Summarized {
    stream_description_summary: Summary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    retention_period_hours: u64,
    stream_creation_timestamp: Option<Timestamp>,
    enhanced_monitoring: [ShardLevelMetrics; 1],
    encryption_type: &'static str,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShardLevelMetrics {
    shard_level_metrics: [(); 0],
}

/// Says what the stream is, without its shards.
pub(in crate::wire) fn describe_stream_summary(account: &Account, request: &OnlyTarget) -> Result<Summarized, Refusal> {
    let Entry { stream, phase, on_demand, .. } =
        Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    let settings = stream.settings();
    let stream_description_summary = Summary {
        stream_name: stream.id().name.to_string(),
        stream_arn: target::arn(account, &stream),
        stream_status: phase.status(),
        stream_mode_details: StreamModeDetails::new(on_demand),
        retention_period_hours: settings.retention.as_secs() / 3600,
        stream_creation_timestamp: stream.id().created_at.map(Timestamp::from),
        enhanced_monitoring: [ShardLevelMetrics { shard_level_metrics: [] }],
        encryption_type: "NONE",
        open_shard_count: open_shards_of(&stream),
        consumer_count: stream.with_consumers(|consumers| consumers.len()),
        max_record_size_in_kib: settings.max_record_size / 1024,
    };
    Ok(Summarized { stream_description_summary })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct DescribeStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<ShardId>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Described {
    stream_description: Description,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    shards: Vec<ListedShard>,
    has_more_shards: bool,
    retention_period_hours: u64,
    stream_creation_timestamp: Option<Timestamp>,
    enhanced_monitoring: [ShardLevelMetrics; 1],
    encryption_type: &'static str,
}

/// Says what the stream is, with a page of its shards. While it is created it has none.
pub(in crate::wire) fn describe_stream(account: &Account, request: &DescribeStream) -> Result<Described, Refusal> {
    let limit = validation::within("limit", request.limit, 1..=10_000, DESCRIBED_SHARDS)?.min(DESCRIBED_SHARDS);
    let Entry { stream, phase, on_demand, .. } =
        Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    let after = request.exclusive_start_shard_id.as_ref();
    let is_there = !matches!(phase, Phase::Creating { .. });
    let (shards, has_more_shards) = stream.with_log(|log, _| {
        let mut left = log.shards().filter(|log| is_there && after.is_none_or(|after| log.shard.id > *after));
        (left.by_ref().take(limit).map(ListedShard::new).collect(), left.next().is_some())
    });
    let stream_description = Description {
        stream_name: stream.id().name.to_string(),
        stream_arn: target::arn(account, &stream),
        stream_status: phase.status(),
        stream_mode_details: StreamModeDetails::new(on_demand),
        shards,
        has_more_shards,
        retention_period_hours: stream.settings().retention.as_secs() / 3600,
        stream_creation_timestamp: stream.id().created_at.map(Timestamp::from),
        enhanced_monitoring: [ShardLevelMetrics { shard_level_metrics: [] }],
        encryption_type: "NONE",
    };
    Ok(Described { stream_description })
}

/// The open shards of all streams.
pub(super) fn open_shards(account: &Account) -> usize {
    account.entries().iter().map(|entry| open_shards_of(&entry.stream)).sum()
}

pub(super) fn open_shards_of(stream: &MemoryStream) -> usize {
    stream.with_log(|log, _| log.shards().filter(|log| !log.shard.closed).count())
}
