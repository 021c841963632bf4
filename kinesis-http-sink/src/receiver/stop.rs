//! The end of a receiver: what comes once it stops is asked to come again later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a [`Receiver`](super::Receiver). Clones stop the same one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Answers every request from now on with 503 and `Retry-After`. Calls under way go on: let the server finish them.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
