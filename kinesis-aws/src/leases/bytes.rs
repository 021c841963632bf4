//! Small things as few bytes: whole numbers, texts, sequence numbers and times.

use std::time::{Duration, SystemTime};

use kinesis_core::SequenceNumber;

/// Writes a whole number, seven bits a byte, the lowest first.
pub(super) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Writes a text with its length.
pub(super) fn put_text(to: &mut Vec<u8>, text: &str) {
    put_number(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

/// Writes a sequence number: how many digits it shares with `near`, the others two a byte, and the sub-number. Numbers of a
/// shard begin alike.
pub(super) fn put_sequence_number(to: &mut Vec<u8>, number: SequenceNumber, near: SequenceNumber) {
    let (digits, near) = (number.without_sub().to_string(), near.without_sub().to_string());
    let shared = digits.bytes().zip(near.bytes()).take_while(|(a, b)| a == b).count();
    let own = &digits.as_bytes()[shared..];
    put_number(to, shared as u64);
    put_number(to, own.len() as u64);
    to.extend(own.chunks(2).map(|pair| (pair[0] - b'0') << 4 | pair.get(1).map_or(0, |digit| digit - b'0')));
    put_number(to, number.sub());
}

/// Writes a time exactly: seconds from 1970 on, negative ones before it, and nanoseconds.
pub(super) fn put_time(to: &mut Vec<u8>, time: SystemTime) {
    let (seconds, nanos) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (after.as_secs() as i64, after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let up = u32::from(before.subsec_nanos() > 0);
            (-(before.as_secs() as i64) - i64::from(up), up * 1_000_000_000 - before.subsec_nanos())
        }
    };
    put_number(to, (seconds << 1 ^ seconds >> 63) as u64);
    // Times of the service are whole milliseconds.
    match nanos % 1_000_000 {
        0 => put_number(to, u64::from(nanos / 1_000_000) << 1),
        _ => put_number(to, u64::from(nanos) << 1 | 1),
    }
}

/// Reads what was written above. Everything is `None` that nobody wrote.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?.try_into().ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    pub(super) fn sequence_number(&mut self, near: SequenceNumber) -> Option<SequenceNumber> {
        let shared: usize = self.number()?.try_into().ok()?;
        let own: usize = self.number()?.try_into().ok()?;
        let near = near.without_sub().to_string();
        let mut digits = near.get(..shared)?.to_owned();
        for (nth, pair) in self.take(own.div_ceil(2))?.iter().enumerate() {
            digits.push((b'0' + (pair >> 4)) as char);
            if nth * 2 + 1 < own {
                digits.push((b'0' + (pair & 0xf)) as char);
            }
        }
        Some(digits.parse::<SequenceNumber>().ok()?.with_sub(self.number()?))
    }

    pub(super) fn time(&mut self) -> Option<SystemTime> {
        let seconds = self.number()?;
        let seconds = (seconds >> 1) as i64 ^ -((seconds & 1) as i64);
        let fraction = self.number()?;
        let nanos = if fraction & 1 == 0 { (fraction >> 1).checked_mul(1_000_000)? } else { fraction >> 1 };
        let nanos = Duration::from_nanos(Some(nanos).filter(|nanos| *nanos < 1_000_000_000)?);
        let epoch = SystemTime::UNIX_EPOCH;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = if seconds < 0 { epoch.checked_sub(whole)? } else { epoch.checked_add(whole)? };
        second.checked_add(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everything_is_read_as_it_was_written(
            number: u64, text: String, digits in "0|[1-9][0-9]{0,128}", near in "0|[1-9][0-9]{0,128}", sub: u64,
            seconds in -4_000_000_000i64..4_000_000_000, nanos in 0u32..1_000_000_000,
        ) {
            let sequence_number = digits.parse::<SequenceNumber>().unwrap().with_sub(sub);
            let near = near.parse().unwrap();
            let whole = Duration::from_secs(seconds.unsigned_abs());
            let epoch = SystemTime::UNIX_EPOCH;
            let time = if seconds < 0 { epoch - whole } else { epoch + whole } + Duration::from_nanos(nanos.into());
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            put_text(&mut bytes, &text);
            put_sequence_number(&mut bytes, sequence_number, near);
            put_time(&mut bytes, time);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert_eq!(reader.text(), Some(&*text));
            prop_assert_eq!(reader.sequence_number(near), Some(sequence_number));
            prop_assert_eq!(reader.time(), Some(time));
            prop_assert!(reader.is_done());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Reader(&bytes).number();
            let _ = Reader(&bytes).text();
            let _ = Reader(&bytes).sequence_number(SequenceNumber::from(123_456));
            let _ = Reader(&bytes).time();
        }
    }

    #[test]
    fn a_time_of_the_service_takes_little() {
        let mut bytes = Vec::new();
        put_time(&mut bytes, SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
        assert_eq!(bytes.len(), 7);
    }
}
