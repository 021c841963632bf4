//! What has become of a record for a subscription, by what its sinks answered.

use kinesis_core::{Outcome, RetryPolicy};
use tokio::time::Instant;

/// A record's fate for one subscription.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    /// The sink has it, whether or not the answer said so.
    pub(super) taken: bool,
    /// It is done for good: answered as delivered, stored as a dead letter, or passed over with reason.
    pub(super) settled: bool,
    /// It was rejected, or has had its chances.
    pub(super) given_up: bool,
    /// It was trimmed, and its subscription was told so.
    pub(super) lost: bool,
    /// Attempts in this worker's life that count against it.
    failures: u32,
    first_tried: Option<Instant>,
}

impl Fate {
    /// Takes in that its subscription begins anew before it.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { taken: self.taken, ..Self::default() };
    }

    /// Takes in that an attempt begins; `anew` where it is the first of this reading.
    pub(super) fn tried(&mut self, anew: bool) {
        if anew {
            (self.failures, self.first_tried) = (0, None);
        }
        self.first_tried.get_or_insert_with(Instant::now);
    }

    /// Takes in what the sink answered for it.
    pub(super) fn answered(&mut self, outcome: &Outcome, policy: &RetryPolicy) {
        match outcome {
            Outcome::Delivered => (self.taken, self.settled) = (true, true),
            Outcome::Rejected { .. } => self.given_up = true,
            Outcome::Busy { .. } => self.given_up |= self.is_too_old(policy),
            _ => self.failed(true, policy),
        }
    }

    /// Takes in a failure; it is `charged` for it unless another record may have been the cause.
    pub(super) fn failed(&mut self, charged: bool, policy: &RetryPolicy) {
        self.failures += u32::from(charged);
        let spent = policy.attempts.is_some_and(|most| self.failures >= most.get());
        self.given_up |= spent || self.is_too_old(policy);
    }

    fn is_too_old(&self, policy: &RetryPolicy) -> bool {
        self.first_tried.is_some_and(|at| at.elapsed() >= policy.max_age)
    }
}
