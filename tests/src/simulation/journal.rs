//! The event log of a story: what happened, when by the paused clock, in order.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

/// No story is longer; one that is turns in circles without the clock moving on.
const LONGEST: usize = 400_000;

/// So much may happen after a story was to end, until whoever ends it comes to it. What spins without ever waiting, only a
/// panic can end.
const OVER: u32 = 10_000;

/// Lines with the time since the beginning.
#[derive(Debug)]
pub(super) struct Journal {
    began: Instant,
    /// How many more things may happen, logged or not.
    beats: u64,
    /// Whether there is a bound to them.
    is_bounded: bool,
    /// How many more happened all the same.
    over: u32,
    /// Told when no more may.
    spins: Arc<Notify>,
    lines: Vec<String>,
}

impl Journal {
    pub(super) fn new(beats: u64) -> Self {
        let (began, is_bounded) = (Instant::now(), beats < u64::MAX);
        Self { began, beats, is_bounded, over: 0, spins: Arc::default(), lines: Vec::new() }
    }

    /// Says when the story turns in circles. It has to be ended then: nothing more is logged.
    pub(super) fn spins(&self) -> Arc<Notify> {
        Arc::clone(&self.spins)
    }

    /// Counts something that happens.
    ///
    /// # Panics
    ///
    /// When the story turns in circles and does not let itself be ended.
    pub(super) fn beat(&mut self) {
        self.beats = self.beats.saturating_sub(1);
        if self.is_full() {
            self.spins.notify_one();
            self.over += 1;
            assert!(self.over < OVER, "the story has no end: something spins");
        }
    }

    fn is_full(&self) -> bool {
        self.beats == 0 || self.lines.len() >= LONGEST
    }

    /// Counts something that happens, and appends a line.
    pub(super) fn line(&mut self, what: std::fmt::Arguments<'_>) {
        self.beat();
        self.append(what);
    }

    /// Appends a line.
    pub(super) fn append(&mut self, what: std::fmt::Arguments<'_>) {
        if !self.is_full() {
            let at = self.began.elapsed();
            self.lines.push(format!("{:>4}.{:03} {what}", at.as_secs(), at.subsec_millis()));
        }
    }

    /// Appends what was broken. A story with a bound is told only to see whether something is, and ends here.
    pub(super) fn violation(&mut self, promise: &str, evidence: &str) {
        self.append(format_args!("VIOLATION {promise}: {evidence}"));
        if self.is_bounded {
            self.beats = 0;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
