//! From user records to aggregates.

use std::collections::BTreeMap;

use bytes::Bytes;
use kinesis_core::{HashKey, PartitionKey, Record};
use md5::{Digest as _, Md5};

use super::message::{Inner, write_bytes};
use super::{DIGEST, MAGIC};

/// What a record costs in an aggregate beside its payload and its keys, at most: three tags, two indices, two lengths of a
/// payload of 10 MiB, the record's own length and tag.
const OVERHEAD: usize = 24;

/// The payload of a stored record that holds one or several user records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The payload. One record alone is no aggregate: its payload is this.
    pub data: Bytes,
    /// How many records it holds.
    pub records: usize,
}

/// Packs records in their order into payloads of at most `max_bytes`. A record that is larger by itself stays alone.
///
/// Whoever reads an aggregate reads it from one shard. So all records of one call have to belong to one: those of one
/// partition key do, whatever the shards are.
///
/// ```
/// use kinesis_aws::kpl::pack;
/// use kinesis_core::Record;
///
/// let records: Vec<Record> = (0..10u64).map(|n| Record::new(n.into(), "customer-7", "an order")).collect();
/// let packed = pack(&records, 1 << 20);
/// assert_eq!((packed.len(), packed[0].records), (1, 10));
/// ```
#[must_use]
pub fn pack<'a>(records: impl IntoIterator<Item = &'a Record>, max_bytes: usize) -> Vec<Packed> {
    let mut packed = Vec::new();
    let mut open = Open::default();
    for record in records {
        if open.first.is_some() && open.bytes + open.cost_of(record) > max_bytes {
            packed.extend(std::mem::take(&mut open).close());
        }
        open.push(record);
    }
    packed.extend(open.close());
    packed
}

/// An aggregate that is being filled.
#[derive(Default)]
struct Open<'a> {
    first: Option<&'a Record>,
    keys: BTreeMap<&'a PartitionKey, usize>,
    hash_keys: BTreeMap<HashKey, usize>,
    tables: Vec<u8>,
    records: Vec<u8>,
    count: usize,
    /// How long it is at most, closed.
    bytes: usize,
}

impl<'a> Open<'a> {
    fn cost_of(&self, record: &Record) -> usize {
        let key = if self.keys.contains_key(&record.partition_key) { 0 } else { record.partition_key.len() + 4 };
        // 39 digits, a tag and a length.
        let hash_key = record.explicit_hash_key.filter(|key| !self.hash_keys.contains_key(key)).map_or(0, |_| 41);
        key + hash_key + record.data.len() + OVERHEAD
    }

    fn push(&mut self, record: &'a Record) {
        if self.first.is_none() {
            self.first = Some(record);
            self.bytes = MAGIC.len() + DIGEST;
        }
        self.bytes += self.cost_of(record);
        self.count += 1;
        let next = self.keys.len();
        let key = *self.keys.entry(&record.partition_key).or_insert_with(|| {
            write_bytes(1, record.partition_key.as_bytes(), &mut self.tables);
            next
        });
        let next = self.hash_keys.len();
        let hash_key = record.explicit_hash_key.map(|hash_key| {
            *self.hash_keys.entry(hash_key).or_insert_with(|| {
                write_bytes(2, hash_key.to_string().as_bytes(), &mut self.tables);
                next
            })
        });
        Inner { key, hash_key, data: &record.data }.write(&mut self.records);
    }

    fn close(self) -> Option<Packed> {
        let first = self.first?;
        if self.count == 1 {
            return Some(Packed { data: first.data.clone(), records: 1 });
        }
        let mut data = Vec::with_capacity(MAGIC.len() + self.tables.len() + self.records.len() + DIGEST);
        data.extend_from_slice(&MAGIC);
        data.extend_from_slice(&self.tables);
        data.extend_from_slice(&self.records);
        let digest = Md5::digest(&data[MAGIC.len()..]);
        data.extend_from_slice(&digest);
        Some(Packed { data: data.into(), records: self.count })
    }
}
