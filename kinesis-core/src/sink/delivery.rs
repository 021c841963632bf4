//! A delivery: the records handed to a sink in one call, shared with every other lane that wants them.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::record::{Holding, Page, Record};
use crate::shard::{ShardId, StreamId};

use super::SubscriptionName;
use super::fnv::Fnv;

/// Where the records of a delivery come from and whom they go to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) stream: StreamId,
    pub(crate) shard: ShardId,
    pub(crate) subscription: SubscriptionName,
}

/// Which records of one page are meant.
#[derive(Debug, Clone)]
pub(crate) enum Picks {
    /// A run of neighbours.
    Run { from: u32, to: u32 },
    /// Any records, ascending.
    These(Vec<u32>),
}

impl Picks {
    /// These indices, ascending; as a run where they are neighbours.
    pub(crate) fn of(indices: &[u32]) -> Self {
        match (indices.first(), indices.last()) {
            (Some(from), Some(last)) if (last - from) as usize + 1 == indices.len() => {
                Self::Run { from: *from, to: last + 1 }
            }
            _ => Self::These(indices.to_vec()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Run { from, to } => (to - from) as usize,
            Self::These(indices) => indices.len(),
        }
    }

    pub(crate) fn get(&self, nth: usize) -> usize {
        match self {
            Self::Run { from, .. } => *from as usize + nth,
            Self::These(indices) => indices[nth] as usize,
        }
    }
}

/// Why a record is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// What the subscriber said, or why no further attempt was made.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

impl Rejection {
    /// A rejection after `attempts` attempts.
    pub fn new(reason: impl Into<String>, attempts: u32) -> Self {
        Self { reason: reason.into(), attempts }
    }
}

/// Records of one shard, in order, handed to a sink together. Cloning it shares the records.
#[derive(Debug, Clone)]
pub struct Delivery {
    origin: Arc<Origin>,
    parts: Vec<(Arc<Holding>, Picks)>,
    len: usize,
    attempt: u32,
    /// One a record in a delivery of dead letters, none otherwise.
    rejections: Option<Vec<Rejection>>,
}

impl Delivery {
    /// A delivery of `records` outside any pipeline: for a test of a sink, or from a Lambda event.
    #[must_use]
    pub fn new(
        stream: StreamId,
        shard: impl Into<ShardId>,
        subscription: impl Into<SubscriptionName>,
        records: Vec<Record>,
    ) -> Self {
        let origin = Origin { stream, shard: shard.into(), subscription: subscription.into() };
        let to = records.len() as u32;
        let records = Arc::new(Holding::unaccounted(Page::new(records, None, None, None)));
        Self::of(Arc::new(origin), vec![(records, Picks::Run { from: 0, to })])
    }

    pub(crate) fn of(origin: Arc<Origin>, parts: Vec<(Arc<Holding>, Picks)>) -> Self {
        let len = parts.iter().map(|(_, picks)| picks.len()).sum();
        Self { origin, parts, len, attempt: 1, rejections: None }
    }

    /// The stream the records come from.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.origin.stream
    }

    /// The shard the records come from.
    #[must_use]
    pub fn shard(&self) -> &ShardId {
        &self.origin.shard
    }

