//! The operations that read records.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_core::{Record, SequenceNumber, Shard, ShardId, StartPosition};
use serde::{Deserialize, Serialize};

use super::error::Refusal;
use super::shards::HashKeyRange;
use super::target::Target;
use super::tokens::{self, IteratorToken};
use super::{from_seconds, to_seconds};
use crate::MemoryStream;
use crate::stream::{Log, MAX_ANSWER, Request, ShardLog};

/// The most records of one answer, and the default (API reference of `GetRecords`).
const MAX_RECORDS: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetShardIterator {
    #[serde(flatten)]
    target: Target,
    shard_id: ShardId,
    shard_iterator_type: IteratorType,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum IteratorType {
    AtSequenceNumber,
    AfterSequenceNumber,
    TrimHorizon,
    Latest,
    AtTimestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardIterator {
    shard_iterator: String,
}

/// Makes an iterator. The tip is pinned to the last number given out, so that no later record is missed.
pub(super) fn get_shard_iterator(stream: &MemoryStream, request: &GetShardIterator) -> Result<ShardIterator, Refusal> {
    request.target.check(stream)?;
    let (position, issued) = stream.with_log(|log, now| {
        let shard = log.get(&request.shard_id)?;
        let position = match request.shard_iterator_type {
            IteratorType::TrimHorizon => StartPosition::TrimHorizon,
            IteratorType::Latest => StartPosition::After(log.last_number()),
            IteratorType::AtSequenceNumber => StartPosition::At(starting_number(request, log, shard)?),
            IteratorType::AfterSequenceNumber => StartPosition::After(starting_number(request, log, shard)?),
            IteratorType::AtTimestamp => StartPosition::Timestamp(starting_time(request, now)?),
        };
        Ok::<_, Refusal>((position, now))
    })?;
    Ok(ShardIterator { shard_iterator: iterator(stream, &request.shard_id, position, issued) })
}

fn starting_number(request: &GetShardIterator, log: &Log, shard: &ShardLog) -> Result<SequenceNumber, Refusal> {
    let text = request.starting_sequence_number.as_deref().ok_or_else(|| {
        Refusal::invalid_argument("Must either specify a StartingSequenceNumber or another ShardIteratorType.")
    })?;
    let number = text.parse::<SequenceNumber>().ok().filter(|number| {
        let first = shard.shard.starting_sequence_number.unwrap_or_default();
        let last = shard.shard.ending_sequence_number.unwrap_or(log.last_number());
        number.sub() == 0 && (first..=last).contains(number)
    });
    number.ok_or_else(|| {
        Refusal::invalid_argument(format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {} is invalid because it did not come \
             from this shard.",
            request.shard_id
        ))
    })
}

fn starting_time(request: &GetShardIterator, now: SystemTime) -> Result<SystemTime, Refusal> {
    let time = request.timestamp.and_then(from_seconds);
    let time = time.ok_or_else(|| Refusal::invalid_argument("AT_TIMESTAMP needs a Timestamp."))?;
    match time <= now {
        true => Ok(time),
        false => Err(Refusal::invalid_argument("The Timestamp must not lie in the future.")),
    }
}

fn iterator(stream: &MemoryStream, shard: &ShardId, position: StartPosition, issued: SystemTime) -> String {
    let stream = stream.id().name.to_string();
    tokens::seal(&IteratorToken { stream, shard: shard.clone(), position, issued })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Records {
    records: Vec<WireRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    child_shards: Option<Vec<ChildShard>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireRecord {
    sequence_number: String,
    approximate_arrival_timestamp: Option<f64>,
    data: String,
    partition_key: kinesis_core::PartitionKey,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChildShard {
    shard_id: ShardId,
    parent_shards: Vec<ShardId>,
    hash_key_range: Option<HashKeyRange>,
}

impl From<Record> for WireRecord {
    fn from(record: Record) -> Self {
        Self {
            sequence_number: record.sequence_number.to_string(),
            approximate_arrival_timestamp: record.arrived_at.map(to_seconds),
            data: STANDARD.encode(&record.data),
            partition_key: record.partition_key,
        }
    }
}

impl From<Shard> for ChildShard {
    fn from(shard: Shard) -> Self {
        let hash_key_range = shard.hash_range.map(HashKeyRange::from);
        Self { shard_id: shard.id, parent_shards: shard.parents, hash_key_range }
    }
}

/// Reads from an iterator on. What was trimmed in the meantime is passed over in silence, as the service does.
pub(super) fn get_records(stream: &MemoryStream, request: &GetRecords) -> Result<Records, Refusal> {
    let token: IteratorToken = tokens::unseal(&request.shard_iterator)
        .filter(|token: &IteratorToken| stream.id().name == *token.stream)
        .ok_or_else(|| Refusal::invalid_argument("Invalid ShardIterator."))?;
    let good_for = stream.settings().iterator_expiry;
    if tokens::is_expired(token.issued, stream.now(), good_for) {
        let message = format!("The iterator is older than the {} ms it is good for.", good_for.as_millis());
        return Err(Refusal::new("ExpiredIteratorException", message));
    }
    let limit = request.limit.unwrap_or(MAX_RECORDS);
    if !(1..=MAX_RECORDS).contains(&limit) {
        return Err(Refusal::invalid_argument(format!("Limit is {limit}, but must lie between 1 and {MAX_RECORDS}.")));
    }
    let read = Request { from: token.position, max_records: limit, max_bytes: Some(MAX_ANSWER) };
    let (found, children) = stream.read(&token.shard, &read, true, |_| Ok(()))?;
    let ended = children.is_some();
    Ok(Records {
        records: found.records.into_iter().map(WireRecord::from).collect(),
        next_shard_iterator: (!ended).then(|| iterator(stream, &token.shard, found.next, stream.now())),
        millis_behind_latest: found.behind.as_millis() as u64,
        child_shards: children.map(|children| children.into_iter().map(ChildShard::from).collect()),
    })
}
