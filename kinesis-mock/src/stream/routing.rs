//! Which hash key a record has, and how the key space is divided: the arithmetic of shards.

use kinesis_core::{HashKey, HashRange};
use md5::{Digest, Md5};

/// The hash key of a partition key: the MD5 of its UTF-8 bytes, read as a big-endian number.
pub(crate) fn hash_key(partition_key: &str) -> HashKey {
    HashKey::new(u128::from_be_bytes(Md5::digest(partition_key).into()))
}

/// Divides the key space into `count` ranges of equal size; the last one takes what is left over.
pub(crate) fn even_ranges(count: usize) -> impl Iterator<Item = HashRange> {
    let count = count as u128;
    // 2^128 / count, without the number that does not fit: one more than (2^128 - 1) / count when that divides evenly.
    let step = u128::MAX / count + u128::from(count > 1 && u128::MAX % count == count - 1);
    (0..count).map(move |i| HashRange {
        start: HashKey::new(i * step),
        end: if i + 1 == count { HashKey::MAX } else { HashKey::new((i + 1) * step - 1) },
    })
}

/// The first key of the upper half of `range`, or none when the range is a single key.
pub(crate) fn middle(range: HashRange) -> Option<HashKey> {
    let (start, end) = (range.start.value(), range.end.value());
    (start < end).then(|| HashKey::new(start + (end - start) / 2 + 1))
}

/// Cuts `range` in two, of which the second starts at `at`; none when either would be empty.
pub(crate) fn cut(range: HashRange, at: HashKey) -> Option<[HashRange; 2]> {
    let inside = range.start < at && at <= range.end;
    inside.then(|| {
        let below = HashKey::new(at.value() - 1);
        [HashRange { start: range.start, end: below }, HashRange { start: at, end: range.end }]
    })
}

/// Joins two ranges that touch, in either order.
pub(crate) fn join(a: HashRange, b: HashRange) -> Option<HashRange> {
    let (low, high) = if a.start <= b.start { (a, b) } else { (b, a) };
    let touch = low.end.value().checked_add(1) == Some(high.start.value());
    touch.then_some(HashRange { start: low.start, end: high.end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_partition_key_hashes_to_its_md5_as_a_big_endian_number() {
        assert_eq!(hash_key("hello world"), HashKey::new(0x5eb6_3bbb_e01e_eed0_93cb_22bb_8f5a_cdc3));
    }

    #[test]
    fn four_shards_take_a_quarter_of_the_key_space_each() {
        let starts: Vec<u128> = even_ranges(4).map(|range| range.start.value()).collect();
        assert_eq!(starts, [0, 1 << 126, 2 << 126, 3 << 126]);
    }

    proptest! {
        #[test]
        fn even_ranges_cover_the_key_space_without_gap_or_overlap(count in 1..500usize) {
            let ranges: Vec<_> = even_ranges(count).collect();
            prop_assert_eq!(ranges.len(), count);
            let whole = ranges.into_iter().reduce(|a, b| join(a, b).expect("neighbours touch"));
            prop_assert_eq!(whole, Some(HashRange::FULL));
        }

        #[test]
        fn what_is_cut_can_be_joined_again(a in any::<u128>(), b in any::<u128>(), at in any::<u128>()) {
            let range = HashRange { start: HashKey::new(a.min(b)), end: HashKey::new(a.max(b)) };
            for at in middle(range).into_iter().chain([HashKey::new(at)]) {
                if let Some([low, high]) = cut(range, at) {
                    prop_assert_eq!(high.start, at);
                    prop_assert_eq!(join(high, low), Some(range));
                }
            }
        }
    }
}
