//! From the name of an operation to the function that does it, and from JSON text to its request and back.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Refusal;
use super::{reading, shards, writing};
use crate::MemoryStream;

/// Service name and version, before the dot of `X-Amz-Target`.
const SERVICE: &str = "Kinesis_20131202";

/// The operation that an `X-Amz-Target` header names.
pub(super) fn operation_of(target: &str) -> Option<&str> {
    target.strip_prefix(SERVICE)?.strip_prefix('.')
}

/// Does what the request asks for; `refused` are the entries of a `PutRecords` to be refused.
pub(super) fn route(stream: &MemoryStream, target: &str, body: &[u8], refused: &[usize]) -> Result<Vec<u8>, Refusal> {
    match operation_of(target) {
        Some("DescribeStreamSummary") => json(body, |request| shards::describe_stream_summary(stream, &request)),
        Some("GetRecords") => json(body, |request| reading::get_records(stream, &request)),
        Some("GetShardIterator") => json(body, |request| reading::get_shard_iterator(stream, &request)),
        Some("ListShards") => json(body, |request| shards::list_shards(stream, &request)),
        Some("PutRecord") => json(body, |request| writing::put_record(stream, request)),
        Some("PutRecords") => json(body, |request| writing::put_records(stream, request, refused)),
        _ => Err(Refusal::new("UnknownOperationException", format!("the operation {target:?} is not known here"))),
    }
}

fn json<I: DeserializeOwned, O: Serialize>(
    body: &[u8],
    operation: impl FnOnce(I) -> Result<O, Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let request = serde_json::from_slice(body)
        .map_err(|error| Refusal::new("SerializationException", format!("the request cannot be read: {error}")))?;
    let answer = operation(request)?;
    serde_json::to_vec(&answer)
        .map_err(|error| Refusal::new("InternalFailure", format!("the answer cannot be written: {error}")))
}
