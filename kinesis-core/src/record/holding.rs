//! A page as one lane holds it: which of the lane's offsets its records have, and what they count against its
//! subscription.
//!
//! Every lane counts the records that it has looked at by itself, because the same record can come to it on different
//! pages: from the ring, and from a reader that catches up.

use std::ops::Deref;
use std::sync::Arc;

use super::Page;
use crate::budget::{Account, Share};

/// Records of a page that a lane has taken. Derefs to the page.
#[derive(Debug)]
pub(crate) struct Holding {
    page: Arc<Page>,
    offsets: Offsets,
    share: Option<Share>,
}

#[derive(Debug)]
enum Offsets {
    /// The offset of the first record; others count on. Wraps, where a lane begins in the middle of a page.
    From(u64),
    /// One a record.
    Each(Box<[u64]>),
}

/// A copy pays when the page keeps this many times as much in memory as what is held of it.
const SPARSE: usize = 2;

impl Holding {
    /// Holds a page whose record at `index` has this offset.
    pub(crate) fn new(page: Arc<Page>, index: usize, offset: u64, share: Option<Share>) -> Self {
        Self { page, offsets: Offsets::From(offset.wrapping_sub(index as u64)), share }
    }

    /// Holds a page whose records have these offsets.
    pub(crate) fn of_each(page: Arc<Page>, offsets: Box<[u64]>, share: Option<Share>) -> Self {
        debug_assert_eq!(page.len(), offsets.len());
        Self { page, offsets: Offsets::Each(offsets), share }
    }

    /// A page outside any lane, its records counted from 0 on.
    pub(crate) fn unaccounted(page: Page) -> Self {
        Self::new(Arc::new(page), 0, 0, None)
    }

    /// The lane's offset of the record at `index`.
    pub(crate) fn offset(&self, index: usize) -> u64 {
        match &self.offsets {
            Offsets::From(first) => first.wrapping_add(index as u64),
            Offsets::Each(offsets) => offsets[index],
        }
    }

    /// Whether records side by side have offsets side by side.
    pub(crate) fn counts_on(&self) -> bool {
        matches!(self.offsets, Offsets::From(_))
    }

    /// Copies of these records, where they would keep much more than themselves in memory; otherwise nothing.
    pub(crate) fn copied(&self, indices: impl Iterator<Item = usize> + Clone) -> Option<Self> {
        let held: usize = indices.clone().map(|index| self.page.footprint(index)).sum();
        if held.saturating_mul(SPARSE) > self.page.whole_footprint() {
            return None;
        }
        let offsets = indices.clone().map(|index| self.offset(index)).collect();
        let share = self.share.as_ref().map(|share| share.another(held));
        Some(Self::of_each(Arc::new(self.page.copied(indices)), offsets, share))
    }

    /// A copy of one record, counted against `account`.
    pub(crate) fn copy_of(page: &Page, index: usize, offset: u64, account: &Account) -> Self {
        let share = account.take(page.footprint(index));
        Self::of_each(Arc::new(page.copied(std::iter::once(index))), Box::new([offset]), Some(share))
    }
}

impl Deref for Holding {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::{Record, SequenceNumber};

    #[test]
    fn a_few_records_of_a_large_page_are_copied_out_with_their_offsets() {
        let budget = Budget::new(usize::MAX);
        let account = Account::new(&budget, 1_000_000);
        let record = |n: u64| Record::new(SequenceNumber::from(n), "k", vec![0; 1_000]);
        let page = Arc::new(Page::new((0..10).map(record).collect(), None, None, Some(&budget)));
        let whole = Holding::new(Arc::clone(&page), 3, 100, Some(account.take(7 * page.footprint(0))));
        assert_eq!((whole.offset(3), whole.offset(9)), (100, 106));
        assert!(whole.copied(3..9).is_none(), "six of ten are not worth a copy");
        let part = whole.copied([4, 9].into_iter()).unwrap();
        assert_eq!((part.offset(0), part.offset(1), part.len()), (101, 106, 2));
        assert_eq!(part.records()[1], page.records()[9]);
        drop((whole, page));
        assert_eq!(account.held(), part.whole_footprint());
        drop(part);
        assert_eq!((account.held(), budget.used()), (0, 0));
    }
}
