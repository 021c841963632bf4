//! The watermark: of records settled in any order, up to where is everything settled without a gap?
//!
//! A cursor may only stand where nothing before it is open. Records are known here by offset, a plain count, and one bit
//! each: settling is a bit set, and moving on a count of trailing ones.

use std::collections::VecDeque;

use crate::broken::{self, Part};

const WORD: u64 = u64::BITS as u64;

/// Which of a run of offsets are settled, and the first that is not.
#[derive(Debug, Clone)]
pub struct Watermark {
    /// Everything below is settled.
    mark: u64,
    /// The end of what was entered.
    end: u64,
    /// The offset of the first bit of the first word; a multiple of the word's size.
    base: u64,
    /// A set bit is a settled offset.
    words: VecDeque<u64>,
    open: usize,
}

impl Watermark {
    /// Nothing entered yet; the first offset will be `start`.
    #[must_use]
    pub const fn new(start: u64) -> Self {
        Self { mark: start, end: start, base: start - start % WORD, words: VecDeque::new(), open: 0 }
    }

    /// Enters the offsets up to `end` as open.
    pub fn enter(&mut self, end: u64) {
        debug_assert!(end >= self.end, "offsets are entered in order");
        let added = end.saturating_sub(self.end);
        self.end = self.end.max(end);
        self.open += added as usize;
        self.grow();
    }

    /// Enters the offsets up to `end` as settled: nobody is waiting for them.
    pub fn enter_settled(&mut self, end: u64) {
        debug_assert!(end >= self.end, "offsets are entered in order");
        let from = self.end;
        self.end = self.end.max(end);
        if self.open == 0 {
            // Nothing is open, so nothing needs a bit.
            self.skip_to(self.end);
            return;
        }
        self.grow();
        self.set(from, self.end);
        self.advance();
    }

    /// Settles the offsets from `from` up to, not including, `to`. Settling twice changes nothing.
    pub fn settle(&mut self, from: u64, to: u64) {
        self.settle_all(std::iter::once((from, to)));
    }

    /// Settles every one of these runs of offsets, `(from, to)`, as [`settle`](Self::settle) does one: the mark moves once.
    pub fn settle_all(&mut self, runs: impl Iterator<Item = (u64, u64)>) {
        let mut newly = 0;
        // Single records mostly lie close together: those of one word are set at once.
        let (mut word, mut bits) = (0, 0);
        runs.for_each(|(from, to)| {
            let from = if broken::is(Part::WatermarkJumps) { self.mark } else { from.max(self.mark) };
            let to = to.min(self.end);
            if from + 1 != to {
                newly += self.set(from, to);
                return;
            }
            let at = (from - self.base) / WORD;
            if at != word {
                newly += self.set_bits(word, bits);
                (word, bits) = (at, 0);
            }
            bits |= 1 << (from % WORD);
        });
        newly += self.set_bits(word, bits);
        if newly > 0 {
            self.open -= newly;
            self.advance();
        }
    }

    /// The first offset that is open; the end of what was entered when none is.
    #[must_use]
    pub const fn mark(&self) -> u64 {
        self.mark
    }

    /// The end of what was entered.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many offsets are open.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.open
    }

    fn grow(&mut self) {
        let words = (self.end - self.base).div_ceil(WORD) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
    }

    /// Sets the bits of `from..to`; returns how many were clear.
    fn set(&mut self, from: u64, to: u64) -> usize {
        let mut newly = 0;
        let mut at = from;
        while at < to {
            let low = at % WORD;
            let count = (WORD - low).min(to - at);
            newly += self.set_bits((at - self.base) / WORD, (u64::MAX >> (WORD - count)) << low);
            at += count;
        }
        newly
    }

    /// Sets these bits of a word; returns how many were clear.
    fn set_bits(&mut self, word: u64, bits: u64) -> usize {
        if bits == 0 {
            return 0;
        }
        let word = &mut self.words[word as usize];
        let newly = bits & !*word;
        *word |= bits;
        newly.count_ones() as usize
    }

    fn advance(&mut self) {
        if self.open == 0 {
            self.skip_to(self.end);
            return;
        }
        while let Some(word) = self.words.front() {
            let low = self.mark - self.base;
            let ones = u64::from((!(word >> low)).trailing_zeros()).min(WORD - low);
            self.mark += ones;
            if low + ones < WORD {
                break;
            }
            self.words.pop_front();
            self.base += WORD;
        }
    }

    fn skip_to(&mut self, offset: u64) {
        self.mark = offset;
        self.base = offset - offset % WORD;
        self.words.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone)]
    enum Step {
        Enter(u64),
        EnterSettled(u64),
        Settle(prop::sample::Index, u64),
        SettleEvery(prop::sample::Index, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..200u64).prop_map(Step::Enter),
            (0..200u64).prop_map(Step::EnterSettled),
            (any::<prop::sample::Index>(), 0..100u64).prop_map(|(at, count)| Step::Settle(at, count)),
            (any::<prop::sample::Index>(), 1..9u64).prop_map(|(at, stride)| Step::SettleEvery(at, stride)),
        ]
    }

    proptest! {
        /// Against the definition: a set of open offsets, whose smallest is the mark.
        #[test]
        fn the_mark_is_the_first_open_offset(start in 0..300u64, steps in prop::collection::vec(step(), 1..80)) {
            let mut watermark = Watermark::new(start);
            let (mut open, mut end) = (BTreeSet::new(), start);
            for step in steps {
                match step {
                    Step::Enter(count) => {
                        open.extend(end..end + count);
                        end += count;
                        watermark.enter(end);
                    }
                    Step::EnterSettled(count) => {
                        end += count;
                        watermark.enter_settled(end);
                    }
                    Step::SettleEvery(at, stride) => {
                        let from = start + at.index((end - start + 1) as usize) as u64;
                        open.retain(|offset| *offset < from || !(offset - from).is_multiple_of(stride));
                        watermark.settle_all((from..end + 9).step_by(stride as usize).map(|offset| (offset, offset + 1)));
                    }
                    Step::Settle(at, count) => {
                        let from = start + at.index((end - start + 1) as usize) as u64;
                        open.retain(|offset| !(from..from + count).contains(offset));
                        watermark.settle(from, from + count);
                    }
                }
                prop_assert_eq!(watermark.mark(), open.first().copied().unwrap_or(end));
                prop_assert_eq!(watermark.open(), open.len());
                prop_assert_eq!(watermark.end(), end);
            }
        }
    }

    #[test]
    fn an_open_record_holds_the_mark_however_many_settle_behind_it() {
        let mut watermark = Watermark::new(5);
        watermark.enter(1_000);
        watermark.settle(6, 1_000);
        assert_eq!(watermark.mark(), 5);
        watermark.settle(5, 6);
        assert_eq!((watermark.mark(), watermark.open()), (1_000, 0));
    }
}
