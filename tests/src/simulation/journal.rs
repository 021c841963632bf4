//! The event log of a story: what happened, when by the paused clock, in order.

use tokio::time::Instant;

/// No story is longer; one that is turns in circles without the clock moving on.
const LONGEST: usize = 400_000;

/// Lines with the time since the beginning.
#[derive(Debug)]
pub(super) struct Journal {
    began: Instant,
    /// How many more things may happen, logged or not.
    beats: u64,
    lines: Vec<String>,
}

impl Journal {
    pub(super) fn new(beats: u64) -> Self {
        Self { began: Instant::now(), beats, lines: Vec::new() }
    }

    /// Appends a line.
    ///
    /// # Panics
    ///
    /// When the story turns in circles.
    pub(super) fn line(&mut self, what: std::fmt::Arguments<'_>) {
        self.beat();
        assert!(self.lines.len() < LONGEST, "the story has {LONGEST} lines and no end: something spins");
        self.last_line(what);
    }

    /// Counts something that happens.
    ///
    /// # Panics
    ///
    /// When nothing more may.
    pub(super) fn beat(&mut self) {
        self.beats = self.beats.checked_sub(1).expect("the story has no end: something spins");
    }

    /// Appends a line, however many there are.
    pub(super) fn last_line(&mut self, what: std::fmt::Arguments<'_>) {
        let at = self.began.elapsed();
        self.lines.push(format!("{:>4}.{:03} {what}", at.as_secs(), at.subsec_millis()));
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
