//! Which format a request has, and the records in it.

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use kinesis_core::{Channel, PartitionKey, SequenceNumber, ShardId};

use super::{cloud_events, lambda, original};
use crate::{JSON, WEBHOOK_ID};

/// A record as a request has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) id: Option<String>,
    pub(crate) channel: Channel,
    pub(crate) partition_key: Option<PartitionKey>,
    pub(crate) shard: Option<ShardId>,
    pub(crate) sequence_number: SequenceNumber,
    pub(crate) data: Bytes,
    pub(crate) arrived_at: Option<SystemTime>,
}

/// How a request carries its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    /// Any number of them in the body.
    Batch,
    /// One in the body.
    Alone,
    /// One whose attributes are headers.
    InHeaders,
}

/// Why a request is no event, with the line and column or the field.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// Browsers send most types across origins without asking first, so that one of these is required also keeps a page
    /// that is open somewhere from posting events to a receiver on the same machine.
    #[error("the content type is {0}: send application/json or CloudEvents")]
    ContentType(String),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("field `data` is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the header {0} {1}")]
    Header(&'static str, &'static str),
    #[error("field `{0}` {1}")]
    Field(&'static str, &'static str),
}

/// The records of a request, and how it carries them.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Result<(Vec<Parsed>, Carried), Malformed> {
    let named = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("unreadable"));
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        cloud_events::BATCH => Ok((cloud_events::read_batch(body)?, Carried::Batch)),
        cloud_events::STRUCTURED => Ok((vec![cloud_events::read_structured(body)?], Carried::Alone)),
        _ if headers.contains_key(cloud_events::SPEC_VERSION) => {
            Ok((vec![cloud_events::read_binary(headers, body)?], Carried::InHeaders))
        }
        JSON if lambda::is_event(body) => Ok((lambda::read(body)?, Carried::Batch)),
        JSON => {
            let mut parsed = original::decode(body)?;
            parsed.id = headers.get(WEBHOOK_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
            Ok((vec![parsed], Carried::Alone))
        }
        "" => Err(Malformed::ContentType("missing".to_owned())),
        other => Err(Malformed::ContentType(format!("{other:?}"))),
    }
}