    /// The subscription they go to.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.origin.subscription
    }

    /// Which attempt this is for the record tried most often, from 1 on. Counted in this process.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How many records there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The records with what is known about each, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.places().enumerate().map(|(nth, (page, index))| Entry {
            origin: &self.origin,
            record: &page.records()[index],
            channel: page.channel(index),
            rejection: self.rejections.as_ref().map(|all| &all[nth]),
        })
    }

    /// The records alone, in order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.places().map(|(page, index)| &page.records()[index])
    }

    /// A name for the delivery that is the same whenever the same records are delivered together, over retries, restarts
    /// and re-reads, and another one for other records: the id of its only record, or `b:<first>:<last>:<hash>` of the ids
    /// of the first and the last record and a hash of all numbers.
    #[must_use]
    pub fn id(&self) -> String {
        let mut numbers = self.records().map(|record| record.sequence_number);
        match (numbers.next(), numbers.last()) {
            (None, _) => format!("{}:", self.shard()),
            (Some(only), None) => record_id(self.shard(), only),
            (Some(first), Some(last)) => {
                let mut all = Fnv::new();
                for word in self.records().flat_map(|record| record.sequence_number.words()) {
                    all.add(&word.to_le_bytes());
                }
                let (first, last) = (record_id(self.shard(), first), record_id(self.shard(), last));
                format!("b:{first}:{last}:{:016x}", all.0)
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = (&Holding, usize)> {
        self.parts.iter().flat_map(|(page, picks)| (0..picks.len()).map(|nth| (&**page, picks.get(nth))))
    }

    /// The lane's offsets of the records.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u64> {
        self.places().map(|(held, index)| held.offset(index))
    }

    /// The offsets as runs of neighbours, `(first, end)`.
    pub(crate) fn offset_runs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.parts.iter().flat_map(|(held, picks)| match picks {
            Picks::Run { from, to } if held.counts_on() => {
                let first = held.offset(*from as usize);
                Runs::One(Some((first, first + u64::from(to - from))))
            }
            picks => Runs::Singles(held, picks, 0),
        })
    }

    /// The same records in copies, where they would keep much more than themselves in memory.
    pub(crate) fn without_neighbours(self) -> Self {
        let copied = |(held, picks): (Arc<Holding>, Picks)| {
            let indices = (0..picks.len()).map(|nth| picks.get(nth));
            match held.copied(indices) {
                Some(copy) => (Arc::new(copy), Picks::Run { from: 0, to: picks.len() as u32 }),
                None => (held, picks),
            }
        };
        Self { parts: self.parts.into_iter().map(copied).collect(), ..self }
    }

    /// Payloads and keys, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.places().map(|(page, index)| page.size(index)).sum()
    }

    /// The hashes of the partition keys, one a record.
    pub(crate) fn key_hashes(&self) -> impl Iterator<Item = u64> {
        self.places().map(|(page, index)| page.key_hashes()[index])
    }

    /// The records at these places of the delivery, ascending, as a delivery of their own.
    pub(crate) fn subset(&self, nths: &[usize]) -> Self {
        let mut parts: Vec<(Arc<Holding>, Picks)> = Vec::new();
        let mut wanted = nths.iter().copied().peekable();
        let mut before = 0;
        for (page, picks) in &self.parts {
            let end = before + picks.len();
            let mut indices = Vec::new();
            while let Some(nth) = wanted.next_if(|nth| *nth < end) {
                indices.push(picks.get(nth - before) as u32);
            }
            if !indices.is_empty() {
                parts.push((Arc::clone(page), Picks::These(indices)));
            }
            before = end;
        }
        let rejections = self.rejections.as_ref().map(|all| nths.iter().map(|nth| all[*nth].clone()).collect());
        Self { attempt: self.attempt, rejections, ..Self::of(Arc::clone(&self.origin), parts) }
    }

    pub(crate) fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Says of each record why it is a dead letter; in the order of the records.
    ///
    /// # Panics
    ///
    /// When there are not as many rejections as records.
    #[must_use]
    pub fn with_rejections(mut self, rejections: Vec<Rejection>) -> Self {
        assert_eq!(rejections.len(), self.len, "one rejection a record");
        self.rejections = Some(rejections);
        self
    }
}

enum Runs<'a> {
    One(Option<(u64, u64)>),
    /// Records of a page from the given one of the picks on.
    Singles(&'a Holding, &'a Picks, usize),
}

impl Iterator for Runs<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        match self {
            Self::One(run) => run.take(),
            Self::Singles(held, picks, nth) => {
                let offset = (*nth < picks.len()).then(|| held.offset(picks.get(*nth)))?;
                *nth += 1;
                Some((offset, offset + 1))
            }
        }
    }
}

