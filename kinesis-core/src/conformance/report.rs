//! What a suite found: one verdict a check, and a panic that can be read without this source.

use std::fmt;

use super::check::Check;

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The rule held.
    Kept,
    /// The harness declares that its backend cannot do what the check needs.
    Skipped {
        /// What it would need.
        needs: &'static str,
    },
    /// The rule was broken, or the check did not come to an end.
    Broken {
        /// What was seen.
        seen: String,
    },
}

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckResult {
    /// The check.
    pub check: Check,
    /// What came of it.
    pub verdict: Verdict,
}

/// What a suite found, check by check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What was checked: `source`, `sink` or `lease store`.
    pub subject: &'static str,
    /// The checks in the order in which they ran.
    pub results: Vec<CheckResult>,
}

impl Report {
    /// The ids of the checks whose rule was broken.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        self.ids(|verdict| matches!(verdict, Verdict::Broken { .. }))
    }

    /// The ids of the checks that were skipped.
    #[must_use]
    pub fn skipped(&self) -> Vec<&'static str> {
        self.ids(|verdict| matches!(verdict, Verdict::Skipped { .. }))
    }

    fn ids(&self, which: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.results.iter().filter(|result| which(&result.verdict)).map(|result| result.check.id).collect()
    }

    /// # Panics
    ///
    /// When a rule was broken, with the report as the message.
    pub fn assert_kept(&self) {
        assert!(self.broken().is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (broken, skipped, all) = (self.broken().len(), self.skipped().len(), self.results.len());
        let subject = self.subject;
        write!(f, "the {subject} breaks {broken} of {all} rules ({skipped} do not apply)")?;
        for CheckResult { check, verdict } in &self.results {
            if let Verdict::Broken { seen } = verdict {
                write!(f, "\n  {check}\n     seen: {seen}")?;
            }
        }
        Ok(())
    }
}
