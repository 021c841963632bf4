//! The ways in which a call is answered.

use std::time::Duration;

use crate::wire::refusal::Refusal;

/// How the wire answers one call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// As the service would.
    Serve,
    /// As the service would, this much later.
    Delay(Duration),
    /// With an error of the service; nothing is applied.
    Fail {
        /// The code, such as `ExpiredIteratorException`.
        code: String,
        /// The sentence beside it.
        message: String,
    },
    /// With a success that has this body; nothing is applied.
    Body(String),
    /// With a status and a body that are not the service's, as a gateway on the way would; nothing is applied.
    Http {
        /// The status, 100 to 999.
        status: u16,
        /// The body.
        body: String,
    },
    /// `PutRecords` with the entries of these indices refused by throttling.
    Refuse(Vec<usize>),
    /// `GetRecords` with no records, although some may follow.
    Empty,
    /// Not at all: the connection breaks before the request is applied.
    Drop,
    /// Not at all: the connection breaks after the request was applied.
    DropReply,
    /// Never: the connection stays open and silent.
    Hang,
    /// As the service would, but the connection breaks after so many bytes of the body.
    Cut(usize),
    /// As the service would, but after so many bytes of the body no more come, and the connection stays open.
    Stall(usize),
    /// A subscription that falls silent after so many events without being closed, heartbeats included.
    HalfOpen(usize),
    /// A subscription that ends with an exception after so many events.
    Interrupt {
        /// The events before it.
        after: usize,
        /// The code, such as `InternalFailureException`.
        code: String,
        /// The sentence beside it.
        message: String,
    },
}

/// The sentence of errors that nobody gave one.
pub(super) const AS_SCRIPTED: &str = "as scripted";

impl Answer {
    /// An error of the service with this code, such as `KMSAccessDeniedException` or `ExpiredTokenException`.
    pub fn fail(code: impl Into<String>) -> Self {
        Self::Fail { code: code.into(), message: AS_SCRIPTED.to_owned() }
    }

    /// A subscription that ends with an exception of this code after so many events.
    pub fn interrupt(after: usize, code: impl Into<String>) -> Self {
        Self::Interrupt { after, code: code.into(), message: AS_SCRIPTED.to_owned() }
    }
}

/// The refusal of an entry that [`Answer::Refuse`] names.
pub(in crate::wire) fn throttled_entry() -> Refusal {
    Refusal::new("ProvisionedThroughputExceededException", "Rate exceeded for the shard, as scripted.")
}
