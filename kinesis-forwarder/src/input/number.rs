//! Numbers that increase however the input is ordered, and that still hold the number each record came with.

use async_trait::async_trait;
use kinesis_core::{Delivery, Error, Outcomes, Record, Result, SequenceNumber, Sink};

/// Digits kept for the number a record came with. A number has 129 at most, and the position before it up to 20; the
/// numbers of Kinesis have 56.
const ORIGINAL_DIGITS: usize = 109;

/// The number of the record at `position`, which came as `original`; `None` when `original` has more than 109 digits.
pub(super) fn numbered(position: u64, original: SequenceNumber) -> Option<SequenceNumber> {
    let digits = original.without_sub().to_string();
    let number = format!("{position}{digits:0>ORIGINAL_DIGITS$}");
    let fits = digits.len() <= ORIGINAL_DIGITS;
    fits.then(|| number.parse::<SequenceNumber>().expect("20 and 109 digits are 129").with_sub(original.sub()))
}

/// The number that a record of an [`InputSource`](super::InputSource) came with.
#[must_use]
pub fn original(number: SequenceNumber) -> SequenceNumber {
    let digits = number.without_sub().to_string();
    let original = &digits[digits.len().saturating_sub(ORIGINAL_DIGITS)..];
    let original = original.trim_start_matches('0');
    let original = if original.is_empty() { "0" } else { original };
    original.parse::<SequenceNumber>().expect("the digits of a number are a number").with_sub(number.sub())
}

/// Which record of the input a number stands for, counted from 1.
pub(crate) fn record_of(number: SequenceNumber) -> u64 {
    let digits = number.without_sub().to_string();
    let position = &digits[..digits.len().saturating_sub(ORIGINAL_DIGITS)];
    position.parse().unwrap_or_default()
}

/// The least number that the record in this place of the input can have, counted from 1.
///
/// # Errors
///
/// [`Invalid`](kinesis_core::ErrorKind::Invalid) for what counts no records.
pub(crate) fn at_record(position: SequenceNumber) -> Result<SequenceNumber> {
    let counted = position.to_string().parse::<u64>().ok().filter(|position| *position > 0);
    let number = counted.and_then(|position| numbered(position, SequenceNumber::ZERO));
    number.ok_or_else(|| Error::invalid(format!("{position} is no place in a file: its records are counted from 1")))
}

/// Hands records on with the number they came with, and with their channel as partition key, as events have it.
#[derive(Debug)]
pub struct Originals<S>(pub S);

#[async_trait]
impl<S: Sink> Sink for Originals<S> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let records = delivery.iter().map(|entry| {
            let mut record = Record::clone(&entry);
            record.sequence_number = original(record.sequence_number);
            if record.partition_key != *entry.channel() {
                record.partition_key = entry.channel().into();
            }
            record
        });
        let (stream, shard) = (delivery.stream().clone(), delivery.shard().clone());
        let restored = Delivery::new(stream, shard, delivery.subscription().clone(), records.collect());
        self.0.deliver(&restored).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_increase_with_the_position_and_keep_the_original(
            position in 1..u64::MAX,
            a in "0|[1-9][0-9]{0,108}",
            b in "0|[1-9][0-9]{0,108}",
            sub in any::<u64>(),
        ) {
            let a = a.parse::<SequenceNumber>().unwrap().with_sub(sub);
            let b = b.parse::<SequenceNumber>().unwrap();
            let (first, next) = (numbered(position, a).unwrap(), numbered(position + 1, b).unwrap());
            prop_assert!(first < next);
            prop_assert_eq!((original(first), original(next)), (a, b));
        }
    }

    #[test]
    fn the_records_of_an_input_are_counted() {
        let number = |text: &str| text.parse::<SequenceNumber>().unwrap();
        assert_eq!(record_of(numbered(1234, number("56")).unwrap()), 1234);
        let at = at_record(number("1234")).unwrap();
        assert!(numbered(1233, number(&"9".repeat(109))).unwrap() < at && at <= numbered(1234, number("0")).unwrap());
        for bad in [number("0"), number("18446744073709551616"), number("1").with_sub(1)] {
            assert!(at_record(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_that_leaves_no_room_for_the_position_is_refused() {
        assert!(numbered(1, "1".repeat(110).parse().unwrap()).is_none());
        assert!(numbered(u64::MAX, "9".repeat(109).parse().unwrap()).is_some());
    }
}
