//! Refusals, with the codes of the service.

use std::borrow::Cow;

use kinesis_core::ErrorKind;
use serde::Serialize;

/// What the service answers instead of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Cow<'static, str>,
    pub(super) message: String,
}

/// A refusal as the body of an answer has it.
#[derive(Debug, Serialize)]
pub(super) struct RefusalBody<'a> {
    #[serde(rename = "__type")]
    code: &'a str,
    message: &'a str,
}

impl Refusal {
    pub(super) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub(super) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new("InvalidArgumentException", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    pub(super) fn in_use(message: impl Into<String>) -> Self {
        Self::new("ResourceInUseException", message)
    }

    pub(super) fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new("LimitExceededException", message)
    }

    /// The HTTP status: 400 but for the service's own faults.
    pub(super) fn status(&self) -> u16 {
        match &*self.code {
            "InternalFailure" | "InternalFailureException" | "InternalServerError" => 500,
            "RequestEntityTooLargeException" => 413,
            "ServiceUnavailable" | "ServiceUnavailableException" => 503,
            _ => 400,
        }
    }

    pub(super) fn body(&self) -> RefusalBody<'_> {
        RefusalBody { code: &self.code, message: &self.message }
    }
}

impl From<kinesis_core::Error> for Refusal {
    fn from(error: kinesis_core::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::NotFound => "ResourceNotFoundException",
            ErrorKind::Throttled { .. } => "ProvisionedThroughputExceededException",
            ErrorKind::Invalid => "InvalidArgumentException",
            _ => "InternalFailure",
        };
        Self::new(code, error.to_string())
    }
}
