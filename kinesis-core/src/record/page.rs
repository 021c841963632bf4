//! A page: the records of one batch, frozen so that every lane can share them without copying.
//!
//! What several lanes would each compute about the same records (the hash of a key, the records of a channel) is
//! computed here once, by the first that asks.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use super::{Channel, Record};

/// Records read together, in shard order, and what is known about all of them.
#[derive(Debug)]
pub(crate) struct Page {
    /// The feed's count of records before this page; a record's offset is this plus its index.
    first: u64,
    records: Vec<Record>,
    /// One a record, unless the partition key is the channel.
    channels: Option<Vec<Channel>>,
    bytes: usize,
    key_hashes: OnceLock<Box<[u64]>>,
    by_channel: OnceLock<HashMap<Channel, Box<[u32]>>>,
}

impl Page {
    /// Freezes `records`, the first of which has the offset `first`.
    pub(crate) fn new(first: u64, records: Vec<Record>, channels: Option<Vec<Channel>>) -> Self {
        debug_assert!(channels.as_ref().is_none_or(|channels| channels.len() == records.len()));
        let bytes = records.iter().map(Record::size).sum();
        Self { first, records, channels, bytes, key_hashes: OnceLock::new(), by_channel: OnceLock::new() }
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The offset after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Payloads and keys, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn channel(&self, index: usize) -> &str {
        match &self.channels {
            Some(channels) => &channels[index],
            None => &self.records[index].partition_key,
        }
    }

    /// The hash of each record's partition key; equal keys have equal hashes, and that is all it promises.
    pub(crate) fn key_hashes(&self) -> &[u64] {
        self.key_hashes.get_or_init(|| self.records.iter().map(|record| hash_key(&record.partition_key)).collect())
    }

    /// The indices of the records of `channel`, ascending.
    pub(crate) fn of_channel(&self, channel: &str) -> &[u32] {
        let groups = self.by_channel.get_or_init(|| {
            let mut groups: HashMap<Channel, Vec<u32>> = HashMap::new();
            for index in 0..self.records.len() {
                let channel = self.channel(index);
                // Looked up by text first: most records meet a group that exists, and cost no new name.
                match groups.get_mut(channel) {
                    Some(group) => group.push(index as u32),
                    None => drop(groups.insert(Channel::from(channel), vec![index as u32])),
                }
            }
            groups.into_iter().map(|(channel, indices)| (channel, indices.into())).collect()
        });
        groups.get(channel).map_or(&[], |indices| indices)
    }
}

/// Any hash would do that is equal for equal keys; it stays inside the process.
pub(crate) fn hash_key(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SequenceNumber;

    fn page(keys: &[&str]) -> Page {
        let record = |(n, key): (usize, &&str)| Record::new(SequenceNumber::from(n as u64), *key, "data");
        Page::new(10, keys.iter().enumerate().map(record).collect(), None)
    }

    #[test]
    fn the_partition_key_is_the_channel_unless_others_are_given() {
        let page = page(&["a", "b", "a"]);
        assert_eq!(page.of_channel("a"), [0, 2]);
        assert_eq!(page.of_channel("c"), [0u32; 0]);
        let named = Page::new(0, page.records.clone(), Some(vec!["x".into(), "y".into(), "y".into()]));
        assert_eq!(named.of_channel("y"), [1, 2]);
        assert_eq!(named.channel(0), "x");
    }

    #[test]
    fn offsets_count_on_from_the_first() {
        let page = page(&["a", "b"]);
        assert_eq!((page.first(), page.end(), page.len(), page.bytes()), (10, 12, 2, 10));
        assert_eq!(page.key_hashes()[0], hash_key("a"));
    }
}
