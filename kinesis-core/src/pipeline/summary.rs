//! What a run did, told when it is over.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::sink::SubscriptionName;

/// What a finished run did, per subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Every subscription's counts.
    pub subscriptions: BTreeMap<SubscriptionName, SubscriptionSummary>,
    /// Records read from the source. One that many subscriptions take from one read counts once; one that is read again, by
    /// a reader that catches up or after it was given back, counts again.
    pub records_read: u64,
    /// Shards read to their end by every subscription.
    pub shards_finished: u64,
    /// Whether the drain deadline passed with deliveries still in flight.
    pub drain_timed_out: bool,
}

/// What a run did for one subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionSummary {
    /// Records that the sink took for good.
    pub delivered: u64,
    /// Records that did not belong to its channels.
    pub filtered: u64,
    /// Records that went to the dead letters.
    pub dead_lettered: u64,
    /// Records that were passed over.
    pub skipped: u64,
    /// Attempts that left records undelivered.
    pub failed_attempts: u64,
    /// Records taken in and not settled when the run ended; the next run reads them again.
    pub unsettled: u64,
    /// Why the subscription halted, where it did.
    pub halted: Option<String>,
}

impl SubscriptionSummary {
    /// Whether every record that it took in was delivered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.dead_lettered == 0 && self.skipped == 0 && self.unsettled == 0 && self.halted.is_none()
    }
}
