//! The operations that say what the stream and its shards are.

use std::time::{Duration, SystemTime};

use kinesis_core::{HashRange, Shard, ShardId};
use serde::{Deserialize, Serialize};

use super::error::Refusal;
use super::target::{self, Target};
use super::tokens::{self, ListToken};
use super::{from_seconds, to_seconds};
use crate::MemoryStream;
use crate::stream::ShardLog;

/// How long a `NextToken` is good for (API reference of `ListShards`).
const TOKEN_EXPIRY: Duration = Duration::from_secs(300);
/// Shards of a page, where the request does not say (API reference of `ListShards`).
const DEFAULT_PAGE: usize = 1000;
/// The largest `MaxResults` (API reference of `ListShards`).
const MAX_PAGE: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListShards {
    #[serde(flatten)]
    target: Target,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<ShardId>,
    max_results: Option<usize>,
    shard_filter: Option<ShardFilter>,
}

/// Which shards a listing holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardFilter {
    r#type: FilterType,
    shard_id: Option<ShardId>,
    timestamp: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FilterType {
    AfterShardId,
    AtTrimHorizon,
    FromTrimHorizon,
    AtLatest,
    AtTimestamp,
    FromTimestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardPage {
    shards: Vec<ListedShard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedShard {
    shard_id: ShardId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<ShardId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<ShardId>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

/// A range of hash keys, both ends included, as decimal text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl From<HashRange> for HashKeyRange {
    fn from(range: HashRange) -> Self {
        Self { starting_hash_key: range.start.to_string(), ending_hash_key: range.end.to_string() }
    }
}

impl ListedShard {
    fn new(log: &ShardLog) -> Self {
        let Shard { id, parents, starting_sequence_number, ending_sequence_number, .. } = &log.shard;
        Self {
            shard_id: id.clone(),
            parent_shard_id: parents.first().cloned(),
            adjacent_parent_shard_id: parents.get(1).cloned(),
            hash_key_range: log.range.into(),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: starting_sequence_number.unwrap_or_default().to_string(),
                ending_sequence_number: ending_sequence_number.map(|number| number.to_string()),
            },
        }
    }
}

/// Lists the shards page by page. A page after the first is asked for with its token and nothing else.
pub(super) fn list_shards(stream: &MemoryStream, request: &ListShards) -> Result<ShardPage, Refusal> {
    let (after, filter) = match &request.next_token {
        None => {
            request.target.check(stream)?;
            (request.exclusive_start_shard_id.clone(), request.shard_filter.clone())
        }
        Some(token) => resume(stream, request, token)?,
    };
    let page = request.max_results.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&page) {
        return Err(Refusal::invalid_argument(format!("MaxResults is {page}, but must lie between 1 and {MAX_PAGE}.")));
    }
    let selects = Selection::new(filter.as_ref())?;
    stream.with_log(|log, now| {
        let retained: Vec<&ShardId> = log.shards().map(|log| &log.shard.id).collect();
        let is_oldest = |log: &ShardLog| !log.shard.parents.iter().any(|parent| retained.contains(&parent));
        let mut left = log
            .shards()
            .filter(|log| after.as_ref().is_none_or(|after| log.shard.id > *after))
            .filter(|log| selects.takes(log, is_oldest(log)));
        let shards: Vec<_> = left.by_ref().take(page).map(ListedShard::new).collect();
        let last = shards.last().filter(|_| left.next().is_some());
        let next_token = last.map(|last| {
            let stream = stream.id().name.to_string();
            tokens::seal(&ListToken { stream, after: last.shard_id.clone(), filter: filter.clone(), issued: now })
        });
        Ok(ShardPage { shards, next_token })
    })
}

fn resume(
    stream: &MemoryStream,
    request: &ListShards,
    token: &str,
) -> Result<(Option<ShardId>, Option<ShardFilter>), Refusal> {
    if !request.target.is_absent() || request.exclusive_start_shard_id.is_some() || request.shard_filter.is_some() {
        return Err(Refusal::invalid_argument(
            "NextToken must come alone, without StreamName, StreamARN, ExclusiveStartShardId or ShardFilter.",
        ));
    }
    let token: ListToken = tokens::unseal(token)
        .filter(|token: &ListToken| stream.id().name == *token.stream)
        .ok_or_else(|| Refusal::invalid_argument("NextToken is invalid."))?;
    if tokens::is_expired(token.issued, stream.now(), TOKEN_EXPIRY) {
        return Err(Refusal::new("ExpiredNextTokenException", "NextToken is older than 300 seconds."));
    }
    Ok((Some(token.after), token.filter))
}

/// A filter that was checked.
#[derive(Debug)]
enum Selection {
    All,
    After(ShardId),
    Open,
    /// The shards that were open at the trim horizon: those none of whose parents is retained.
    Oldest,
    OpenAt(SystemTime),
    OpenSince(SystemTime),
}

impl Selection {
    fn new(filter: Option<&ShardFilter>) -> Result<Self, Refusal> {
        let Some(filter) = filter else { return Ok(Self::All) };
        let time = || {
            let time = filter.timestamp.and_then(from_seconds);
            time.ok_or_else(|| Refusal::invalid_argument("A ShardFilter by time needs a Timestamp."))
        };
        Ok(match filter.r#type {
            FilterType::FromTrimHorizon => Self::All,
            FilterType::AtTrimHorizon => Self::Oldest,
            FilterType::AtLatest => Self::Open,
            FilterType::AtTimestamp => Self::OpenAt(time()?),
            FilterType::FromTimestamp => Self::OpenSince(time()?),
            FilterType::AfterShardId => {
                Self::After(filter.shard_id.clone().ok_or_else(|| {
                    Refusal::invalid_argument("A ShardFilter of type AFTER_SHARD_ID needs a ShardId.")
                })?)
            }
        })
    }

    fn takes(&self, log: &ShardLog, is_oldest: bool) -> bool {
        match self {
            Self::All => true,
            Self::After(id) => log.shard.id > *id,
            Self::Open => !log.shard.closed,
            Self::Oldest => is_oldest,
            Self::OpenAt(time) => log.opened_at <= *time && log.closed_at.is_none_or(|at| at > *time),
            Self::OpenSince(time) => log.closed_at.is_none_or(|at| at >= *time),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct DescribeStreamSummary {
    #[serde(flatten)]
    target: Target,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    stream_description_summary: Summary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    retention_period_hours: u64,
    stream_creation_timestamp: f64,
    enhanced_monitoring: [(); 0],
    encryption_type: &'static str,
    open_shard_count: usize,
    consumer_count: u32,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: usize,
}

/// Says what the stream is, without its shards.
pub(super) fn describe_stream_summary(
    stream: &MemoryStream,
    request: &DescribeStreamSummary,
) -> Result<Described, Refusal> {
    request.target.check(stream)?;
    let settings = stream.settings();
    let stream_description_summary = Summary {
        stream_name: stream.id().name.to_string(),
        stream_arn: target::arn(stream),
        stream_status: "ACTIVE",
        retention_period_hours: settings.retention.as_secs() / 3600,
        stream_creation_timestamp: stream.id().created_at.map_or(0.0, to_seconds),
        enhanced_monitoring: [],
        encryption_type: "NONE",
        open_shard_count: stream.with_log(|log, _| log.shards().filter(|log| !log.shard.closed).count()),
        consumer_count: 0,
        max_record_size_in_kib: settings.max_record_size / 1024,
    };
    Ok(Described { stream_description_summary })
}
