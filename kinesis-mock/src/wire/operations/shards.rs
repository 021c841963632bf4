//! The operation that lists the shards of a stream.

use std::time::SystemTime;

use kinesis_core::{HashRange, Shard, ShardId};
use serde::{Deserialize, Serialize};

use crate::account::Phase;
use crate::stream::ShardLog;
use crate::wire::codec::Timestamp;
use crate::wire::refusal::Refusal;
use crate::wire::target::Target;
use crate::wire::tokens::{self, OfStream, ShardsToken};
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// Shards of a page, where the request does not say (API reference of `ListShards`).
const DEFAULT_PAGE: usize = 1000;
/// The largest `MaxResults` (API reference of `ListShards`).
const MAX_PAGE: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ListShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<ShardId>,
    max_results: Option<i64>,
    shard_filter: Option<ShardFilter>,
    stream_creation_timestamp: Option<Timestamp>,
}

/// Which shards a listing holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<ShardId>,
    timestamp: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
enum FilterType {
    AfterShardId,
    AtTrimHorizon,
    FromTrimHorizon,
    AtLatest,
    AtTimestamp,
    FromTimestamp,
}

/// The words of the API.
const FILTER_TYPES: [(&str, FilterType); 6] = [
    ("AFTER_SHARD_ID", FilterType::AfterShardId),
    ("AT_TRIM_HORIZON", FilterType::AtTrimHorizon),
    ("FROM_TRIM_HORIZON", FilterType::FromTrimHorizon),
    ("AT_LATEST", FilterType::AtLatest),
    ("AT_TIMESTAMP", FilterType::AtTimestamp),
    ("FROM_TIMESTAMP", FilterType::FromTimestamp),
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ShardPage {
    shards: Vec<ListedShard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// A shard as listings have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedShard {
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
pub(in crate::wire) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl From<HashRange> for HashKeyRange {
    fn from(range: HashRange) -> Self {
        Self { starting_hash_key: range.start.to_string(), ending_hash_key: range.end.to_string() }
    }
}

impl ListedShard {
    pub(super) fn new(log: &ShardLog) -> Self {
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
pub(in crate::wire) fn list_shards(account: &Account, request: &ListShards) -> Result<ShardPage, Refusal> {
    let page = validation::within("maxResults", request.max_results, 1..=MAX_PAGE, DEFAULT_PAGE)?;
    let (stream, after, filter) = match &request.next_token {
        None => first_page(account, request)?,
        Some(token) => resume(account, request, token)?,
    };
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
            let (stream, after) = (OfStream::new(&stream), last.shard_id.clone());
            tokens::seal(&ShardsToken { stream, after, filter: filter.clone(), issued: now })
        });
        Ok(ShardPage { shards, next_token })
    })
}

/// The stream, and the shard and filter after and by which it is listed.
type Page = (MemoryStream, Option<ShardId>, Option<ShardFilter>);

fn first_page(account: &Account, request: &ListShards) -> Result<Page, Refusal> {
    let entry = Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    let name = &entry.stream.id().name;
    if let Phase::Creating { .. } = entry.phase {
        return Err(Refusal::in_use(format!("Stream {name} is CREATING: its shards can be listed once it is ACTIVE.")));
    }
    let created = entry.stream.id().created_at.map(Timestamp::from);
    if request.stream_creation_timestamp.is_some_and(|asked| Some(asked) != created) {
        return Err(Refusal::not_found(format!("No stream {name} was created at the StreamCreationTimestamp.")));
    }
    Ok((entry.stream, request.exclusive_start_shard_id.clone(), request.shard_filter.clone()))
}

fn resume(account: &Account, request: &ListShards, token: &str) -> Result<Page, Refusal> {
    let beside = [
        ("StreamName", request.stream_name.is_some()),
        ("StreamARN", request.stream_arn.is_some()),
        ("ExclusiveStartShardId", request.exclusive_start_shard_id.is_some()),
        ("StreamCreationTimestamp", request.stream_creation_timestamp.is_some()),
        ("ShardFilter", request.shard_filter.is_some()),
    ];
    if let Some((member, _)) = beside.iter().find(|(_, is_there)| *is_there) {
        // In the words of the service (botocore#2009, aws-cli#9635, beam#33478).
        return Err(Refusal::invalid_argument(format!("NextToken and {member} cannot be provided together.")));
    }
    let token: ShardsToken = tokens::unseal_page(token)?;
    let stream = token.stream.find(account).ok_or_else(|| {
        Refusal::not_found(format!("Stream {} of this NextToken does not exist any more.", token.stream.name()))
    })?;
    tokens::check_page_age(token.issued, stream.now())?;
    Ok((stream, Some(token.after), token.filter))
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
            let time = filter.timestamp.map(Timestamp::time);
            time.ok_or_else(|| Refusal::invalid_argument("A ShardFilter by time needs a Timestamp."))
        };
        let word = validation::required("shardFilter.type", filter.r#type.as_deref())?;
        Ok(match validation::one_of("shardFilter.type", word, &FILTER_TYPES)? {
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
