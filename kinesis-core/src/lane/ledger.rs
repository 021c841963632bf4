//! A lane's ledger: which records it has looked at and which of them are settled, how far the cursor may go, and where the
//! lane goes on reading.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::feed::Start;
use crate::lease::{Cursor, CursorPosition};
use crate::record::{Marks, SequenceNumber};
use crate::shard::StartPosition;
use crate::sink::Delivery;
use crate::watermark::Watermark;

/// A cursor that does not move is stored anew this often, with the time up to which the shard was read. Far below the
/// least retention of Kinesis, 24 h, and far above the commit interval: an idle shard is hardly written.
const REFRESH: Duration = Duration::from_secs(10 * 60);

/// Settled and open records of a lane, and the cursor that follows from them. Offsets count what the lane looked at.
#[derive(Debug)]
pub(crate) struct Ledger {
    watermark: Watermark,
    /// What was looked at, from the mark on and a little before; the payloads are not kept.
    looked: VecDeque<Looked>,
    /// The place where the first of these begins; where reading goes on, if there are none.
    place: Start,
    /// The furthest cursor so far. It never moves back.
    cursor: Cursor,
}

/// Records of one page that lie side by side and were looked at.
#[derive(Debug)]
struct Looked {
    first: u64,
    end: u64,
    /// The place of the first one in the page.
    index: usize,
    marks: Arc<Marks>,
}

impl Looked {
    fn place(&self, offset: u64) -> Start {
        let (position, arrived_at) = self.marks.after(self.index + (offset - self.first) as usize);
        Start::new(position, arrived_at)
    }

    fn last_number(&self) -> SequenceNumber {
        self.marks.number(self.index + (self.end - self.first) as usize - 1)
    }
}

impl Ledger {
    /// A lane that goes on at `start`, where its cursor stands.
    pub(crate) fn new(cursor: Cursor, start: Start) -> Self {
        Self { watermark: Watermark::new(0), looked: VecDeque::new(), place: start, cursor }
    }

    /// Takes in the next records of a page, from `index` up to `to`: as open, or as settled where the lane does not want
    /// them.
    pub(crate) fn look(&mut self, marks: &Arc<Marks>, index: usize, to: usize, open: bool) {
        if index == to {
            return;
        }
        let first = self.watermark.end();
        let end = first + (to - index) as u64;
        if open {
            self.watermark.enter(end);
        } else {
            self.watermark.enter_settled(end);
        }
        match self.looked.back_mut() {
            Some(last) if Arc::ptr_eq(&last.marks, marks) && last.index + (last.end - last.first) as usize == index => {
                last.end = end;
            }
            _ => {
                self.looked.push_back(Looked { first, end, index, marks: Arc::clone(marks) });
                self.forget();
            }
        }
    }

    pub(crate) fn settle(&mut self, delivery: &Delivery) {
        self.watermark.settle_all(delivery.offset_runs());
        self.forget();
    }

    /// Counts a record as settled that is gone from the stream.
    pub(crate) fn lose(&mut self, offset: u64) {
        self.watermark.settle(offset, offset + 1);
        self.forget();
    }

    /// Counts every record as settled.
    pub(crate) fn lose_all(&mut self) {
        (self.mark()..self.end()).for_each(|offset| self.lose(offset));
    }

    /// The first offset that is not settled.
    pub(crate) fn mark(&self) -> u64 {
        self.watermark.mark()
    }

    /// The offset of the next record that was never looked at.
    pub(crate) fn end(&self) -> u64 {
        self.watermark.end()
    }

    /// How many records are taken and not settled.
    pub(crate) fn open(&self) -> usize {
        self.watermark.open()
    }

    /// Where the next record is found that was never looked at.
    pub(crate) fn place(&self) -> Start {
        self.looked.back().map_or(self.place, |last| last.place(last.end - 1))
    }

    /// Where the record at `offset` is found, which is open or follows the last one looked at.
    pub(crate) fn place_of(&self, offset: u64) -> Start {
        let index = self.looked.partition_point(|looked| looked.end < offset);
        match self.looked.get(index) {
            Some(looked) if looked.first < offset => looked.place(offset - 1),
            // It is the first of its page, or of all.
            Some(_) if index > 0 => self.looked[index - 1].place(self.looked[index - 1].end - 1),
            _ => self.place,
        }
    }

    /// The offset of a record that was looked at.
    pub(crate) fn offset_of(&self, number: SequenceNumber) -> Option<u64> {
        let index = self.looked.partition_point(|looked| looked.last_number() < number);
        let looked = self.looked.get(index)?;
        let offset = looked.first + looked.marks.index_of(number)?.checked_sub(looked.index)? as u64;
        (offset < looked.end).then_some(offset)
    }

    /// The number of a record that was looked at, unless nothing is kept of it.
    pub(crate) fn number_of(&self, offset: u64) -> Option<SequenceNumber> {
        let looked = self.looked.get(self.looked.partition_point(|looked| looked.end <= offset))?;
        Some(looked.marks.number(looked.index + offset.checked_sub(looked.first)? as usize))
    }

    /// The number of the last record looked at, unless nothing is kept of it.
    pub(crate) fn last_number(&self) -> Option<SequenceNumber> {
        self.looked.back().map(Looked::last_number)
    }

