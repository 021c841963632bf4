//! The operations that put records.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_core::ShardId;
use serde::{Deserialize, Serialize};

use super::error::Refusal;
use super::script::throttled_entry;
use super::target::Target;
use crate::{MemoryStream, NewRecord};

/// The most entries of one request (API reference of `PutRecords`).
const MAX_ENTRIES: usize = 500;
/// The most bytes of one request, keys included (API reference of `PutRecords`).
const MAX_BYTES: usize = 10 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    data: String,
    partition_key: String,
    explicit_hash_key: Option<String>,
}

impl Entry {
    fn decode(self) -> Result<NewRecord, Refusal> {
        let data = STANDARD
            .decode(&self.data)
            .map_err(|error| Refusal::new("SerializationException", format!("Data is not base64: {error}")))?;
        let mut record = NewRecord::new(self.partition_key, data);
        record.explicit_hash_key = self.explicit_hash_key.map(|key| key.parse()).transpose()?;
        Ok(record)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PutRecord {
    #[serde(flatten)]
    target: Target,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    shard_id: ShardId,
    sequence_number: String,
    encryption_type: &'static str,
}

/// Puts one record.
pub(super) fn put_record(stream: &MemoryStream, request: PutRecord) -> Result<Put, Refusal> {
    request.target.check(stream)?;
    let (shard_id, number) = stream.put_record(request.entry.decode()?)?;
    Ok(Put { shard_id, sequence_number: number.to_string(), encryption_type: "NONE" })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecords {
    #[serde(flatten)]
    target: Target,
    records: Vec<Entry>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMany {
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

/// Puts many records. A bad entry refuses the request; an entry in `refused` fails alone, as throttling makes it.
pub(super) fn put_records(stream: &MemoryStream, request: PutRecords, refused: &[usize]) -> Result<PutMany, Refusal> {
    request.target.check(stream)?;
    let records = request.records.into_iter().map(Entry::decode).collect::<Result<Vec<_>, _>>()?;
    let count = records.len();
    if !(1..=MAX_ENTRIES).contains(&count) {
        return Err(Refusal::invalid_argument(format!(
            "Records has {count} entries, but must have 1 to {MAX_ENTRIES}."
        )));
    }
    let bytes: usize = records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
    if bytes > MAX_BYTES {
        return Err(Refusal::invalid_argument(format!(
            "Records has {bytes} bytes, but must have {MAX_BYTES} at most."
        )));
    }
    let is_refused = |index: usize| refused.contains(&index);
    let taken = records.into_iter().enumerate().filter(|(index, _)| !is_refused(*index)).map(|(_, record)| record);
    let mut put = stream.put_all(taken)?.into_iter();
    let records: Vec<PutEntry> = (0..count)
        .map(|index| match (!is_refused(index)).then(|| put.next()).flatten() {
            Some((shard_id, number)) => PutEntry::Put { shard_id, sequence_number: number.to_string() },
            None => {
                let Refusal { code, message } = throttled_entry();
                PutEntry::Refused { error_code: code.into_owned(), error_message: message }
            }
        })
        .collect();
    let failed_record_count = (0..count).filter(|index| is_refused(*index)).count();
    Ok(PutMany { failed_record_count, records, encryption_type: "NONE" })
}
