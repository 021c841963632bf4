//! Scripted answers: what the wire does wrong, on which call.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::error::Refusal;

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
    /// `PutRecords` with the entries of these indices refused by throttling.
    Refuse(Vec<usize>),
    /// Not at all: the connection breaks before the request is applied.
    Drop,
    /// Not at all: the connection breaks after the request was applied.
    DropReply,
    /// Never: the connection stays open and silent.
    Hang,
}

impl Answer {
    /// An error of the service with this code.
    pub fn fail(code: impl Into<String>) -> Self {
        Self::Fail { code: code.into(), message: "as scripted".to_owned() }
    }
}

/// The answers to come and the calls so far, by operation.
#[derive(Debug, Default)]
pub(super) struct Script {
    answers: BTreeMap<String, VecDeque<Answer>>,
    calls: BTreeMap<String, u64>,
}

impl Script {
    pub(super) fn extend(&mut self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        self.answers.entry(operation.to_owned()).or_default().extend(answers);
    }

    /// Counts a call and takes what it is to be answered with.
    pub(super) fn next(&mut self, operation: &str) -> Answer {
        *self.calls.entry(operation.to_owned()).or_default() += 1;
        self.answers.get_mut(operation).and_then(VecDeque::pop_front).unwrap_or(Answer::Serve)
    }

    pub(super) fn calls(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or_default()
    }
}

/// The refusal of an entry that [`Answer::Refuse`] names.
pub(super) fn throttled_entry() -> Refusal {
    Refusal::new("ProvisionedThroughputExceededException", "Rate exceeded for the shard, as scripted.")
}
