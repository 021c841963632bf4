//! A record on its way into the stream, and what the stream refuses.

use bytes::Bytes;
use kinesis_core::{Error, HashKey, PartitionKey, Result};

/// The longest partition key in characters (API reference of `PutRecord`).
const MAX_KEY_CHARS: usize = 256;

/// A record to be put. A pair of key and payload converts into one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRecord {
    /// Chooses the shard by its MD5, and is what order is kept by; 1 to 256 characters.
    pub partition_key: PartitionKey,
    /// The payload.
    pub data: Bytes,
    /// Chooses the shard instead of the partition key.
    pub explicit_hash_key: Option<HashKey>,
}

impl NewRecord {
    /// A record that its partition key routes.
    pub fn new(partition_key: impl Into<PartitionKey>, data: impl Into<Bytes>) -> Self {
        Self { partition_key: partition_key.into(), data: data.into(), explicit_hash_key: None }
    }

    /// Sets the hash key that routes it.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, key: HashKey) -> Self {
        self.explicit_hash_key = Some(key);
        self
    }

    pub(crate) fn check(&self, max_size: usize) -> Result<()> {
        // Bytes are never fewer than characters: counting characters is needed only for long keys.
        let key = &self.partition_key;
        if key.is_empty() || (key.len() > MAX_KEY_CHARS && key.chars().count() > MAX_KEY_CHARS) {
            let chars = key.chars().count();
            return Err(Error::invalid(format!("a partition key has 1 to {MAX_KEY_CHARS} characters, not {chars}")));
        }
        // The service adds the key's bytes; leaving them out lets a payload of exactly the limit be tested.
        match self.data.len() {
            size if size <= max_size => Ok(()),
            size => Err(Error::invalid(format!("a payload of {size} bytes is over the stream's limit of {max_size}"))),
        }
    }
}

impl<K: Into<PartitionKey>, D: Into<Bytes>> From<(K, D)> for NewRecord {
    fn from((partition_key, data): (K, D)) -> Self {
        Self::new(partition_key, data)
    }
}
