//! The event log of a story: what happened, when by the paused clock, in order.

use tokio::time::Instant;

/// No story is longer; one that is turns in circles without the clock moving on.
const LONGEST: usize = 400_000;

/// Lines with the time since the beginning.
#[derive(Debug)]
pub(super) struct Journal {
    began: Instant,
    lines: Vec<String>,
    full: bool,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), lines: Vec::new(), full: false }
    }

    /// Appends a line.
    ///
    /// # Panics
    ///
    /// When the story turns in circles.
    pub(super) fn line(&mut self, what: std::fmt::Arguments<'_>) {
        if self.lines.len() >= LONGEST {
            // Said once: whoever is told ends the story, and has something to say of it.
            assert!(
                std::mem::replace(&mut self.full, true),
                "the story has {LONGEST} lines and no end: something spins"
            );
            return;
        }
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
