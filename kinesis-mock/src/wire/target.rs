//! The stream that a request names, by name or ARN.

use serde::Deserialize;

use super::error::Refusal;
use crate::MemoryStream;

/// The fields by which most operations name their stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    #[serde(rename = "StreamName")]
    name: Option<String>,
    #[serde(rename = "StreamARN")]
    arn: Option<String>,
}

impl Target {
    /// Refuses a request for another stream than the one behind this door, or for none.
    pub(super) fn check(&self, stream: &MemoryStream) -> Result<(), Refusal> {
        match self.asked() {
            None => Err(Refusal::invalid_argument("Either StreamName or StreamARN must be provided.")),
            Some(asked) if stream.id().name == *asked => Ok(()),
            Some(asked) => {
                Err(Refusal::not_found(format!("Stream {asked} under account {} not found.", account(stream))))
            }
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        self.asked().is_none()
    }

    fn asked(&self) -> Option<&str> {
        let of_arn = self.arn.as_deref().map(|arn| arn.rsplit_once('/').map_or(arn, |(_, name)| name));
        self.name.as_deref().or(of_arn)
    }
}

/// The ARN of the stream, in a region of the mock's own.
pub(super) fn arn(stream: &MemoryStream) -> String {
    format!("arn:aws:kinesis:us-east-1:{}:stream/{}", account(stream), stream.id().name)
}

fn account(stream: &MemoryStream) -> &str {
    stream.id().account.as_deref().unwrap_or_default()
}
