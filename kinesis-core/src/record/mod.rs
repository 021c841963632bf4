//! A record: one payload with its key, its place in the shard and its time of arrival.

mod digits;
mod holding;
mod page;
mod sequence_number;

use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use holding::Holding;
pub(crate) use page::{Marks, Page};
pub use sequence_number::{ParseSequenceNumberError, SequenceNumber};

use crate::name::name;
use crate::shard::HashKey;

name! {
    /// The key that chose a record's shard, and within which order is kept. Kinesis allows 1 to 256 characters.
    PartitionKey
}

name! {
    /// What a record is about, and what subscriptions choose by: the partition key unless configured otherwise.
    Channel
}

/// One record of a shard. Cloning it allocates nothing and shares the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The place in the shard; for a record out of an aggregate, with its sub-number.
    pub sequence_number: SequenceNumber,
    /// The key that chose the shard (the inner key for a record out of an aggregate).
    pub partition_key: PartitionKey,
    /// The hash key that the producer chose instead of the key's MD5, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explicit_hash_key: Option<HashKey>,
    /// The payload, as it was put.
    pub data: Bytes,
    /// When the stream took the record in, by the stream's clock; milliseconds at best, and approximate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<SystemTime>,
}

impl Record {
    /// A record with neither hash key nor arrival time.
    pub fn new(
        sequence_number: SequenceNumber,
        partition_key: impl Into<PartitionKey>,
        data: impl Into<Bytes>,
    ) -> Self {
        Self {
            sequence_number,
            partition_key: partition_key.into(),
            explicit_hash_key: None,
            data: data.into(),
            arrived_at: None,
        }
    }

    /// Sets the time of arrival.
    #[must_use]
    pub fn with_arrived_at(mut self, at: SystemTime) -> Self {
        self.arrived_at = Some(at);
        self
    }

    /// Sets the explicit hash key.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, key: HashKey) -> Self {
        self.explicit_hash_key = Some(key);
        self
    }

    /// What the record counts against byte limits: payload and partition key, in bytes, as Kinesis counts it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_shares_the_payload_and_the_key() {
        let record = Record::new(SequenceNumber::from(7), "key", vec![1, 2, 3]);
        let copy = record.clone();
        assert_eq!(copy.data.as_ptr(), record.data.as_ptr());
        assert_eq!(copy.partition_key.as_ptr(), record.partition_key.as_ptr());
    }

    #[test]
    fn a_record_survives_serde() {
        let record = Record::new(SequenceNumber::from(7).with_sub(3), "schlüssel", vec![0, 255])
            .with_arrived_at(SystemTime::UNIX_EPOCH)
            .with_explicit_hash_key(HashKey::MAX);
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }
}
