//! The ring: a feed's recent pages, from the base that the slowest lane still needs to the tip.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::Page;
use crate::shard::{Shard, StartPosition};

/// How much a ring may hold before the feed waits for the slowest lane.
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
    pages: VecDeque<Arc<Page>>,
    bytes: usize,
    tip: u64,
    /// Where to re-open at the tip, when the source said so after an empty answer.
    resume: Option<StartPosition>,
    /// The shards that carry on, once the last record is in.
    end: Option<Vec<Shard>>,
}

impl Ring {
    pub(crate) fn new(size: RingSize) -> Self {
        Self { size, pages: VecDeque::new(), bytes: 0, tip: 0, resume: None, end: None }
    }

    /// The offset after the last record read.
    pub(crate) fn tip(&self) -> u64 {
        self.tip
    }

    pub(crate) fn push(&mut self, page: Arc<Page>) {
        debug_assert_eq!(page.first(), self.tip, "pages lie side by side");
        self.tip = page.end();
        self.bytes += page.bytes();
        self.resume = None;
        self.pages.push_back(page);
    }

    /// The page that holds `offset`, unless that is the tip or evicted.
    pub(crate) fn page_at(&self, offset: u64) -> Option<&Arc<Page>> {
        let index = self.pages.partition_point(|page| page.end() <= offset);
        self.pages.get(index).filter(|page| page.first() <= offset)
    }

    /// Lets the pages go that lie wholly below `offset`.
    pub(crate) fn evict(&mut self, offset: u64) {
        while let Some(page) = self.pages.front()
            && page.end() <= offset
        {
            self.bytes -= page.bytes();
            self.pages.pop_front();
        }
    }

    /// How many records may be read now.
    pub(crate) fn room(&self) -> usize {
        let held = self.pages.front().map_or(0, |page| (self.tip - page.first()) as usize);
        if self.bytes >= self.size.bytes { 0 } else { self.size.records.saturating_sub(held) }
    }

    pub(crate) fn set_resume(&mut self, resume: StartPosition) {
        self.resume = Some(resume);
    }

    pub(crate) fn resume(&self) -> Option<StartPosition> {
        self.resume
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

    fn page(first: u64, count: u64) -> Arc<Page> {
        let record = |n| Record::new(SequenceNumber::from(n), "k", "12345");
        Arc::new(Page::new(first, (first..first + count).map(record).collect(), None, None))
    }

    #[test]
    fn room_is_what_the_slowest_lane_leaves() {
        let mut ring = Ring::new(RingSize { records: 10, bytes: 1_000 });
        ring.push(page(0, 4));
        ring.push(page(4, 4));
        assert_eq!((ring.tip(), ring.room()), (8, 2));
        assert_eq!(ring.page_at(3).unwrap().first(), 0);
        assert_eq!(ring.page_at(4).unwrap().first(), 4);
        assert!(ring.page_at(8).is_none());
        ring.evict(3);
        assert_eq!(ring.room(), 2);
        ring.evict(4);
        assert_eq!(ring.room(), 6);
        assert!(ring.page_at(3).is_none());
        ring.evict(8);
        assert_eq!((ring.room(), ring.tip()), (10, 8));
    }

    #[test]
    fn full_of_bytes_leaves_no_room() {
        let mut ring = Ring::new(RingSize { records: 10, bytes: 11 });
        ring.push(page(0, 1));
        assert_eq!(ring.room(), 9);
        ring.push(page(1, 1));
        assert_eq!(ring.room(), 0);
    }
}
