//! Sequence numbers: up to 129 decimal digits, ordered as numbers, with the sub-number of an aggregate's record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::digits::{Digits, LIMBS};

/// The longest number Kinesis documents: pattern `0|([1-9]\d{0,128})`.
const MAX_DIGITS: usize = 129;
/// How many digits of a text are read at once; their value fits four limbs.
const STEP: usize = 64;
/// What eight digits count up to, and what sixteen do.
const EIGHT_DIGITS: u64 = 100_000_000;
const SIXTEEN_DIGITS: u64 = EIGHT_DIGITS * EIGHT_DIGITS;

/// A record's place in its shard: a decimal number of up to 129 digits, and a sub-number.
///
/// The sub-number counts the records inside one aggregate from 0 on; a plain record has 0. Order is numeric, first by
/// number, then by sub-number. It is `Copy`, and its text form is the number's digits, followed by `.` and the
/// sub-number where that is not 0.
///
/// ```
/// use kinesis_core::SequenceNumber;
/// let first: SequenceNumber = "49569625073747986051284015760176917265900404709609439234".parse()?;
/// assert!(first < first.with_sub(1));
/// assert!("9".parse::<SequenceNumber>()? < "10".parse()?);
/// assert_eq!(first.with_sub(4).to_string(), format!("{first}.4"));
/// # Ok::<(), kinesis_core::ParseSequenceNumberError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SequenceNumber {
    /// Most significant limb first, so that the derived order is the numeric one.
    limbs: [u64; LIMBS],
    sub: u64,
}

impl SequenceNumber {
    /// The smallest one: number 0, sub-number 0.
    pub const ZERO: Self = Self { limbs: [0; LIMBS], sub: 0 };

    /// The number with this value, for sources that number their records themselves.
    #[must_use]
    pub const fn new(number: u128) -> Self {
        let mut limbs = [0; LIMBS];
        limbs[LIMBS - 1] = number as u64;
        limbs[LIMBS - 2] = (number >> 64) as u64;
        Self { limbs, sub: 0 }
    }

    /// The same number with another sub-number.
    #[must_use]
    pub const fn with_sub(mut self, sub: u64) -> Self {
        self.sub = sub;
        self
    }

    /// The position inside an aggregate; 0 for a plain record.
    #[must_use]
    pub const fn sub(&self) -> u64 {
        self.sub
    }

    /// The number alone, as the stream knows it.
    #[must_use]
    pub const fn without_sub(self) -> Self {
        self.with_sub(0)
    }

    /// The number and its sub-number in words that stay the same in every version: how many the number has, these from the
    /// least significant one on, and the sub-number.
    pub(crate) fn words(self) -> impl Iterator<Item = u64> {
        let used = LIMBS - self.limbs.iter().take_while(|limb| **limb == 0).count();
        let number = self.limbs.into_iter().rev().take(used);
        std::iter::once(used as u64).chain(number).chain([self.sub])
    }

    /// The sum with a small number, for sources that number their records themselves.
    ///
    /// # Panics
    ///
    /// When the sum has more than 448 bits, which no number of 129 digits reaches by counting.
    #[must_use]
    pub fn plus(mut self, n: u64) -> Self {
        let mut carry = n;
        for limb in self.limbs.iter_mut().rev() {
            let (sum, over) = limb.overflowing_add(carry);
            *limb = sum;
            carry = u64::from(over);
        }
        assert!(carry == 0, "a sequence number outgrew 448 bits");
        self
    }

    /// The number with these digits, for sources that read bytes: as [`parse`](str::parse), without a look at whether
    /// they are UTF-8 before.
    ///
    /// # Errors
    ///
    /// When the text is no sequence number, with or without a sub-number.
    pub fn from_ascii(text: &[u8]) -> Result<Self, ParseSequenceNumberError> {
        // Most have no sub-number, and are read at once.
        match Self::parse_number(text) {
            Ok(limbs) => Ok(Self { limbs, sub: 0 }),
            Err(_) => Self::with_sub_number(&String::from_utf8_lossy(text)),
        }
    }