    /// The lane has read up to `place`, a tip, and wanted nothing on the way. Without effect while a record is open.
    pub(crate) fn reach(&mut self, place: Start) {
        let here = self.place();
        let further = match (place.position, here.position) {
            (StartPosition::Latest | StartPosition::TrimHorizon, _) => false,
            (_, StartPosition::Latest) => true,
            (new, old) => CursorPosition::Next(new).compare(&CursorPosition::Next(old)).is_gt(),
        };
        let newer = match (place.arrived_at, here.arrived_at) {
            (Some(new), Some(old)) => new.duration_since(old).is_ok_and(|by| by >= REFRESH),
            (new, None) => new.is_some(),
            _ => false,
        };
        if self.open() == 0 && (further || newer && place.position == here.position) {
            self.looked.clear();
            self.place = place;
            self.move_to(CursorPosition::Next(place.position), place);
        }
    }

    /// The cursor now.
    pub(crate) fn cursor(&mut self) -> Cursor {
        self.forget();
        let mark = self.watermark.mark();
        if let Some(looked) = self.looked.front().filter(|looked| looked.first < mark) {
            let place = looked.place(mark - 1);
            self.move_to(CursorPosition::Next(place.position), place);
        }
        self.cursor
    }

    /// Lets go of what lies wholly before the mark. It counts against the budget: kept until the cursor is asked for, it
    /// would be what was read in a second, whatever the budget is.
    fn forget(&mut self) {
        let mark = self.watermark.mark();
        while let Some(looked) = self.looked.pop_front_if(|looked| looked.end < mark) {
            self.place = looked.place(looked.end - 1);
        }
    }

    /// The cursor of a shard of which everything is settled.
    pub(crate) fn finish(&mut self) {
        self.move_to(CursorPosition::End, self.place());
    }

    fn move_to(&mut self, position: CursorPosition, place: Start) {
        let arrived_at = place.arrived_at.max(self.cursor.arrived_at);
        let next = Cursor::new(self.cursor.generation, position).with_arrived_at(arrived_at);
        if next.supersedes(&self.cursor) {
            self.cursor = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use crate::record::Page;

    fn marks(numbers: std::ops::Range<u64>) -> Arc<Marks> {
        let records = numbers.map(|n| Record::new(SequenceNumber::from(n), "k", "")).collect();
        Arc::clone(Page::new(records, None, None, None).marks())
    }

    fn after(n: u64) -> StartPosition {
        StartPosition::After(SequenceNumber::from(n))
    }

    fn ledger() -> Ledger {
        let start = Start::new(StartPosition::TrimHorizon, None);
        Ledger::new(Cursor::new(1, CursorPosition::Next(start.position)), start)
    }

    /// The same records may come to a lane on different pages, and it may begin in the middle of one.
    #[test]
    fn places_and_offsets_follow_the_records_over_pages() {
        let mut ledger = ledger();
        assert_eq!(ledger.place().position, StartPosition::TrimHorizon);
        ledger.look(&marks(10..20), 4, 7, true);
        ledger.look(&marks(12..30), 5, 8, false);
        ledger.look(&marks(20..25), 0, 5, true);
        assert_eq!((ledger.end(), ledger.open(), ledger.place().position), (11, 8, after(24)));
        let offsets = [13, 14, 16, 17, 20, 24, 25].map(|n| ledger.offset_of(SequenceNumber::from(n)));
        assert_eq!(offsets, [None, Some(0), Some(2), Some(3), Some(6), Some(10), None]);
        let places = [0, 1, 3, 6, 7, 11].map(|offset| ledger.place_of(offset).position);
        assert_eq!(places, [StartPosition::TrimHorizon, after(14), after(16), after(19), after(20), after(24)]);
    }

    /// Marks of everything read since the last commit were kept, and charged to a budget that had no room for them.
    #[test]
    fn the_marks_of_what_is_settled_go_before_anybody_asks_for_the_cursor() {
        let mut ledger = ledger();
        (0..9).for_each(|page| ledger.look(&marks(10 * page..10 * page + 10), 0, 10, page < 3));
        (0..30).for_each(|offset| ledger.lose(offset));
        assert_eq!((ledger.looked.len(), ledger.open()), (1, 0));
        (9..18).for_each(|page| ledger.look(&marks(10 * page..10 * page + 10), 0, 10, false));
        assert_eq!((ledger.looked.len(), ledger.cursor().position), (1, CursorPosition::Next(after(179))));
    }

    #[test]
    fn the_cursor_follows_the_first_open_record() {
        let mut ledger = ledger();
        ledger.look(&marks(10..14), 0, 4, true);
        ledger.look(&marks(14..18), 0, 4, true);
        assert_eq!(ledger.cursor().position, CursorPosition::Next(StartPosition::TrimHorizon));
        (1..6).for_each(|offset| ledger.lose(offset));
        assert_eq!(ledger.cursor().position, CursorPosition::Next(StartPosition::TrimHorizon));
        ledger.lose(0);
        assert_eq!(ledger.cursor().position, CursorPosition::Next(after(15)));
        assert_eq!((ledger.place_of(6).position, ledger.place().position), (after(15), after(17)));
        assert_eq!(ledger.offset_of(10.into()), None, "nothing before the mark's page is kept");
    }

    #[test]
    fn a_tip_is_reached_only_with_nothing_open_and_hardly_written_while_it_stays() {
        use std::time::SystemTime;
        let mut ledger = ledger();
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        ledger.look(&marks(10..11), 0, 1, true);
        let before = ledger.cursor();
        ledger.reach(Start::new(after(12), at(0)));
        assert_eq!(ledger.cursor(), before);
        ledger.lose(0);
        ledger.reach(Start::new(after(12), at(0)));
        let reached = ledger.cursor();
        assert_eq!((reached.position, reached.arrived_at), (CursorPosition::Next(after(12)), at(0)));
        ledger.reach(Start::new(after(12), at(599)));
        assert_eq!(ledger.cursor(), reached);
        ledger.reach(Start::new(after(12), at(600)));
        assert_eq!(ledger.cursor().arrived_at, at(600));
    }
}
