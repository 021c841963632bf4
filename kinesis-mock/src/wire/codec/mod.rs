//! The two encodings of the protocol, and what has another shape in each.

mod blob;
mod event_stream;
#[cfg(test)]
mod tests;
mod timestamp;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use blob::Blob;
pub(super) use event_stream::{Kind, frame};
pub(super) use timestamp::Timestamp;

use super::refusal::Refusal;

/// How a request is written. Its answer is written the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

impl Encoding {
    /// The encoding of a content type. What is not CBOR is read as JSON, which says best what is wrong with it.
    pub(super) fn of(content_type: &str) -> Self {
        if content_type.starts_with("application/x-amz-cbor") { Self::Cbor } else { Self::Json }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// Reads a request.
    pub(super) fn read<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, Refusal> {
        let read = match self {
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Cbor => ciborium::from_reader(body).map_err(|error| error.to_string()),
        };
        read.map_err(|error| Refusal::new("SerializationException", format!("the request cannot be read: {error}")))
    }

    /// Writes an answer.
    pub(super) fn write(self, answer: &impl Serialize) -> Result<Vec<u8>, Refusal> {
        let mut body = Vec::new();
        let written = match self {
            Self::Json => serde_json::to_writer(&mut body, answer).map_err(|error| error.to_string()),
            Self::Cbor => ciborium::into_writer(answer, &mut body).map_err(|error| error.to_string()),
        };
        written.map_err(|error| Refusal::new("InternalFailure", format!("the answer cannot be written: {error}")))?;
        Ok(body)
    }
}
