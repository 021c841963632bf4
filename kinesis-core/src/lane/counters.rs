//! What a subscription did so far, counted while it runs: the summary's numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::deliver::Settled;
use crate::pipeline::SubscriptionSummary;

/// What a subscription did so far, over all shards; read while it runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    taken: AtomicU64,
    filtered: AtomicU64,
    delivered: AtomicU64,
    dead_lettered: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
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

    /// Counts records that were taken, and are gone from the stream before they were settled.
    pub(crate) fn lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn halted(&self, reason: String) {
        *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The subscription works again.
    pub(crate) fn resumed(&self) {
        *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Records of a lane that is given up are not taken any more: whoever goes on takes them anew.
    pub(crate) fn untake(&self, records: u64) {
        self.taken.fetch_sub(records, Ordering::Relaxed);
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
            unsettled: taken.saturating_sub(delivered + dead_lettered + skipped + self.lost.load(Ordering::Relaxed)),
            halted: self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