    fn with_sub_number(text: &str) -> Result<Self, ParseSequenceNumberError> {
        let fail = |problem| ParseSequenceNumberError { text: excerpt(text), problem };
        let (digits, sub) = match text.split_once('.') {
            None => (text, 0),
            Some((digits, sub)) => {
                let canonical = sub.bytes().all(|b| b.is_ascii_digit()) && !sub.starts_with('0');
                let sub = sub.parse().ok().filter(|_| canonical).ok_or_else(|| fail(Problem::SubNumber))?;
                (digits, sub)
            }
        };
        Ok(Self { limbs: Self::parse_number(digits.as_bytes()).map_err(fail)?, sub })
    }

    /// Reads `bytes`, which may have no sub-number.
    fn parse_number(bytes: &[u8]) -> Result<[u64; LIMBS], Problem> {
        // The numbers of Kinesis have 56 digits: one step, with zeros before them.
        let (head, rest) = bytes.as_rchunks::<STEP>();
        let mut first = [b'0'; STEP];
        first[STEP - head.len()..].copy_from_slice(head);
        let leads_with_zero = bytes.len() > 1 && bytes[0] == b'0';
        let all_digits = are_digits(&first) && rest.iter().all(are_digits);
        if bytes.is_empty() || bytes.len() > MAX_DIGITS || leads_with_zero || !all_digits {
            return Err(Problem::of(bytes));
        }
        let mut limbs = [0; LIMBS];
        limbs[LIMBS - 4..].copy_from_slice(&value_of(&first));
        for sixteen in rest.as_flattened().as_chunks().0 {
            multiply_add(&mut limbs, SIXTEEN_DIGITS, value_of_sixteen(*sixteen));
        }
        Ok(limbs)
    }
}

/// Without a way out at the first other byte, so that the compiler looks at many bytes at once.
fn are_digits(bytes: &[u8; STEP]) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & byte.is_ascii_digit())
}

/// The value of a step of digits, most significant limb first: two halves of 128 bits, which are multiplied and added as
/// on paper.
fn value_of(digits: &[u8; STEP]) -> [u64; 4] {
    const HALF: u128 = (SIXTEEN_DIGITS as u128) * (SIXTEEN_DIGITS as u128);
    let sixteens = digits.as_chunks().0;
    let half = |at: usize| {
        u128::from(value_of_sixteen(sixteens[at])) * u128::from(SIXTEEN_DIGITS)
            + u128::from(value_of_sixteen(sixteens[at + 1]))
    };
    let limbs = |value: u128| [value >> 64, value & u128::from(u64::MAX)];
    let ([a, b], [c, d], [e, f]) = (limbs(half(0)), limbs(HALF), limbs(half(2)));
    let fourth = b * d + f;
    let [carry, third] = limbs(a * d + (fourth >> 64) + e);
    let third = b * c + third;
    let second = a * c + (third >> 64) + carry;
    [(second >> 64) as u64, second as u64, third as u64, fourth as u64]
}

/// The value of sixteen digits.
fn value_of_sixteen(digits: [u8; 16]) -> u64 {
    let eights = digits.as_chunks().0;
    value_of_eight(eights[0]) * EIGHT_DIGITS + value_of_eight(eights[1])
}

