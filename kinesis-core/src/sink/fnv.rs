//! A hash that stays the same in every version of this crate, for names that others remember: one of the standard library may
//! be another one in its next version.

/// FNV-1a of 64 bits.
#[derive(Debug)]
pub(super) struct Fnv(pub(super) u64);

impl Fnv {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that the authors of the hash publish.
    #[test]
    fn it_is_the_hash_that_its_authors_describe() {
        for (parts, value) in [
            (vec![], 0xcbf2_9ce4_8422_2325),
            (vec!["a"], 0xaf63_dc4c_8601_ec8c),
            (vec!["foo", "bar"], 0x8594_4171_f739_67e8),
        ] {
            let mut hash = Fnv::new();
            parts.iter().for_each(|part| hash.add(part.as_bytes()));
            assert_eq!(hash.0, value, "{parts:?}");
        }
    }
}
