//! Large numbers as decimal text. For each record that is sent to somebody its number is written, more than once.

/// Words of 64 bits in a number; 129 digits need 429 bits.
pub(super) const LIMBS: usize = 7;

/// The largest power of ten in a word. Its highest bit is set, which dividing by it makes use of.
const CHUNK: u64 = 10_000_000_000_000_000_000;

/// Digits of a whole chunk.
const CHUNK_DIGITS: usize = 19;

/// `(2^128 - 1) / CHUNK - 2^64`: to multiply by it is to divide, nearly.
const RECIPROCAL: u64 = (u128::MAX / CHUNK as u128) as u64;

/// As many digits as 448 bits can have, in whole chunks.
const MOST: usize = CHUNK_DIGITS * 8;

/// The decimal digits of a number.
#[derive(Debug)]
pub(super) struct Digits {
    /// They stand at the end.
    bytes: [u8; MOST],
    begin: usize,
}

impl Digits {
    /// Those of a number whose most significant word comes first.
    pub(super) fn of(mut limbs: [u64; LIMBS]) -> Self {
        let mut digits = Self { bytes: [b'0'; MOST], begin: MOST };
        let mut rest = &mut limbs[..];
        loop {
            let leading = rest.iter().take_while(|limb| **limb == 0).count();
            rest = &mut rest[leading..];
            let chunk = divide_by_chunk(rest);
            let end = digits.begin;
            digits.push(chunk);
            if rest.iter().all(|limb| *limb == 0) {
                return digits;
            }
            // What is not the first chunk has all of its zeros.
            digits.begin = end - CHUNK_DIGITS;
        }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.begin..]).expect("digits are ASCII")
    }

    /// Puts the digits of a chunk before the others, without leading zeros; a zero is one digit.
    fn push(&mut self, chunk: u64) {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(chunk).as_bytes();
        let end = self.begin;
        self.begin -= digits.len();
        self.bytes[self.begin..end].copy_from_slice(digits);
    }
}

/// `limbs = limbs / CHUNK`, returning the remainder.
fn divide_by_chunk(limbs: &mut [u64]) -> u64 {
    let mut remainder = 0;
    for limb in limbs {
        (*limb, remainder) = divide(remainder, *limb);
    }
    remainder
}

/// Quotient and remainder of `high * 2^64 + low` by the chunk, where `high` is below it. One multiplication by the
/// reciprocal and at most two corrections (Möller and Granlund, "Improved division by invariant integers", algorithm 4):
/// a third of the time of the division that the compiler calls.
fn divide(high: u64, low: u64) -> (u64, u64) {
    let estimate = u128::from(RECIPROCAL) * u128::from(high) + ((u128::from(high) << 64) | u128::from(low));
    let (mut quotient, fraction) = (((estimate >> 64) as u64).wrapping_add(1), estimate as u64);
    let mut remainder = low.wrapping_sub(quotient.wrapping_mul(CHUNK));
    if remainder > fraction {
        quotient = quotient.wrapping_sub(1);
        remainder = remainder.wrapping_add(CHUNK);
    }
    if remainder >= CHUNK {
        quotient += 1;
        remainder -= CHUNK;
    }
    (quotient, remainder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(high: u64, low: u64) {
        let wide = (u128::from(high) << 64) | u128::from(low);
        let wanted = (wide / u128::from(CHUNK), wide % u128::from(CHUNK));
        let (quotient, remainder) = divide(high, low);
        assert_eq!((u128::from(quotient), u128::from(remainder)), wanted, "{high} {low}");
    }

    proptest! {
        #[test]
        fn dividing_agrees_with_plain_arithmetic(high in 0..CHUNK, low in any::<u64>()) {
            check(high, low);
        }

        #[test]
        fn digits_agree_with_plain_arithmetic(number in any::<u128>()) {
            let mut limbs = [0; LIMBS];
            (limbs[LIMBS - 2], limbs[LIMBS - 1]) = ((number >> 64) as u64, number as u64);
            let digits = Digits::of(limbs);
            prop_assert_eq!(digits.as_str(), number.to_string());
        }
    }

    #[test]
    fn the_ends_of_the_range_are_right() {
        for high in [0, 1, CHUNK - 1, CHUNK / 2] {
            for low in [0, 1, CHUNK - 1, CHUNK, u64::MAX - 1, u64::MAX] {
                check(high, low);
            }
        }
        assert_eq!(Digits::of([u64::MAX; LIMBS]).as_str().len(), 135);
        assert_eq!(Digits::of([0; LIMBS]).as_str(), "0");
    }
}
