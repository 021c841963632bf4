//! The operations that put records.

use std::collections::BTreeSet;

use kinesis_core::{HashKey, SequenceNumber, ShardId};
use serde::{Deserialize, Serialize};

use crate::stream::ACCOUNT;
use crate::wire::codec::Blob;
use crate::wire::fault::throttled_entry;
use crate::wire::refusal::Refusal;
use crate::wire::target::Target;
use crate::wire::validation;
use crate::{Account, MemoryStream, NewRecord};

/// The most entries of one request (API reference of `PutRecords`).
const MAX_ENTRIES: usize = 500;
/// The most bytes of one request, keys included (API reference of `PutRecords`).
const MAX_BYTES: usize = 10 << 20;
/// The longest partition key in characters (API reference of `PutRecord`).
const MAX_KEY_CHARS: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct PutRecord {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Put {
    shard_id: ShardId,
    sequence_number: String,
    encryption_type: &'static str,
}

/// Puts one record.
pub(in crate::wire) fn put_record(account: &Account, request: PutRecord) -> Result<Put, Refusal> {
    if let Some(number) = request.sequence_number_for_ordering {
        number.parse::<SequenceNumber>().map_err(|error| {
            Refusal::invalid_argument(format!("SequenceNumberForOrdering is not a sequence number: {error}"))
        })?;
    }
    let entry = Entry {
        data: request.data,
        partition_key: request.partition_key,
        explicit_hash_key: request.explicit_hash_key,
    };
    let record = entry.check("")?;
    let stream = Target::new(&request.stream_name, &request.stream_arn).ready(account)?;
    let put = stream.put_each(vec![record])?.pop().ok_or_else(|| Refusal::new("InternalFailure", "nothing was put"))?;
    let (shard_id, number) = put.map_err(|error| throttled(&stream, &error))?;
    Ok(Put { shard_id, sequence_number: number.to_string(), encryption_type: "NONE" })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct PutRecords {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    records: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

impl Entry {
    /// The record, once it is known to be one. `path` names the entry in an error.
    fn check(self, path: &str) -> Result<NewRecord, Refusal> {
        let data = validation::required(&format!("{path}data"), self.data)?;
        let (member, key) = (format!("{path}partitionKey"), self.partition_key);
        let key = validation::required(&member, key)?;
        validation::length(&member, key.chars().count(), 1..=MAX_KEY_CHARS)?;
        let mut record = NewRecord::new(key, data.0);
        record.explicit_hash_key = self.explicit_hash_key.map(|key| hash_key(&key)).transpose()?;
        Ok(record)
    }
}

fn hash_key(key: &str) -> Result<HashKey, Refusal> {
    key.parse().map_err(|_| {
        Refusal::invalid_argument(format!(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {key}"
        ))
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct PutMany {
    failed_record_count: usize,
    records: Vec<PutEntry>,
    encryption_type: &'static str,
}

/// What became of one entry.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum PutEntry {
    #[serde(rename_all = "PascalCase")]
    Put { shard_id: ShardId, sequence_number: String },
    #[serde(rename_all = "PascalCase")]
    Refused { error_code: String, error_message: String },
}

impl From<Refusal> for PutEntry {
    fn from(Refusal { code, message }: Refusal) -> Self {
        Self::Refused { error_code: code.into_owned(), error_message: message }
    }
}

/// Puts many records. A bad entry refuses the request; throttling, and the script by `refused`, an entry alone.
pub(in crate::wire) fn put_records(
    account: &Account,
    request: PutRecords,
    refused: &BTreeSet<usize>,
) -> Result<PutMany, Refusal> {
    let entries = validation::required("records", request.records)?;
    validation::length("records", entries.len(), 1..=MAX_ENTRIES)?;
    let checked = entries.into_iter().enumerate();
    let checked = checked.map(|(index, entry)| entry.check(&format!("records.{}.member.", index + 1)));
    let records = checked.collect::<Result<Vec<NewRecord>, _>>()?;
    let bytes: usize = records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
    if bytes > MAX_BYTES {
        return Err(Refusal::invalid_argument(format!(
            "Records size exceeds 10 MB limit: {bytes} bytes, keys included."
        )));
    }
    let stream = Target::new(&request.stream_name, &request.stream_arn).ready(account)?;
    let count = records.len();
    let taken = records.into_iter().enumerate().filter(|(index, _)| !refused.contains(index));
    let mut put = stream.put_each(taken.map(|(_, record)| record).collect())?.into_iter();
    let records: Vec<PutEntry> = (0..count)
        .map(|index| match (!refused.contains(&index)).then(|| put.next()).flatten() {
            None => throttled_entry().into(),
            Some(Err(error)) => throttled(&stream, &error).into(),
            Some(Ok((shard_id, number))) => PutEntry::Put { shard_id, sequence_number: number.to_string() },
        })
        .collect();
    let failed_record_count = records.iter().filter(|entry| matches!(entry, PutEntry::Refused { .. })).count();
    Ok(PutMany { failed_record_count, records, encryption_type: "NONE" })
}

/// What the service says when the shard has taken all it takes in a second.
fn throttled(stream: &MemoryStream, error: &kinesis_core::Error) -> Refusal {
    let shard = error.shard().map(ToString::to_string).unwrap_or_default();
    let name = &stream.id().name;
    let message = format!("Rate exceeded for shard {shard} in stream {name} under account {ACCOUNT}.");
    Refusal::new("ProvisionedThroughputExceededException", message)
}
