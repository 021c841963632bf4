//! Progress: how far the shard's subscriptions are, told to the keeper when it has changed.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Order, Round, Runner};
use crate::lease::{CursorPosition, Progress};
use crate::shard::StartPosition;

impl Runner {
    pub(super) fn commit_later(&self, round: &mut Round, now: Instant) {
        let at = now + self.commit_every;
        round.commit_at = Some(round.commit_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn commit(&mut self, round: &mut Round, now: Instant) {
        let progress = Arc::new(self.progress(round));
        if round.stored.as_ref() != Some(&progress) {
            round.stored = Some(Arc::clone(&progress));
            self.orders.send_replace(Order::Hold(Some(progress)));
        }
        self.measure(round, now);
    }

    pub(super) fn progress(&mut self, round: &Round) -> Progress {
        let Self { lanes, feed, .. } = self;
        let here = lanes.values_mut().filter_map(|lane| Some((lane.subscription().name.clone(), lane.cursor(feed)?)));
        let parted = round.parted.iter().map(|(name, cursor)| (name.clone(), *cursor));
        // The tip is a wish, not a place: a cursor that nothing has pinned yet is not stored.
        let pinned = |cursor: &crate::lease::Cursor| cursor.position != CursorPosition::Next(StartPosition::Latest);
        let progress = Progress::new(parted.chain(here).filter(|(_, cursor)| pinned(cursor)));
        let progress = progress.with_forgotten(round.forgotten.iter().cloned());
        match feed.end() {
            Some(children) => progress.with_children(children.iter().map(|child| child.id.clone())),
            None => progress,
        }
    }
}
