//! Which records go with which request: within the service's bounds, and none of a key before one that came before it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use kinesis_core::{HashKey, PartitionKey, Record};

use crate::kpl::pack;

/// The most entries of a request (API reference of `PutRecords`).
const MAX_ENTRIES: usize = 500;
/// The most bytes of a request, keys included. The API reference allows 10 MiB; half of that is what older servers and
/// the service's own agents keep to, and a refused request is sent again sooner.
const MAX_BYTES: usize = 5 << 20;

/// What order is kept by: a key that was chosen for the record counts like another partition key.
type Order<'a> = (&'a PartitionKey, Option<HashKey>);

/// One entry of a request: a record, or several of one key put together.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) first: &'a Record,
    pub(super) data: Bytes,
    /// The places of its records in the delivery.
    pub(super) records: Vec<usize>,
}

impl<'a> Entry<'a> {
    fn order(&self) -> Order<'a> {
        order_of(self.first)
    }

    fn bytes(&self) -> usize {
        self.data.len() + self.first.partition_key.len()
    }
}

fn order_of(record: &Record) -> Order<'_> {
    (&record.partition_key, record.explicit_hash_key)
}

/// The requests of one delivery.
#[derive(Debug)]
pub(super) struct Rounds<'a> {
    left: VecDeque<Entry<'a>>,
    ordered: bool,
    /// Keys of which an entry was refused: what follows waits for it.
    held: BTreeSet<Order<'a>>,
}

impl<'a> Rounds<'a> {
    /// Entries of records and their places in the delivery; put together, where `aggregate` says how long an entry may be.
    pub(super) fn new(records: Vec<(usize, &'a Record)>, ordered: bool, aggregate: Option<usize>) -> Self {
        let left = match aggregate {
            None => {
                records.into_iter().map(|(index, record)| entry(record, record.data.clone(), vec![index])).collect()
            }
            Some(max_bytes) => aggregated(records, max_bytes),
        };
        Self { left, ordered, held: BTreeSet::new() }
    }

    /// The entries of the next request; none when nothing is left that may be sent.
    pub(super) fn next(&mut self) -> Option<Vec<Entry<'a>>> {
        let (mut request, mut bytes) = (Vec::new(), 0);
        let mut keys = BTreeSet::new();
        let mut waiting = VecDeque::new();
        while let Some(entry) = self.left.pop_front() {
            let full = request.len() == MAX_ENTRIES || (!request.is_empty() && bytes + entry.bytes() > MAX_BYTES);
            if full {
                waiting.push_back(entry);
                break;
            }
            let order = entry.order();
            // The key of what waits is taken as well, so that nothing overtakes it.
            let may_go = !self.ordered || (!self.held.contains(&order) && keys.insert(order));
            if may_go {
                bytes += entry.bytes();
                request.push(entry);
            } else {
                waiting.push_back(entry);
            }
        }
        waiting.append(&mut self.left);
        self.left = waiting;
        (!request.is_empty()).then_some(request)
    }

    /// An entry was refused.
    pub(super) fn hold(&mut self, entry: &Entry<'a>) {
        self.held.insert(entry.order());
    }

    /// What was not sent, because it has to wait for what was refused.
    pub(super) fn held(self) -> impl Iterator<Item = usize> {
        self.left.into_iter().flat_map(|entry| entry.records)
    }
}

fn entry(first: &Record, data: Bytes, records: Vec<usize>) -> Entry<'_> {
    Entry { first, data, records }
}

/// Puts the records of each key together, in the order of their first.
fn aggregated(records: Vec<(usize, &Record)>, max_bytes: usize) -> VecDeque<Entry<'_>> {
    let mut keys: BTreeMap<Order<'_>, Vec<(usize, &Record)>> = BTreeMap::new();
    for (index, record) in records {
        keys.entry(order_of(record)).or_default().push((index, record));
    }
    let mut entries = Vec::new();
    for of_key in keys.into_values() {
        // The stored record's own key counts against its size.
        let room = max_bytes.saturating_sub(of_key[0].1.partition_key.len());
        let mut rest = of_key.as_slice();
        for packed in pack(of_key.iter().map(|(_, record)| *record), room) {
            let (these, after) = rest.split_at(packed.records);
            entries.push(entry(these[0].1, packed.data, these.iter().map(|(index, _)| *index).collect()));
            rest = after;
        }
    }
    entries.sort_by_key(|entry| entry.records[0]);
    entries.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64, key: &str, size: usize) -> Record {
        Record::new(n.into(), key, vec![b'x'; size])
    }

    fn places(entries: &[Entry<'_>]) -> Vec<Vec<usize>> {
        entries.iter().map(|entry| entry.records.clone()).collect()
    }

    fn rounds<'a>(records: &'a [Record], ordered: bool, aggregate: Option<usize>) -> Rounds<'a> {
        Rounds::new(records.iter().enumerate().collect(), ordered, aggregate)
    }

    #[test]
    fn a_request_has_one_entry_of_a_key_and_none_behind_one_that_was_refused() {
        let records = ["a", "b", "a", "c", "b", "a"].map(|key| record(1, key, 10));
        let mut rounds = rounds(&records, true, None);
        let first = rounds.next().unwrap();
        assert_eq!(places(&first), [[0], [1], [3]]);
        rounds.hold(&first[1]);
        assert_eq!(places(&rounds.next().unwrap()), [[2]]);
        assert_eq!(places(&rounds.next().unwrap()), [[5]]);
        assert!(rounds.next().is_none());
        assert_eq!(rounds.held().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn requests_stay_within_the_bounds_of_the_service() {
        let many: Vec<Record> = (0..1200).map(|n| record(n, "k", 10)).collect();
        let mut all = rounds(&many, false, None);
        let lengths: Vec<usize> = std::iter::from_fn(|| all.next()).map(|request| request.len()).collect();
        assert_eq!(lengths, [500, 500, 200]);
        let large: Vec<Record> = (0..12).map(|n| record(n, "k", 1 << 20)).collect();
        let mut all = rounds(&large, false, None);
        let lengths: Vec<usize> = std::iter::from_fn(|| all.next()).map(|request| request.len()).collect();
        assert_eq!(lengths, [4, 4, 4]);
    }

    #[test]
    fn the_records_of_a_key_become_one_entry() {
        let records = ["a", "b", "a", "c", "a"].map(|key| record(1, key, 10));
        let mut all = rounds(&records, true, Some(1 << 20));
        assert_eq!(places(&all.next().unwrap()), [vec![0, 2, 4], vec![1], vec![3]]);
        assert!(all.next().is_none());
        let mut small = rounds(&records, true, Some(100));
        assert_eq!(places(&small.next().unwrap()), [vec![0, 2], vec![1], vec![3]]);
        assert_eq!(places(&small.next().unwrap()), [[4]]);
    }
}
