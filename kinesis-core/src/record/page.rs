//! A page: the records of one batch, frozen so that every lane can share them without copying.
//!
//! What several lanes would each compute about the same records (the hash of a key, the records of a channel, the places
//! a cursor can stand) is computed here once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::{Channel, Record, SequenceNumber};
use crate::shard::StartPosition;

/// Records read together, in shard order, and what is known about all of them.
#[derive(Debug)]
pub(crate) struct Page {
    records: Vec<Record>,
    /// One a record, unless the partition key is the channel.
    channels: Option<Vec<Channel>>,
    /// Payload and key of each record, in bytes: side by side, where walking the records would miss the cache.
    sizes: Box<[u32]>,
    bytes: usize,
    marks: Arc<Marks>,
    key_hashes: OnceLock<Box<[u64]>>,
    by_channel: OnceLock<HashMap<Channel, Box<[u32]>>>,
}

/// Where a cursor can stand in a page. Lives longer than the payloads: a record that is stuck for a day must not keep
/// what was delivered after it in memory.
#[derive(Debug)]
pub(crate) struct Marks {
    /// The feed's count of records before this page; a record's offset is this plus its index.
    first: u64,
    places: Box<[(SequenceNumber, Option<SystemTime>)]>,
    /// Where to re-open after the page, when the source knows better than "after the last record".
    resume: Option<StartPosition>,
}

impl Marks {
    /// The offset after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Where to go on when everything before `offset` is settled, and when the last record before it had arrived;
    /// `None` when that record is not of this page.
    pub(crate) fn position_at(&self, offset: u64) -> Option<(StartPosition, Option<SystemTime>)> {
        let index = offset.checked_sub(self.first + 1)?;
        let (number, arrived_at) = *self.places.get(index as usize)?;
        Some(match self.resume {
            Some(resume) if offset == self.end() => (resume, arrived_at),
            _ => (StartPosition::After(number), arrived_at),
        })
    }
}

impl Page {
    /// Freezes `records`, the first of which has the offset `first`.
    pub(crate) fn new(
        first: u64,
        records: Vec<Record>,
        channels: Option<Vec<Channel>>,
        resume: Option<StartPosition>,
    ) -> Self {
        debug_assert!(channels.as_ref().is_none_or(|channels| channels.len() == records.len()));
        let sizes: Box<[u32]> = records.iter().map(|record| u32::try_from(record.size()).unwrap_or(u32::MAX)).collect();
        let bytes = sizes.iter().map(|size| *size as usize).sum();
        let places = records.iter().map(|record| (record.sequence_number, record.arrived_at)).collect();
        let marks = Arc::new(Marks { first, places, resume });
        Self { records, channels, sizes, bytes, marks, key_hashes: OnceLock::new(), by_channel: OnceLock::new() }
    }

    pub(crate) fn first(&self) -> u64 {
        self.marks.first
    }

    /// The offset after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.marks.end()
    }

    pub(crate) fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Payload and key of the record at `index`, in bytes.
    pub(crate) fn size(&self, index: usize) -> usize {
        self.sizes[index] as usize
    }

    /// Payloads and keys of all records, in bytes.
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
fn hash_key(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&str], resume: Option<StartPosition>) -> Page {
        let record = |(n, key): (usize, &&str)| Record::new(SequenceNumber::from(n as u64), *key, "data");
        Page::new(10, keys.iter().enumerate().map(record).collect(), None, resume)
    }

    #[test]
    fn the_partition_key_is_the_channel_unless_others_are_given() {
        let page = page(&["a", "b", "a"], None);
        assert_eq!(page.of_channel("a"), [0, 2]);
        assert_eq!(page.of_channel("c"), [0u32; 0]);
        let named = Page::new(0, page.records.clone(), Some(vec!["x".into(), "y".into(), "y".into()]), None);
        assert_eq!(named.of_channel("y"), [1, 2]);
        assert_eq!(named.channel(0), "x");
    }

    #[test]
    fn offsets_count_on_from_the_first() {
        let page = page(&["a", "b"], None);
        assert_eq!((page.first(), page.end(), page.size(1), page.bytes()), (10, 12, 5, 10));
        assert_eq!(page.key_hashes()[0], hash_key("a"));
    }

    #[test]
    fn a_cursor_stands_after_a_record_or_where_the_source_says() {
        let after = |n: u64| StartPosition::After(SequenceNumber::from(n));
        let marks = Arc::clone(page(&["a", "b"], None).marks());
        assert_eq!(marks.position_at(11).unwrap().0, after(0));
        assert_eq!(marks.position_at(12).unwrap().0, after(1));
        let marks = Arc::clone(page(&["a", "b"], Some(after(7))).marks());
        assert_eq!(marks.position_at(11).unwrap().0, after(0));
        assert_eq!(marks.position_at(12).unwrap().0, after(7));
    }
}
