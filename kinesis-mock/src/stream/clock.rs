//! The stream's clock: a fixed date plus what has passed on tokio's clock, so that every run sees the same times.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Tells the stream's time; never reads a wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: SystemTime,
    origin: Instant,
}

impl Clock {
    /// 2024-01-01T00:00:00Z: any date will do as long as it is always the same.
    pub(crate) fn default_start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200)
    }

    /// A clock that shows `start` now, without what is finer than a millisecond.
    pub(crate) fn starting_at(start: SystemTime) -> Self {
        let finer = start.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos() % 1_000_000);
        Self { start: start - Duration::from_nanos(finer.into()), origin: Instant::now() }
    }

    /// What the clock showed at first.
    pub(crate) fn start(&self) -> SystemTime {
        self.start
    }

    /// The time at `instant` in whole milliseconds, because the service stamps no finer and both doors must agree.
    pub(crate) fn at(&self, instant: Instant) -> SystemTime {
        let passed = instant.saturating_duration_since(self.origin);
        self.start + Duration::from_millis(passed.as_millis() as u64)
    }

    /// The time now, in whole milliseconds.
    pub(crate) fn now(&self) -> SystemTime {
        self.at(Instant::now())
    }
}
