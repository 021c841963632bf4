//! Where the service is asked to begin. It knows nothing of places inside an aggregate: those are found by reading its
//! record again.

use std::time::SystemTime;

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use kinesis_core::{SequenceNumber, StartPosition};

/// A place between two stored records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Horizon,
    At(SequenceNumber),
    After(SequenceNumber),
    Time(SystemTime),
    Tip,
}

impl Place {
    /// The place at which whoever wants `from` has to begin, and drop what comes before. `unpacks` says that a stored
    /// record may be several: then the one that `from` names may hold what is wanted, even where `from` is after it.
    pub(crate) fn of(from: StartPosition, unpacks: bool) -> Self {
        match from {
            StartPosition::Latest => Self::Tip,
            StartPosition::Timestamp(time) => Self::Time(time),
            StartPosition::At(number) | StartPosition::After(number) if unpacks => Self::At(number.without_sub()),
            StartPosition::At(number) if number.sub() == 0 => Self::At(number),
            // A plain record has the sub-number 0, so from any other on the next record is the one after.
            StartPosition::At(number) | StartPosition::After(number) => Self::After(number.without_sub()),
            _ => Self::Horizon,
        }
    }

    /// The words of the service for it: a type, and the number or the time that belongs to it.
    pub(crate) fn in_words(self) -> (ShardIteratorType, Option<String>, Option<DateTime>) {
        match self {
            Self::Horizon => (ShardIteratorType::TrimHorizon, None, None),
            Self::Tip => (ShardIteratorType::Latest, None, None),
            Self::At(number) => (ShardIteratorType::AtSequenceNumber, Some(number.to_string()), None),
            Self::After(number) => (ShardIteratorType::AfterSequenceNumber, Some(number.to_string()), None),
            Self::Time(time) => (ShardIteratorType::AtTimestamp, None, Some(time.into())),
        }
    }

    /// Whether it is a time to come, by a clock of the service that shows `now`.
    pub(crate) fn is_later_than(self, now: SystemTime) -> bool {
        matches!(self, Self::Time(time) if time > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_that_is_named_is_read_again_where_it_may_be_several() {
        let number = SequenceNumber::from(70);
        let inner = number.with_sub(3);
        for (from, plain, unpacked) in [
            (StartPosition::TrimHorizon, Place::Horizon, Place::Horizon),
            (StartPosition::Latest, Place::Tip, Place::Tip),
            (StartPosition::At(number), Place::At(number), Place::At(number)),
            (StartPosition::After(number), Place::After(number), Place::At(number)),
            (StartPosition::At(inner), Place::After(number), Place::At(number)),
            (StartPosition::After(inner), Place::After(number), Place::At(number)),
        ] {
            assert_eq!((Place::of(from, false), Place::of(from, true)), (plain, unpacked), "{from}");
        }
    }
}
