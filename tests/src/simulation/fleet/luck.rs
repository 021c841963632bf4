//! The bad luck of one worker: it stands still, or does not reach the store. All that it does passes here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The luck of a worker. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Luck(Arc<Mutex<Times>>);

#[derive(Debug, Clone, Copy)]
struct Times {
    still_until: Instant,
    cut_off_until: Instant,
}

impl Luck {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Times { still_until: now, cut_off_until: now })))
    }

    pub(super) fn stand_still(&self, time: Duration) {
        let mut times = self.times();
        times.still_until = times.still_until.max(Instant::now() + time);
    }

    pub(super) fn cut_off(&self, time: Duration) {
        let mut times = self.times();
        times.cut_off_until = times.cut_off_until.max(Instant::now() + time);
    }

    /// Waits while the worker stands still: what it began before reaches others only after it.
    pub(super) async fn pass(&self) {
        loop {
            let until = self.times().still_until;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.times().cut_off_until > Instant::now()
    }

    /// For how long it has gone on since it stood still last.
    pub(super) fn goes_on_since(&self) -> Duration {
        self.times().still_until.elapsed()
    }

    /// When all of it is over.
    pub(super) fn is_over_at(&self) -> Instant {
        let times = *self.times();
        times.still_until.max(times.cut_off_until)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
