//! What a callback gets.

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderValue;
use kinesis_core::{Channel, PartitionKey, SequenceNumber, ShardId};
use serde::de::DeserializeOwned;

use crate::format::Parsed;

/// A record as it came in a request. Cloning it copies no payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What it is about.
    pub channel: Channel,
    /// The key that chose its shard, where the format says so: the original JSON does not.
    pub partition_key: Option<PartitionKey>,
    /// The shard it comes from, where the format says so.
    pub shard: Option<ShardId>,
    /// Its place in its shard.
    pub sequence_number: SequenceNumber,
    /// The payload as it was put on the stream; base64 is undone.
    pub data: Bytes,
    /// When the stream took it in, to the millisecond, where the sender knows.
    pub arrived_at: Option<SystemTime>,
    /// The sender's name for it, the same over retries: what to recognise repetitions by. In CloudEvents' binary mode it is
    /// not [signed](super::Receiver::verify).
    pub id: Option<String>,
    /// The body of the request that it came in, byte for byte.
    pub body: Bytes,
    /// What its request was signed under, where its own id was not signed.
    pub(super) signed_id: Option<HeaderValue>,
}

impl Event {
    /// An event of a request whose body is `body`.
    pub(super) fn of(parsed: Parsed, body: Bytes) -> Self {
        Self {
            channel: parsed.channel,
            partition_key: parsed.partition_key,
            shard: parsed.shard,
            sequence_number: parsed.sequence_number,
            data: parsed.data,
            arrived_at: parsed.arrived_at,
            id: parsed.id,
            body,
            signed_id: None,
        }
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    ///
    /// When the payload is not JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.data)
    }
}
