//! Where reading starts: what iterators and subscriptions have in common.

use std::time::SystemTime;

use kinesis_core::{SequenceNumber, StartPosition};

use crate::MemoryStream;
use crate::stream::{Log, ShardLog};
use crate::wire::codec::Timestamp;
use crate::wire::refusal::Refusal;
use crate::wire::validation;

#[derive(Debug, Clone, Copy)]
enum Type {
    AtSequenceNumber,
    AfterSequenceNumber,
    TrimHorizon,
    Latest,
    AtTimestamp,
}

/// The words of the API, in the order in which the service lists them.
const TYPES: [(&str, Type); 5] = [
    ("AFTER_SEQUENCE_NUMBER", Type::AfterSequenceNumber),
    ("LATEST", Type::Latest),
    ("AT_TIMESTAMP", Type::AtTimestamp),
    ("AT_SEQUENCE_NUMBER", Type::AtSequenceNumber),
    ("TRIM_HORIZON", Type::TrimHorizon),
];

/// A position as a request has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The operation that asks.
    pub(super) operation: &'static str,
    /// The member that holds the type.
    pub(super) member: &'static str,
    pub(super) r#type: &'a Option<String>,
    pub(super) number: &'a Option<String>,
    pub(super) time: Option<Timestamp>,
}

impl Asked<'_> {
    /// Pins the position. The tip is the last number given out, so that no later record is missed.
    pub(super) fn pin(self, stream: &MemoryStream, log: &Log, shard: &ShardLog) -> Result<StartPosition, Refusal> {
        let word = validation::required(self.member, self.r#type.as_deref())?;
        Ok(match validation::one_of(self.member, word, &TYPES)? {
            Type::TrimHorizon => StartPosition::TrimHorizon,
            Type::Latest => StartPosition::After(log.last_number()),
            Type::AtSequenceNumber => StartPosition::At(self.number(word, log, shard)?),
            Type::AfterSequenceNumber => StartPosition::After(self.number(word, log, shard)?),
            Type::AtTimestamp => StartPosition::Timestamp(self.time(stream)?),
        })
    }

    fn number(self, word: &str, log: &Log, shard: &ShardLog) -> Result<SequenceNumber, Refusal> {
        let text = self.number.as_deref().ok_or_else(|| {
            Refusal::invalid_argument(format!("Must specify a sequence number with the position {word}."))
        })?;
        let number = text.parse::<SequenceNumber>().ok().filter(|number| {
            let first = shard.shard.starting_sequence_number.unwrap_or_default();
            let last = shard.shard.ending_sequence_number.unwrap_or(log.last_number());
            number.sub() == 0 && (first..=last).contains(number)
        });
        number.ok_or_else(|| {
            Refusal::invalid_argument(format!(
                "StartingSequenceNumber {text} used in {} on shard {} is invalid because it did not come from this shard.",
                self.operation, shard.shard.id
            ))
        })
    }

    fn time(self, stream: &MemoryStream) -> Result<SystemTime, Refusal> {
        let time = self.time.ok_or_else(|| Refusal::invalid_argument("AT_TIMESTAMP needs a Timestamp."))?.time();
        match time <= stream.now() {
            true => Ok(time),
            false => Err(Refusal::invalid_argument("The Timestamp must not lie in the future.")),
        }
    }
}