/// `<shard>:<number>[:<sub>]`: the id a Lambda event gives the record, stable over retries and re-reads.
fn record_id(shard: &ShardId, number: crate::SequenceNumber) -> String {
    // A number of Kinesis has 56 digits, and the few of its sub-number come behind.
    let mut id = String::with_capacity(shard.len() + 64);
    id.push_str(shard);
    // Writing into a string cannot fail.
    let _ = write!(id, ":{}", number.without_sub());
    if number.sub() > 0 {
        let _ = write!(id, ":{}", number.sub());
    }
    id
}

/// One record of a delivery, with what the pipeline knows about it. Derefs to the [`Record`].
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    origin: &'a Origin,
    record: &'a Record,
    channel: &'a str,
    rejection: Option<&'a Rejection>,
}

impl<'a> Entry<'a> {
    /// The record itself.
    #[must_use]
    pub const fn record(&self) -> &'a Record {
        self.record
    }

    /// What the record is about.
    #[must_use]
    pub const fn channel(&self) -> &'a str {
        self.channel
    }

    /// `<shard>:<sequence number>[:<sub-number>]`: the same over retries, re-reads and restarts.
    #[must_use]
    pub fn id(&self) -> String {
        record_id(&self.origin.shard, self.record.sequence_number)
    }

    /// Why the record is a dead letter, where it is one.
    #[must_use]
    pub const fn rejection(&self) -> Option<&'a Rejection> {
        self.rejection
    }
}

impl std::ops::Deref for Entry<'_> {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;

    fn delivery(numbers: std::ops::Range<u64>) -> Delivery {
        let records = numbers.map(|n| Record::new(SequenceNumber::from(n), format!("key-{n}"), "data")).collect();
        Delivery::new(StreamId::new("s"), "shardId-0", "audit", records)
    }

    #[test]
    fn a_subset_keeps_records_offsets_and_origin() {
        let whole = delivery(10..20);
        let part = whole.subset(&[1, 2, 9]);
        assert_eq!(part.len(), 3);
        assert_eq!(part.offsets().collect::<Vec<_>>(), [1, 2, 9]);
        assert_eq!(part.subset(&[2]).iter().next().unwrap().id(), "shardId-0:19");
        assert_eq!(part.subscription(), "audit");
        assert!(part.subset(&[]).is_empty());
        assert_eq!(whole.offset_runs().collect::<Vec<_>>(), [(0, 10)]);
        assert_eq!(part.offset_runs().collect::<Vec<_>>(), [(1, 2), (2, 3), (9, 10)]);
    }

    /// Two deliveries had one id where they began and ended alike, and a subscriber that knew the one passed the other over.
    #[test]
    fn deliveries_of_other_records_have_other_ids() {
        let whole = delivery(1..5);
        let parts: [&[usize]; 7] = [&[0, 1, 2, 3], &[0, 3], &[0, 1, 3], &[0, 2, 3], &[0, 2], &[0, 1, 2], &[1, 2, 3]];
        let ids: std::collections::BTreeSet<String> = parts.iter().map(|part| whole.subset(part).id()).collect();
        assert_eq!(ids.len(), parts.len(), "{ids:?}");
        assert_eq!(whole.subset(&[0, 1, 2, 3]).id(), delivery(1..5).id());
        // A sub-number is part of it too.
        let of_aggregate = |middle: u64| {
            let record = |sub| Record::new(SequenceNumber::from(5).with_sub(sub), "k", "");
            Delivery::new(StreamId::new("s"), "shardId-0", "audit", [0, middle, 9].map(record).to_vec()).id()
        };
        assert_ne!(of_aggregate(1), of_aggregate(2));
    }

    #[test]
    fn ids_name_the_records() {
        assert_eq!(delivery(5..6).id(), "shardId-0:5");
        assert_eq!(delivery(5..8).id(), "b:shardId-0:5:shardId-0:7:1c41a2410c1db840");
        let sub = Record::new(SequenceNumber::from(5).with_sub(2), "k", "");
        let delivery = Delivery::new(StreamId::new("s"), "shardId-0", "audit", vec![sub]);
        assert_eq!(delivery.id(), "shardId-0:5:2");
        assert_eq!(delivery.iter().next().unwrap().channel(), "k");
    }
}
