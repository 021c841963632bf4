//! The ring: what a reader has read lately, from the base up to the tip.
//!
//! A lane inside it reads without a call to the source. One that falls behind the base has to find another reader; whether
//! this ring has everything from a place on, it alone can say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Gap, Start};
use crate::broken::{self, Part};
use crate::record::Page;
use crate::shard::{Shard, StartPosition};

/// How much a ring may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingSize {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Default for RingSize {
    /// Two of the largest answers that Kinesis gives: 10,000 records, 10 MiB.
    fn default() -> Self {
        Self { records: 20_000, bytes: 20 << 20 }
    }
}

/// Recent pages of a shard, side by side in offset.
#[derive(Debug)]
pub(crate) struct Ring {
    size: RingSize,
    /// Each with the offset of its first record.
    pages: VecDeque<(u64, Arc<Page>)>,
    bytes: usize,
    tip: u64,
    /// Everything that the shard has behind this place was read, and is here unless it lies below the base.
    floor: Start,
    /// Where to go on at the tip.
    at_tip: Start,
    /// Where to re-open at the tip, when the source said so after an empty answer.
    resume: Option<StartPosition>,
    /// The shards that carry on, once the last record is in.
    end: Option<Vec<Shard>>,
}

impl Ring {
    /// A ring of a reader that opens at `from`.
    pub(crate) fn new(size: RingSize, from: Start) -> Self {
        Self { size, pages: VecDeque::new(), bytes: 0, tip: 0, floor: from, at_tip: from, resume: None, end: None }
    }

    /// The offset after the last record read.
    pub(crate) fn tip(&self) -> u64 {
        self.tip
    }

    /// The offset of the first record that is still here.
    pub(crate) fn base(&self) -> u64 {
        self.pages.front().map_or(self.tip, |(first, _)| *first)
    }

    /// Where to go on at the tip, and when the last record before it had arrived.
    pub(crate) fn at_tip(&self) -> Start {
        self.resume.map_or(self.at_tip, |resume| self.at_tip.moved(resume))
    }

    pub(crate) fn push(&mut self, page: Arc<Page>) {
        let (position, arrived_at) = page.marks().after(page.len() - 1);
        self.at_tip = Start::new(position, arrived_at.or(self.at_tip.arrived_at));
        self.bytes += page.whole_footprint();
        self.resume = None;
        self.tip += page.len() as u64;
        self.pages.push_back((self.tip - page.len() as u64, page));
    }

    /// The page that holds `offset` and the offset of its first record, unless that is the tip or evicted.
    pub(crate) fn page_at(&self, offset: u64) -> Option<(u64, &Arc<Page>)> {
        let index = self.pages.partition_point(|(first, page)| first + page.len() as u64 <= offset);
        self.pages.get(index).filter(|(first, _)| *first <= offset).map(|(first, page)| (*first, page))
    }

    /// Lets the pages go that lie wholly below `offset`.
    pub(crate) fn evict(&mut self, offset: u64) {
        while let Some((first, page)) = self.pages.front()
            && first + page.len() as u64 <= offset
        {
            self.evict_first();
        }
    }

    fn evict_first(&mut self) {
        if let Some((_, page)) = self.pages.pop_front() {
            self.bytes -= page.whole_footprint();
            let (position, arrived_at) = page.marks().after(page.len() - 1);
            self.floor = Start::new(position, arrived_at);
        }
    }

    /// Something is missing before what comes next: whoever needs what lay before it cannot read it here.
    pub(crate) fn tear(&mut self, gap: &Gap) {
        self.evict(u64::MAX);
        self.floor = gap.left();
        self.at_tip = self.floor;
    }

    /// A quarter of the records that it may hold.
    pub(crate) fn quarter(&self) -> usize {
        (self.size.records / 4).max(1)
    }

    /// How many records may be read now without letting any go.
    pub(crate) fn room(&self) -> usize {
        let held = (self.tip - self.base()) as usize;
        if self.bytes >= self.size.bytes { 0 } else { self.size.records.saturating_sub(held) }
    }

    /// Lets the oldest pages go until there is room for a good part of what the ring may hold; says how many records.
    pub(crate) fn make_room(&mut self) -> usize {
        let wanted = self.quarter();
        while self.room() < wanted && !self.pages.is_empty() {
            self.evict_first();
        }
        self.room()
    }

    /// What is here, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets the oldest pages go until no more than so many bytes are left.
    pub(crate) fn shrink(&mut self, most: usize) {
        while self.bytes > most {
            self.evict_first();
        }
    }

    /// From which offset on this ring has everything behind `from`; `None` when it may lack something. The records there
    /// may begin before `from`.
    pub(crate) fn locate(&self, from: Start) -> Option<u64> {
        if from == self.at_tip || from.position == self.at_tip().position {
            return Some(self.tip);
        }
        // No record tells whether the tip of another time is before it or behind.
        if from.position == StartPosition::Latest && self.floor.position != StartPosition::Latest {
            return None;
        }
        let first = self.pages.front().and_then(|(_, page)| page.records().first());
        let begins_before = first
            .is_some_and(|record| from.has_had(record) || from.position == StartPosition::At(record.sequence_number));
        // A reader that had no record to ask for began with whatever was left: whether something is missing
        // before that, only a lane's own last record tells.
        let covers = (self.floor.witness().is_some() || from.witness().is_none()) && self.floor.is_at_or_before(&from);
        if !begins_before && !covers && !broken::is(Part::RingClaimsMore) {
            return None;
        }
        // The first page whose last record is not before the place.
        let index =
            self.pages.partition_point(|(_, page)| page.records().last().is_some_and(|last| from.has_had(last)));
        let skipped = u64::from(broken::is(Part::RingSkipsAtJoin));
        Some(self.pages.get(index).map_or(self.tip, |(first, _)| *first + skipped))
    }

