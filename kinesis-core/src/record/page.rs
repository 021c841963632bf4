//! A page: the records of one batch, frozen so that every lane can share them without copying.
//!
//! What several lanes would each compute about the same records (the hash of a key, the records of a channel, the places
//! a cursor can stand) is computed here once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;

use super::{Channel, Record, SequenceNumber};
use crate::budget::{Budget, Charge};
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
    charge: Option<Charge>,
}

/// What a record takes in memory besides its payload and key: the record itself, its size and its hash, and about what an
/// allocator adds to its two allocations.
const OVERHEAD: usize = size_of::<Record>() + size_of::<u32>() + size_of::<u64>() + 3 * size_of::<usize>();

/// Where a cursor can stand in a page. Lives longer than the payloads: a record that is stuck for a day must not keep
/// what was delivered after it in memory.
#[derive(Debug)]
pub(crate) struct Marks {
    places: Box<[(SequenceNumber, Option<SystemTime>)]>,
    /// Where to re-open after the page, when the source knows better than "after the last record".
    resume: Option<StartPosition>,
    _charge: Option<Charge>,
}

impl Marks {
    /// Where to go on behind the record at `index`, and when that had arrived.
    pub(crate) fn after(&self, index: usize) -> (StartPosition, Option<SystemTime>) {
        let (number, arrived_at) = self.places[index];
        match self.resume {
            Some(resume) if index + 1 == self.places.len() => (resume, arrived_at),
            _ => (StartPosition::After(number), arrived_at),
        }
    }

    /// The number of the record at `index`.
    pub(crate) fn number(&self, index: usize) -> SequenceNumber {
        self.places[index].0
    }

    /// Which record has this number.
    pub(crate) fn index_of(&self, number: SequenceNumber) -> Option<usize> {
        self.places.binary_search_by_key(&number, |place| place.0).ok()
    }
}

impl Page {
    /// Freezes `records`, and charges them to `budget` for as long as they live.
    pub(crate) fn new(
        records: Vec<Record>,
        channels: Option<Vec<Channel>>,
        resume: Option<StartPosition>,
        budget: Option<&Budget>,
    ) -> Self {
        let charge = |bytes| budget.map(|budget| budget.charge(bytes));
        Self::charged(records, channels, resume, &charge)
    }

    fn charged(
        records: Vec<Record>,
        channels: Option<Vec<Channel>>,
        resume: Option<StartPosition>,
        charge: &dyn Fn(usize) -> Option<Charge>,
    ) -> Self {
        debug_assert!(channels.as_ref().is_none_or(|channels| channels.len() == records.len()));
        let sizes: Box<[u32]> = records.iter().map(|record| u32::try_from(record.size()).unwrap_or(u32::MAX)).collect();
        let bytes = sizes.iter().map(|size| *size as usize).sum();
        let places: Box<[_]> = records.iter().map(|record| (record.sequence_number, record.arrived_at)).collect();
        let of_marks = charge(size_of_val(&*places));
        let marks = Arc::new(Marks { places, resume, _charge: of_marks });
        let charge = charge(bytes + records.len() * OVERHEAD);
        let (key_hashes, by_channel) = (OnceLock::new(), OnceLock::new());
        Self { records, channels, sizes, bytes, marks, key_hashes, by_channel, charge }
    }

    /// A page of copies of some of the records, so that they keep nothing else in memory.
    pub(crate) fn copied(&self, indices: impl Iterator<Item = usize> + Clone) -> Self {
        let copy = |index: usize| {
            let record = self.records[index].clone();
            Record { data: Bytes::copy_from_slice(&record.data), ..record }
        };
        let channels = self.channels.as_ref().map(|all| indices.clone().map(|index| all[index].clone()).collect());
        let charge = |bytes| self.charge.as_ref().map(|charge| charge.another(bytes));
        Self::charged(indices.map(copy).collect(), channels, None, &charge)
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// What the record at `index` takes in memory, in bytes.
    pub(crate) fn footprint(&self, index: usize) -> usize {
        self.size(index) + OVERHEAD
    }

    /// What all records take in memory, in bytes.
    pub(crate) fn whole_footprint(&self) -> usize {
        self.bytes + self.records.len() * OVERHEAD
    }

    /// What the page was charged with at first, in bytes: its marks, which may outlive it, included.
    pub(crate) fn charged_at_first(&self) -> usize {
        self.whole_footprint() + size_of_val(&*self.marks.places)
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
        self.by_channel().get(channel).map_or(&[], |indices| indices)
    }

    /// Every channel that has a record here, in no order.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.by_channel().keys()
    }

    fn by_channel(&self) -> &HashMap<Channel, Box<[u32]>> {
        self.by_channel.get_or_init(|| {
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
        })
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
        Page::new(keys.iter().enumerate().map(record).collect(), None, resume, None)
    }

    #[test]
    fn the_partition_key_is_the_channel_unless_others_are_given() {
        let page = page(&["a", "b", "a"], None);
        assert_eq!(page.of_channel("a"), [0, 2]);
        assert_eq!(page.of_channel("c"), [0u32; 0]);
        let names = Some(vec!["x".into(), "y".into(), "y".into()]);
        let named = Page::new(page.records.clone(), names, None, None);
        assert_eq!(named.of_channel("y"), [1, 2]);
        assert_eq!(named.channel(0), "x");
    }

    #[test]
    fn sizes_and_hashes_are_those_of_the_records() {
        let page = page(&["a", "b"], None);
        assert_eq!((page.len(), page.size(1), page.whole_footprint()), (2, 5, 10 + 2 * OVERHEAD));
        assert_eq!(page.key_hashes()[0], hash_key("a"));
    }

    #[test]
    fn a_cursor_stands_after_a_record_or_where_the_source_says() {
        let after = |n: u64| StartPosition::After(SequenceNumber::from(n));
        let marks = Arc::clone(page(&["a", "b"], None).marks());
        assert_eq!((marks.after(0).0, marks.after(1).0), (after(0), after(1)));
        let marks = Arc::clone(page(&["a", "b"], Some(after(7))).marks());
        assert_eq!((marks.after(0).0, marks.after(1).0), (after(0), after(7)));
        assert_eq!((marks.index_of(1u64.into()), marks.index_of(2u64.into())), (Some(1), None));
    }

    #[test]
    fn a_page_is_charged_while_it_lives_and_its_marks_longer() {
        let budget = Budget::new(1_000);
        let record = Record::new(SequenceNumber::ZERO, "key", vec![0; 97]);
        let page = Page::new(vec![record; 3], None, None, Some(&budget));
        let (marks, copy) = (Arc::clone(page.marks()), page.copied([1].into_iter()));
        assert_ne!(copy.records()[0].data.as_ptr(), page.records()[1].data.as_ptr());
        let of_marks = 3 * size_of::<(SequenceNumber, Option<SystemTime>)>();
        assert_eq!(page.charged_at_first(), page.whole_footprint() + of_marks);
        assert_eq!(budget.used(), page.charged_at_first() / 3 * 4);
        drop((page, copy));
        assert_eq!(budget.used(), of_marks);
        drop(marks);
        assert_eq!(budget.used(), 0);
    }
}
