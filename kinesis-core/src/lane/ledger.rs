//! A lane's ledger: which records are settled, how far the cursor may go, and the counts that the summary shows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::deliver::Settled;
use crate::lease::{Cursor, CursorPosition};
use crate::pipeline::SubscriptionSummary;
use crate::record::{Marks, Page};
use crate::shard::StartPosition;
use crate::sink::Delivery;
use crate::watermark::Watermark;

/// Settled and open records of a lane, and the cursor that follows from them.
#[derive(Debug)]
pub(crate) struct Ledger {
    watermark: Watermark,
    /// Of the pages from the mark on; the payloads are not kept.
    marks: VecDeque<Arc<Marks>>,
    /// The furthest cursor so far. It never moves back.
    cursor: Cursor,
}

impl Ledger {
    pub(crate) fn new(cursor: Cursor) -> Self {
        Self { watermark: Watermark::new(0), marks: VecDeque::new(), cursor }
    }

    /// Enters the records of `page` up to `end` as open.
    pub(crate) fn enter(&mut self, page: &Page, end: u64) {
        self.watermark.enter(end);
        self.keep(page);
    }

    /// Enters the records of `page` up to `end` as settled: the lane does not want them.
    pub(crate) fn pass(&mut self, page: &Page, end: u64) {
        if end > self.watermark.end() {
            self.watermark.enter_settled(end);
            self.keep(page);
        }
    }

    fn keep(&mut self, page: &Page) {
        if self.marks.back().is_none_or(|last| last.end() < page.end()) {
            self.marks.push_back(Arc::clone(page.marks()));
        }
    }

    pub(crate) fn settle(&mut self, delivery: &Delivery) {
        for (from, to) in delivery.offset_runs() {
            self.watermark.settle(from, to);
        }
    }

    /// The first offset that is not settled.
    pub(crate) fn mark(&self) -> u64 {
        self.watermark.mark()
    }

    /// How many records are taken and not settled.
    pub(crate) fn open(&self) -> usize {
        self.watermark.open()
    }

    /// The cursor now. `tip` is where a reader opened at the ring's tip would miss nothing, where that is known.
    pub(crate) fn cursor(&mut self, at_tip: Option<StartPosition>, stays: bool) -> Cursor {
        let mark = self.watermark.mark();
        while self.marks.front().is_some_and(|marks| marks.end() < mark) {
            self.marks.pop_front();
        }
        let reached = self.marks.front().filter(|_| mark > 0).and_then(|marks| marks.position_at(mark));
        let at_tip = at_tip.filter(|_| self.watermark.open() == 0);
        let (position, arrived_at) = match (at_tip, reached) {
            _ if stays => return self.cursor,
            (Some(resume), reached) => (resume, reached.and_then(|(_, arrived_at)| arrived_at)),
            (None, Some(reached)) => reached,
            (None, None) => return self.cursor,
        };
        self.move_to(CursorPosition::Next(position), arrived_at);
        self.cursor
    }

    /// The cursor of a shard of which everything is settled.
    pub(crate) fn finish(&mut self) {
        self.move_to(CursorPosition::End, self.cursor.arrived_at);
    }

    fn move_to(&mut self, position: CursorPosition, arrived_at: Option<std::time::SystemTime>) {
        let next = Cursor::new(self.cursor.generation, position).with_arrived_at(arrived_at.or(self.cursor.arrived_at));
        if next.supersedes(&self.cursor) {
            self.cursor = next;
        }
    }
}

/// What a subscription did so far, over all shards; read while it runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    taken: AtomicU64,
    filtered: AtomicU64,
    delivered: AtomicU64,
    dead_lettered: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    halted: Mutex<Option<String>>,
}

impl Counters {
    pub(crate) fn taken(&self, records: u64, filtered: u64) {
        self.taken.fetch_add(records, Ordering::Relaxed);
        self.filtered.fetch_add(filtered, Ordering::Relaxed);
    }

    pub(crate) fn settled(&self, how: Settled, records: u64) {
        let count = match how {
            Settled::Delivered => &self.delivered,
            Settled::DeadLettered => &self.dead_lettered,
            Settled::Skipped => &self.skipped,
        };
        count.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn halted(&self, reason: String) {
        *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halted.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn summary(&self) -> SubscriptionSummary {
        // Settled is read before taken, so that the difference is never negative.
        let [delivered, dead_lettered, skipped] =
            [&self.delivered, &self.dead_lettered, &self.skipped].map(|count| count.load(Ordering::Acquire));
        let taken = self.taken.load(Ordering::Acquire);
        SubscriptionSummary {
            delivered,
            filtered: self.filtered.load(Ordering::Relaxed),
            dead_lettered,
            skipped,
            failed_attempts: self.failed.load(Ordering::Relaxed),
            unsettled: taken.saturating_sub(delivered + dead_lettered + skipped),
            halted: self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