    pub(crate) fn set_resume(&mut self, resume: StartPosition) {
        self.resume = Some(resume);
    }

    /// Takes in that everything was read that had arrived by this time of the stream.
    pub(crate) fn set_read_until(&mut self, time: SystemTime) {
        self.at_tip.arrived_at = self.at_tip.arrived_at.max(Some(time));
    }

    pub(crate) fn set_end(&mut self, children: Vec<Shard>) {
        self.end = Some(children);
    }

    /// The shards that carry on, once every record of the shard is in the ring or was.
    pub(crate) fn end(&self) -> Option<&[Shard]> {
        self.end.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, SequenceNumber};
    use StartPosition::{After, At, Latest, Timestamp, TrimHorizon};
    use std::time::Duration;

    fn seconds(n: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(n)
    }

    /// Records whose numbers and times of arrival are ten times `first` and the numbers that follow it.
    fn page(first: u64, count: u64) -> Arc<Page> {
        let record = |n: u64| Record::new(SequenceNumber::from(10 * n), "k", "12345").with_arrived_at(seconds(10 * n));
        Arc::new(Page::new((first..first + count).map(record).collect(), None, None, None))
    }

    fn start(position: StartPosition) -> Start {
        Start::new(position, None)
    }

    fn after(n: u64) -> Start {
        start(After(n.into()))
    }

    #[test]
    fn room_is_what_is_left_and_can_be_made() {
        let mut ring = Ring::new(RingSize { records: 10, bytes: 100_000 }, start(TrimHorizon));
        ring.push(page(0, 4));
        ring.push(page(4, 4));
        assert_eq!((ring.base(), ring.tip(), ring.room()), (0, 8, 2));
        assert_eq!((ring.page_at(3).unwrap().0, ring.page_at(4).unwrap().0), (0, 4));
        assert!(ring.page_at(8).is_none());
        ring.evict(3);
        assert_eq!(ring.room(), 2);
        ring.push(page(8, 2));
        assert_eq!((ring.make_room(), ring.base()), (4, 4));
        assert!(ring.page_at(3).is_none());
        ring.evict(10);
        assert_eq!((ring.room(), ring.base(), ring.tip()), (10, 10, 10));
    }

    #[test]
    fn full_of_bytes_leaves_no_room() {
        let bytes = page(0, 1).whole_footprint() + 1;
        let mut ring = Ring::new(RingSize { records: 10, bytes }, start(TrimHorizon));
        ring.push(page(0, 1));
        assert_eq!(ring.room(), 9);
        ring.push(page(1, 1));
        assert_eq!(ring.room(), 0);
    }

    /// A lane may enter only where nothing of the shard lies between its place and what the ring has.
    #[test]
    fn a_place_is_found_only_where_nothing_is_missing_behind_it() {
        let mut ring = Ring::new(RingSize::default(), after(40));
        assert_eq!((ring.locate(after(40)), ring.locate(after(50))), (Some(0), Some(0)));
        assert_eq!((ring.locate(after(39)), ring.locate(start(TrimHorizon))), (None, None));
        ring.push(page(5, 3));
        ring.push(page(8, 2));
        assert_eq!(
            (ring.locate(after(40)), ring.locate(after(60)), ring.locate(after(70))),
            (Some(0), Some(0), Some(3))
        );
        assert_eq!(ring.locate(after(30)), None);
        assert_eq!((ring.locate(after(90)), ring.locate(after(91))), (Some(5), Some(5)));
        ring.evict(3);
        assert_eq!((ring.locate(after(60)), ring.locate(after(69)), ring.locate(after(70))), (None, None, Some(3)));
        assert_eq!((ring.locate(start(At(70u64.into()))), ring.locate(start(At(80u64.into())))), (None, Some(3)));
    }

    #[test]
    fn a_time_is_found_only_behind_a_record_that_is_older() {
        let mut ring = Ring::new(RingSize::default(), start(TrimHorizon));
        assert_eq!(ring.locate(start(TrimHorizon)), Some(0));
        ring.push(page(5, 3));
        ring.push(page(8, 2));
        assert_eq!(ring.locate(start(Timestamp(seconds(20)))), Some(0));
        ring.evict(3);
        assert_eq!(ring.locate(start(TrimHorizon)), None);
        assert_eq!(ring.locate(start(Timestamp(seconds(70)))), None);
        assert_eq!(ring.locate(start(Timestamp(seconds(71)))), Some(3));
        assert_eq!(ring.locate(start(Timestamp(seconds(95)))), Some(5));
    }

    #[test]
    fn the_tip_is_shared_with_itself_and_later_with_whoever_meets_its_records() {
        let mut ring = Ring::new(RingSize::default(), start(Latest));
        assert_eq!((ring.locate(start(Latest)), ring.locate(after(40))), (Some(0), None));
        ring.push(page(5, 2));
        assert_eq!(
            (ring.locate(after(40)), ring.locate(after(50)), ring.locate(start(Latest))),
            (None, Some(0), Some(0))
        );
        ring.evict(2);
        assert_eq!(ring.locate(start(Latest)), None);
    }
}
