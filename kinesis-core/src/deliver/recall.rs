//! Calling back what waits for another attempt: whoever needs its memory takes the records, and keeps what they have been
//! through.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

/// What a record has been through: with it, a later delivery goes on where an earlier one was called back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// How often it was tried and failed.
    pub(crate) attempts: u32,
    /// Failures in a row, which the wait grows with.
    pub(crate) failures: u32,
    pub(crate) first_tried: Instant,
    /// When the next attempt may be made; `None`: at once.
    pub(crate) due: Option<Instant>,
}

/// Reaches every delivery under way on the same terms.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    calls: AtomicU64,
    called: Notify,
}

impl Recall {
    /// Calls back every delivery that has begun before. One that is being attempted comes when the attempt is over.
    pub(crate) fn call(&self) {
        self.calls.fetch_add(1, Ordering::AcqRel);
        self.called.notify_waiters();
    }

    /// How often was called so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Acquire)
    }

    /// Is ready when somebody has called since `calls`.
    pub(super) async fn called_since(&self, calls: u64) {
        let mut called = std::pin::pin!(self.called.notified());
        // Listening before looking: a call in between is not missed.
        called.as_mut().enable();
        if self.calls() == calls {
            called.await;
        }
    }
}