/// The value of eight digits: neighbours are joined to pairs, those to fours, and those to the whole, all at once in one
/// word, because a digit at a time is most of what reading a record's number costs.
fn value_of_eight(digits: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul((10 << 8) + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

/// `limbs = limbs * factor + addend`; cannot overflow for 129 digits.
fn multiply_add(limbs: &mut [u64], factor: u64, addend: u64) {
    let mut carry = u128::from(addend);
    for limb in limbs.iter_mut().rev() {
        let wide = u128::from(*limb) * u128::from(factor) + carry;
        *limb = wide as u64;
        carry = wide >> 64;
    }
    debug_assert_eq!(carry, 0);
}

impl From<u64> for SequenceNumber {
    fn from(number: u64) -> Self {
        Self::new(u128::from(number))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Digits::of(self.limbs).as_str())?;
        match self.sub {
            0 => Ok(()),
            sub => write!(f, ".{sub}"),
        }
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SequenceNumber {
    type Err = ParseSequenceNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_ascii(text.as_bytes())
    }
}

/// Enough of a refused text to recognise it, and no more: it may come from anywhere.
fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(40).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

/// A text that is no sequence number, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no sequence number: {problem}")]
pub struct ParseSequenceNumberError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it is empty")]
    Empty,
    #[error("{0:?} is not a decimal digit")]
    NotADigit(char),
    #[error("it has {0} digits; at most 129 are allowed")]
    TooLong(usize),
    #[error("it starts with a zero")]
    LeadingZero,
    #[error("after the dot there must be a sub-number from 1 to 18446744073709551615")]
    SubNumber,
}

impl Problem {
    /// What is wrong with digits that are no number.
    fn of(bytes: &[u8]) -> Self {
        match bytes.iter().position(|byte| !byte.is_ascii_digit()) {
            None if bytes.is_empty() => Self::Empty,
            Some(at) => Self::NotADigit(String::from_utf8_lossy(&bytes[at..]).chars().next().unwrap_or('?')),
            None if bytes.len() > MAX_DIGITS => Self::TooLong(bytes.len()),
            None => Self::LeadingZero,
        }
    }
}

impl Serialize for SequenceNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.sub {
            0 => serializer.serialize_str(Digits::of(self.limbs).as_str()),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = SequenceNumber;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence number as a decimal string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SequenceNumber, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decimal text without leading zeros, up to the longest that is allowed.
    fn digits() -> impl Strategy<Value = String> {
        prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,128}", "[1-9]0{0,128}", "9{1,129}"]
    }

    /// The definition of the order: longer is larger, equal lengths compare as text.
    fn numeric(a: &str, b: &str) -> std::cmp::Ordering {
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }

    proptest! {
        #[test]
        fn text_and_serde_round_trip(digits in digits(), sub in any::<u64>()) {
            let number: SequenceNumber = digits.parse::<SequenceNumber>().unwrap().with_sub(sub);
            let text = number.to_string();
            prop_assert_eq!(text.parse::<SequenceNumber>().unwrap(), number);
            prop_assert_eq!(number.without_sub().to_string(), digits);
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<SequenceNumber>(&json).unwrap(), number);
        }

        #[test]
        fn order_is_numeric_then_by_sub_number(a in digits(), b in digits(), x in 0..3u64, y in 0..3u64) {
            let left = a.parse::<SequenceNumber>().unwrap().with_sub(x);
            let right = b.parse::<SequenceNumber>().unwrap().with_sub(y);
            prop_assert_eq!(left.cmp(&right), numeric(&a, &b).then(x.cmp(&y)));
        }

        #[test]
        fn adding_agrees_with_plain_arithmetic(a in any::<u64>(), n in any::<u64>()) {
            let sum = SequenceNumber::from(a).plus(n);
            prop_assert_eq!(sum, SequenceNumber::new(u128::from(a) + u128::from(n)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", bytes in any::<Vec<u8>>()) {
            let _ = text.parse::<SequenceNumber>();
            let _ = SequenceNumber::from_ascii(&bytes);
        }
    }

    #[test]
    fn refusals_say_why() {
        let why = |text: &str| text.parse::<SequenceNumber>().unwrap_err().to_string();
        assert_eq!(why(""), "\"\" is no sequence number: it is empty");
        assert_eq!(why("12x"), "\"12x\" is no sequence number: 'x' is not a decimal digit");
        assert_eq!(why("007"), "\"007\" is no sequence number: it starts with a zero");
        assert!(why(&"1".repeat(130)).ends_with("it has 130 digits; at most 129 are allowed"));
        assert!(why("1.0").contains("sub-number"));
        assert!(why("1.-1").contains("sub-number"));
    }
}
