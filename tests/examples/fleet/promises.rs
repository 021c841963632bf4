//! What is promised, what was measured, and whether that is enough.

use std::fmt::Display;
use std::time::Duration;

/// Prints a line for each promise as it is looked at, and counts those that were broken.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    broken: usize,
}

impl Promises {
    /// What was found of a promise.
    pub(crate) fn keep(&mut self, name: &str, found: impl Display, wants: impl Display, kept: bool) {
        println!("  {name}: {found} (wants {wants}): {}", if kept { "ok" } else { "BROKEN" });
        self.broken += usize::from(!kept);
    }

    /// What was seen, and may be otherwise.
    pub(crate) fn tell(&self, name: &str, found: impl Display) {
        println!("  {name}: {found}");
    }

    /// How long something took.
    pub(crate) fn within(&mut self, name: &str, took: Duration, most: Duration) {
        self.keep(name, format!("{:.1} s", took.as_secs_f64()), format!("<= {}", most.as_secs()), took <= most);
    }

    /// Things that are not to be: how many there are, the first few of them, and among how many others.
    pub(crate) fn none(&mut self, name: &str, found: &[String], among: impl Display) {
        self.keep(name, format!("{} of {among}", found.len()), "none", found.is_empty());
        found.iter().take(10).for_each(|one| println!("    {one}"));
    }

    pub(crate) fn broken(&self) -> usize {
        self.broken
    }
}
