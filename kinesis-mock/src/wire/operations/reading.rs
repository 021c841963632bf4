//! The operations that read records.

use std::time::SystemTime;

use kinesis_core::{Record, Shard, ShardId, StartPosition};
use serde::{Deserialize, Serialize};

use super::positions::Asked;
use super::shards::HashKeyRange;
use crate::stream::{MAX_ANSWER, Request};
use crate::wire::codec::{Blob, Timestamp};
use crate::wire::refusal::Refusal;
use crate::wire::target::{self, Target};
use crate::wire::tokens::{self, IteratorToken, OfStream};
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// The most records of one answer, and the default (API reference of `GetRecords`).
const MAX_RECORDS: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct GetShardIterator {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: Option<ShardId>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ShardIterator {
    shard_iterator: String,
}

/// Makes an iterator.
pub(in crate::wire) fn get_shard_iterator(
    account: &Account,
    request: &GetShardIterator,
) -> Result<ShardIterator, Refusal> {
    let shard_id = validation::required("shardId", request.shard_id.as_ref())?;
    let stream = Target::new(&request.stream_name, &request.stream_arn).ready(account)?;
    let asked = Asked {
        operation: "GetShardIterator",
        member: "shardIteratorType",
        r#type: &request.shard_iterator_type,
        number: &request.starting_sequence_number,
        time: request.timestamp,
    };
    let (position, issued) = stream.with_log(|log, now| {
        let shard = log.get(shard_id).map_err(|_| target::unknown_shard(&stream, shard_id))?;
        Ok::<_, Refusal>((asked.pin(&stream, log, shard)?, now))
    })?;
    Ok(ShardIterator { shard_iterator: iterator(&stream, shard_id, position, issued) })
}

fn iterator(stream: &MemoryStream, shard: &ShardId, position: StartPosition, issued: SystemTime) -> String {
    tokens::seal(&IteratorToken { stream: OfStream::new(stream), shard: shard.clone(), position, issued })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct GetRecords {
    shard_iterator: Option<String>,
    limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Records {
    records: Vec<WireRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    child_shards: Option<Vec<ChildShard>>,
}

/// A record as both ways of reading have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WireRecord {
    sequence_number: String,
    approximate_arrival_timestamp: Option<Timestamp>,
    data: Blob,
    partition_key: kinesis_core::PartitionKey,
    encryption_type: &'static str,
}

/// A shard that carries on where another ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChildShard {
    shard_id: ShardId,
    parent_shards: Vec<ShardId>,
    hash_key_range: Option<HashKeyRange>,
}

impl From<Record> for WireRecord {
    fn from(record: Record) -> Self {
        Self {
            sequence_number: record.sequence_number.to_string(),
            approximate_arrival_timestamp: record.arrived_at.map(Timestamp::from),
            data: Blob(record.data),
            partition_key: record.partition_key,
            encryption_type: "NONE",
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
///
/// `empty` makes a page without records, as the service may answer with at any time.
pub(in crate::wire) fn get_records(account: &Account, request: &GetRecords, empty: bool) -> Result<Records, Refusal> {
    let token = validation::required("shardIterator", request.shard_iterator.as_deref())?;
    let limit = validation::within("limit", request.limit, 1..=MAX_RECORDS, MAX_RECORDS)?;
    let token: IteratorToken =
        tokens::unseal(token).ok_or_else(|| Refusal::invalid_argument("Invalid ShardIterator."))?;
    let stream = token.stream.find(account).ok_or_else(|| {
        Refusal::not_found(format!("Stream {} of this ShardIterator does not exist any more.", token.stream.name()))
    })?;
    let good_for = stream.settings().iterator_expiry;
    if tokens::is_expired(token.issued, stream.now(), good_for) {
        let message = format!("The iterator is older than the {} ms it is good for.", good_for.as_millis());
        return Err(Refusal::new("ExpiredIteratorException", message));
    }
    let max_records = if stream.is_page_empty() || empty { 0 } else { limit };
    let read = Request { from: token.position, max_records, max_bytes: Some(MAX_ANSWER) };
    let (found, children) = stream.read(&token.shard, &read, true, |_| Ok(()))?;
    let ended = children.is_some();
    Ok(Records {
        records: found.records.into_iter().map(WireRecord::from).collect(),
        next_shard_iterator: (!ended).then(|| iterator(&stream, &token.shard, found.next, stream.now())),
        millis_behind_latest: found.behind.as_millis() as u64,
        child_shards: children.map(|children| children.into_iter().map(ChildShard::from).collect()),
    })
}
