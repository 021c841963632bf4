//! A lane without a feed: it takes the records of one page that somebody has in hand, and nothing comes after them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Lane, Spot};
use crate::feed::TrackId;
use crate::record::Page;

impl Lane {
    /// Takes of `page`, the only one there is, what was asked for.
    pub(crate) fn take_in_hand(&mut self, page: &Arc<Page>, now: Instant) {
        while self.can_take() {
            let spot = self.spot.unwrap_or(Spot { track: TrackId::FRONT, at: 0 });
            // A gap lies between what was had and what was read, and nothing was had before.
            if spot.at == page.len() as u64 || self.take_page(spot, 0, page, now).is_err() || self.spot == Some(spot) {
                break;
            }
        }
        self.flushing |= self.has_taken(page);
    }

    /// Whether nothing more will become of the records of `page`, the only one there is.
    pub(crate) fn is_done_with(&self, page: &Page) -> bool {
        !self.is_working() || self.has_taken(page) && self.unsettled() == 0
    }

    fn has_taken(&self, page: &Page) -> bool {
        page.len() == 0 || self.spot.is_some_and(|spot| spot.at == page.len() as u64)
    }
}
