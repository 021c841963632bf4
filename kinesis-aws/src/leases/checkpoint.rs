//! The KCL's checkpoint: the one place of a shard that both kinds of workers understand.

use kinesis_core::lease::CursorPosition;
use kinesis_core::{SequenceNumber, StartPosition};

/// A checkpoint in the words of the KCL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// Nothing was read yet; each worker's configuration has the time to start at.
    AtTimestamp,
    /// Nothing was read yet: with the oldest record.
    TrimHorizon,
    /// Nothing was read yet: with the next record.
    Latest,
    /// Everything up to and with this record is done.
    Through(SequenceNumber),
    /// Everything is done.
    ShardEnd,
}

impl Checkpoint {
    /// What a worker of the KCL is told of a place. What its words do not tell exactly it is told as the horizon: it repeats
    /// records then, and misses none.
    pub(super) fn of(position: CursorPosition) -> Self {
        match position {
            CursorPosition::End => Self::ShardEnd,
            CursorPosition::Next(StartPosition::After(number)) => Self::Through(number),
            // The record before it in the same aggregate. Which number the record before an aggregate has nobody knows.
            CursorPosition::Next(StartPosition::At(number)) if number.sub() > 0 => {
                Self::Through(number.with_sub(number.sub() - 1))
            }
            CursorPosition::Next(StartPosition::Latest) => Self::Latest,
            // `AT_TIMESTAMP` would stop a worker whose configuration has no time, and start others somewhere else.
            CursorPosition::Next(_) => Self::TrimHorizon,
        }
    }

    /// The place that it stands for, where it stands for one: `AT_TIMESTAMP` and `LATEST` are wishes of whoever starts.
    pub(super) fn position(self) -> Option<CursorPosition> {
        match self {
            Self::AtTimestamp | Self::Latest => None,
            Self::TrimHorizon => Some(CursorPosition::Next(StartPosition::TrimHorizon)),
            Self::Through(number) => Some(CursorPosition::Next(StartPosition::After(number))),
            Self::ShardEnd => Some(CursorPosition::End),
        }
    }

    /// Reads the two attributes; `None` for what no KCL writes.
    pub(super) fn read(text: &str, sub: u64) -> Option<Self> {
        match text {
            "AT_TIMESTAMP" => Some(Self::AtTimestamp),
            "TRIM_HORIZON" => Some(Self::TrimHorizon),
            "LATEST" => Some(Self::Latest),
            "SHARD_END" => Some(Self::ShardEnd),
            // The sub-number has an attribute of its own.
            number if !number.contains('.') => {
                Some(Self::Through(number.parse::<SequenceNumber>().ok()?.with_sub(sub)))
            }
            _ => None,
        }
    }

    /// The attribute `checkpoint`.
    pub(super) fn word(self) -> String {
        match self {
            Self::AtTimestamp => "AT_TIMESTAMP".into(),
            Self::TrimHorizon => "TRIM_HORIZON".into(),
            Self::Latest => "LATEST".into(),
            Self::Through(number) => number.without_sub().to_string(),
            Self::ShardEnd => "SHARD_END".into(),
        }
    }

    /// The attribute `checkpointSubSequenceNumber`.
    pub(super) fn sub(self) -> u64 {
        match self {
            Self::Through(number) => number.sub(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn what_the_kcl_has_no_word_for_is_told_as_the_horizon() {
        let number = SequenceNumber::from(7);
        for (position, checkpoint) in [
            (CursorPosition::End, Checkpoint::ShardEnd),
            (CursorPosition::Next(StartPosition::TrimHorizon), Checkpoint::TrimHorizon),
            (CursorPosition::Next(StartPosition::Latest), Checkpoint::Latest),
            (CursorPosition::Next(StartPosition::Timestamp(SystemTime::UNIX_EPOCH)), Checkpoint::TrimHorizon),
            (CursorPosition::Next(StartPosition::After(number)), Checkpoint::Through(number)),
            (CursorPosition::Next(StartPosition::At(number)), Checkpoint::TrimHorizon),
            (CursorPosition::Next(StartPosition::At(number.with_sub(3))), Checkpoint::Through(number.with_sub(2))),
        ] {
            assert_eq!(Checkpoint::of(position), checkpoint, "{position:?}");
        }
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let long = "9".repeat(129).parse::<SequenceNumber>().unwrap();
        let through = [SequenceNumber::ZERO, SequenceNumber::from(7).with_sub(2), long.with_sub(u64::MAX)];
        let words = [Checkpoint::AtTimestamp, Checkpoint::TrimHorizon, Checkpoint::Latest, Checkpoint::ShardEnd];
        for checkpoint in words.into_iter().chain(through.map(Checkpoint::Through)) {
            assert_eq!(Checkpoint::read(&checkpoint.word(), checkpoint.sub()), Some(checkpoint));
        }
        for text in ["", "7.2", "-7", "trim_horizon", "SOMETHING_NEW"] {
            assert_eq!(Checkpoint::read(text, 0), None, "{text}");
        }
    }
}
