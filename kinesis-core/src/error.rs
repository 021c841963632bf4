//! The one error of the toolkit: a kind to decide by, a sentence to read, and the cause behind it.
//!
//! Who retries, who waits and who stops is decided by [`ErrorKind`] alone, so that a pipeline treats a source over AWS
//! and a source over a file the same way. Backends keep their own private error types and convert at their door.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::shard::ShardId;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A boxed cause, as [`std::error::Error::source`] hands it out.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a failure means to the one who has to react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Asked too often or for too much. Nothing is wrong; wait and ask again.
    Throttled {
        /// How long the backend asks to wait, where it says so.
        retry_after: Option<Duration>,
    },
    /// A fault that is expected to pass: a broken connection, a timeout, an internal error of the service.
    Transient,
    /// The position is older than what the source still retains.
    PositionExpired,
    /// The stream, the shard or the row does not exist.
    NotFound,
    /// The credentials do not allow it.
    Denied,
    /// The request or the configuration is wrong; the same request will fail again.
    Invalid,
    /// This backend cannot do it, and says so in its capabilities.
    Unsupported,
    /// Somebody else holds the lease now. The shard has to be let go; what was in flight will repeat elsewhere.
    LeaseLost,
    /// An implementation broke the contract of its trait.
    Contract,
    /// Anything else that repeating will not mend.
    Permanent,
}

impl ErrorKind {
    /// Whether the same call can succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Transient)
    }

    /// One lower-case word, for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled { .. } => "throttled",
            Self::Transient => "transient",
            Self::PositionExpired => "position-expired",
            Self::NotFound => "not-found",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::LeaseLost => "lease-lost",
            Self::Contract => "contract",
            Self::Permanent => "permanent",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure of a source, a sink, a lease store or the pipeline itself.
///
/// [`Display`](fmt::Display) is one line and holds no secret; causes are reached through
/// [`source`](std::error::Error::source) or written out by [`Error::chain`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    shard: Option<ShardId>,
    source: Option<BoxError>,
}

impl Error {
    /// An error of `kind` with one sentence that names the thing, the value and the way out.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), shard: None, source: None }))
    }

    /// A [`ErrorKind::Transient`] fault.
    pub fn transient(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// A [`ErrorKind::Throttled`] answer, with the wait the backend asked for.
    pub fn throttled(retry_after: Option<Duration>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Throttled { retry_after }, message)
    }

    /// An [`ErrorKind::Invalid`] request or configuration.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// An [`ErrorKind::NotFound`] answer.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// An [`ErrorKind::Unsupported`] answer.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// An [`ErrorKind::Permanent`] failure.
    pub fn permanent(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Permanent, message)
    }

    /// A broken trait contract, found by whoever relied on it.
    pub fn contract(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Contract, message)
    }

    /// Names the shard it happened on, unless one is named already.
    #[must_use]
    pub fn on_shard(mut self, shard: &ShardId) -> Self {
        self.0.shard.get_or_insert_with(|| shard.clone());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What it means to the one who reacts.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The shard it happened on, where there is one.
    #[must_use]
    pub fn shard(&self) -> Option<&ShardId> {
        self.0.shard.as_ref()
    }

    /// The sentence, without shard and causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How long the backend asks to wait, where it throttled and said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.kind {
            ErrorKind::Throttled { retry_after } => retry_after,
            _ => None,
        }
    }

    /// Writes the error and all its causes in one line, outermost first.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string().replace('\n', " "));
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.shard {
            Some(shard) => write!(f, " (shard {shard})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("shard", &self.0.shard)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_and_names_the_shard_once() {
        let shard = ShardId::from("shardId-000000000001");
        let other = ShardId::from("shardId-000000000002");
        let error = Error::transient("the read timed out after 5 s").on_shard(&shard).on_shard(&other);
        assert_eq!(error.to_string(), "the read timed out after 5 s (shard shardId-000000000001)");
    }

    #[test]
    fn the_chain_names_every_cause() {
        let error = Error::permanent("cannot read").because(Error::transient("inner").because("innermost"));
        assert_eq!(error.chain(), "cannot read: inner: innermost");
    }

    #[test]
    fn only_throttling_and_passing_faults_are_retryable() {
        assert!(Error::throttled(None, "slow down").kind().is_retryable());
        assert!(Error::transient("reset").kind().is_retryable());
        assert!(!ErrorKind::PositionExpired.is_retryable());
        assert!(!ErrorKind::Denied.is_retryable());
    }
}
