//! Rules: the same answer to every call of an operation from one call on, or to some of them.

use kinesis_core::Result;

use super::answer::Answer;
use super::file;

/// Says how the calls of an operation are answered whose numbers lie in a range. The first call is number 1.
///
/// ```
/// use kinesis_mock::{Answer, MemoryStream, Rule, http_client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// let http = http_client(&MemoryStream::new("orders", 1));
/// http.add_rules([Rule::new("GetRecords", Answer::fail("KMSThrottlingException")).nth(3)]);
/// http.add_rules(Rule::list_from_json(r#"[{"operation": "PutRecords", "from": 2, "times": 5, "fault": "throttle"}]"#)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    operation: String,
    from: u64,
    times: Option<u64>,
    answer: Answer,
}

impl Rule {
    /// Answers every call of `operation`, such as `GetRecords`, or of any operation where that is `*`.
    pub fn new(operation: impl Into<String>, answer: Answer) -> Self {
        Self { operation: operation.into(), from: 1, times: None, answer }
    }

    /// Answers the call of this number only.
    #[must_use]
    pub fn nth(self, number: u64) -> Self {
        self.from(number).times(1)
    }

    /// Answers the calls from this number on.
    #[must_use]
    pub fn from(mut self, number: u64) -> Self {
        self.from = number;
        self
    }

    /// Answers so many calls in a row.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Reads a list of rules, as a faults file has it: each an object with `operation`, `fault`, optionally `nth`, or `from`
    /// and `times`, and what the fault needs.
    ///
    /// | `fault` | needs | is |
    /// |--|--|--|
    /// | `throttle` | | `ProvisionedThroughputExceededException` on records and iterators, else `LimitExceededException` |
    /// | `expired-token` | | `ExpiredTokenException` |
    /// | `internal-failure` | | `InternalFailure`, status 500 |
    /// | `fail` | `code`, optionally `message` | [`Answer::Fail`] |
    /// | `delay` | `ms` | [`Answer::Delay`] |
    /// | `body` | `body` | [`Answer::Body`] |
    /// | `http` | `status`, optionally `body` | [`Answer::Http`] |
    /// | `refuse` | `entries` | [`Answer::Refuse`] |
    /// | `empty` | | [`Answer::Empty`] |
    /// | `reset` | | [`Answer::Drop`] |
    /// | `reset-after` | | [`Answer::DropReply`] |
    /// | `hang` | | [`Answer::Hang`] |
    /// | `cut` | `bytes` | [`Answer::Cut`] |
    /// | `stall` | `bytes` | [`Answer::Stall`] |
    /// | `half-open` | `events` | [`Answer::HalfOpen`] |
    /// | `interrupt` | `events`, `code`, optionally `message` | [`Answer::Interrupt`] |
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for what is no such list, with the line and the field.
    pub fn list_from_json(json: &str) -> Result<Vec<Self>> {
        file::parse(json)
    }

    /// The answer to a call, where this rule has one.
    pub(super) fn answer_to(&self, operation: &str, number: u64) -> Option<&Answer> {
        let is_meant = self.operation == "*" || self.operation == operation;
        let passed = number.checked_sub(self.from)?;
        (is_meant && self.times.is_none_or(|times| passed < times)).then_some(&self.answer)
    }
}
