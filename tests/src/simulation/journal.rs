//! The event log of a story: what happened, when by the paused clock, in order.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

/// No story is longer; one that is turns in circles without the clock moving on.
const LONGEST: usize = 400_000;

/// Lines with the time since the beginning.
#[derive(Debug)]
pub(super) struct Journal {
    began: Instant,
    /// How many more things may happen, logged or not.
    beats: u64,
    /// Told when no more may.
    spins: Arc<Notify>,
    lines: Vec<String>,
}

impl Journal {
    pub(super) fn new(beats: u64) -> Self {
        Self { began: Instant::now(), beats, spins: Arc::default(), lines: Vec::new() }
    }

    /// Says when the story turns in circles. It has to be ended then: nothing more is logged.
    pub(super) fn spins(&self) -> Arc<Notify> {
        Arc::clone(&self.spins)
    }

    /// Counts something that happens.
    pub(super) fn beat(&mut self) {
        self.beats = self.beats.saturating_sub(1);
        if self.beats == 0 || self.lines.len() >= LONGEST {
            self.spins.notify_one();
        }
    }

    /// Appends a line.
    pub(super) fn line(&mut self, what: std::fmt::Arguments<'_>) {
        self.beat();
        if self.beats > 0 && self.lines.len() < LONGEST {
            let at = self.began.elapsed();
            self.lines.push(format!("{:>4}.{:03} {what}", at.as_secs(), at.subsec_millis()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
