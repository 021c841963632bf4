//! What a callback gets.

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use kinesis_core::{Channel, SequenceNumber};
use serde::de::DeserializeOwned;

use crate::WEBHOOK_ID;
use crate::original::{self, Malformed};

/// A record as it came in a request. Cloning it copies no payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What it is about.
    pub channel: Channel,
    /// Its place in its shard.
    pub sequence_number: SequenceNumber,
    /// The payload as it was put on the stream; base64 is undone.
    pub data: Bytes,
    /// When the stream took it in, to the millisecond, where the sender knows.
    pub arrived_at: Option<SystemTime>,
    /// The sender's name for it, the same over retries: what to recognise repetitions by.
    pub id: Option<String>,
    /// The body of the request, byte for byte.
    pub body: Bytes,
}

impl Event {
    pub(super) fn parse(headers: &HeaderMap, body: Bytes) -> Result<Self, Malformed> {
        let original = original::decode(&body)?;
        Ok(Self {
            channel: original.channel,
            sequence_number: original.sequence_number,
            data: original.data,
            arrived_at: original.arrived_at,
            id: headers.get(WEBHOOK_ID).and_then(|id| id.to_str().ok()).map(str::to_owned),
            body,
        })
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
