//! What a consumer of Kinesis depends on and what servers get wrong, row by row, against any server that speaks its wire.
//!
//! [`ROWS`] says what the service does, and where it says so. Each row asks a server through the real SDK. kinesis-mock
//! passes all of them; what others do instead is in [`DEVIATIONS`], and has to stay as it stands there.

mod deviations;
mod rows;
mod stage;
mod verdict;

use std::fmt;
use std::pin::Pin;

pub use deviations::{DEVIATIONS, Deviation, Outcome, Peer, Whose, judge, table};
pub use rows::ROWS;
pub use stage::{Backend, client};
pub use verdict::{Deviates, Verdict};

use stage::Stage;

/// What a row does.
type Run = fn(&Stage) -> Pin<Box<dyn Future<Output = Verdict> + '_>>;

/// One thing that the service does.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name, which its stream has too.
    pub name: &'static str,
    /// What the service does, in one sentence.
    pub rule: &'static str,
    /// The page of the API reference or the developer guide that says so.
    pub source: &'static str,
    /// Whether it takes five minutes, so that it can only be told where the server's time is sped up.
    pub slow: bool,
    run: Run,
}

impl Row {
    /// Asks the server.
    ///
    /// # Errors
    ///
    /// What it did instead, in words that are the same every time. Also when it takes too long: a row never hangs.
    pub async fn run(&self, backend: &Backend) -> Verdict {
        let stage = Stage::new(backend, self.name);
        let verdict = backend.at_most(backend.patience(self.slow), (self.run)(&stage)).await;
        verdict.unwrap_or_else(|| Err(Deviates::by("says nothing for too long")))
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("name", &self.name).field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// A row of the table; `slow` before it marks one that takes five minutes.
macro_rules! row {
    (slow $name:literal, $rule:literal, $source:literal, $run:path) => {
        row!(@ true, $name, $rule, $source, $run)
    };
    ($name:literal, $rule:literal, $source:literal, $run:path) => {
        row!(@ false, $name, $rule, $source, $run)
    };
    (@ $slow:literal, $name:literal, $rule:literal, $source:literal, $run:path) => {
        $crate::behaviour::Row {
            name: $name,
            rule: $rule,
            source: $source,
            slow: $slow,
            run: |stage| Box::pin($run(stage)),
        }
    };
}
pub(crate) use row;
