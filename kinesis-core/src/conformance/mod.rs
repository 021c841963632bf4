//! The contracts of the traits as checks: one suite for sources, one for sinks, one for lease stores.
//!
//! An implementation proves itself by writing a harness (what the suite needs besides the implementation: a way to
//! write, to look behind it, to make it fail) and calling the suite from a test. The feature `conformance` brings both;
//! it belongs into `[dev-dependencies]`.
//!
//! ```
//! use async_trait::async_trait;
//! use kinesis_core::conformance::{self, leases::Harness};
//! use kinesis_core::{LeaseStore, MemoryLeaseStore};
//! use std::sync::Arc;
//!
//! struct InMemory(Arc<MemoryLeaseStore>);
//!
//! #[async_trait]
//! impl Harness for InMemory {
//!     fn store(&self) -> Arc<dyn LeaseStore> {
//!         Arc::clone(&self.0) as _
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In a test of yours: `#[tokio::test(start_paused = true)] async fn it_conforms() { .. }`
//! conformance::leases(async || InMemory(Arc::default())).await;
//! # }
//! ```
//!
//! - Every check gets a harness of its own, fresh from the factory: streams and tables must be empty, so name them anew.
//! - What a backend cannot do, its harness declares ([`source::Caps`], [`sink::Caps`]). Checks that need it are skipped,
//!   and where the contract says what happens instead, that is checked.
//! - Waits are on tokio's clock, and what a check waits for it asks again and again up to the harness's patience, so that
//!   one suite suits an instant mock on a paused clock and an emulator that takes its time. Pause the clock unless real
//!   sockets are involved.
//! - Faults that a contract allows (throttling, passing errors, short and empty answers) do not fail a check; a wrapper
//!   that injects them can run the suite too.
//!
//! [`source_report`], [`sink_report`] and [`leases_report`] return what was found instead of panicking; [`list`] is the
//! table of all checks.

mod check;
mod eventually;
pub mod leases;
mod report;
pub mod sink;
pub mod source;

pub use check::Check;
pub use eventually::eventually;
pub use report::{CheckResult, Report, Verdict};

/// Checks a source: every check against a fresh harness.
///
/// # Panics
///
/// When the source breaks a rule. The message names each broken check by id, name and rule, and says what was seen.
pub async fn source<H: source::Harness>(factory: impl AsyncFn() -> H) {
    source_report(factory).await.assert_kept();
}

/// Checks a source as [`source`](fn@source) does, and tells what came of each check.
pub async fn source_report<H: source::Harness>(factory: impl AsyncFn() -> H) -> Report {
    source::report(factory).await
}

/// Checks a sink: every check against a fresh harness.
///
/// # Panics
///
/// When the sink breaks a rule, as [`source`](fn@source) does.
pub async fn sink<H: sink::Harness>(factory: impl AsyncFn() -> H) {
    sink_report(factory).await.assert_kept();
}

/// Checks a sink as [`sink`](fn@sink) does, and tells what came of each check.
pub async fn sink_report<H: sink::Harness>(factory: impl AsyncFn() -> H) -> Report {
    sink::report(factory).await
}

/// Checks a lease store: every check against a fresh harness.
///
/// # Panics
///
/// When the store breaks a rule, as [`source`](fn@source) does.
pub async fn leases<H: leases::Harness>(factory: impl AsyncFn() -> H) {
    leases_report(factory).await.assert_kept();
}

/// Checks a lease store as [`leases`](fn@leases) does, and tells what came of each check.
pub async fn leases_report<H: leases::Harness>(factory: impl AsyncFn() -> H) -> Report {
    leases::report(factory).await
}

/// The table of all checks, suite by suite, in the order in which they run.
#[must_use]
pub fn list() -> Vec<Check> {
    let source = source::cases().map(|case| case.check);
    let leases = leases::cases().map(|case| case.check);
    let sink = sink::CHECKS.iter().map(|case| case.check);
    source.chain(sink).chain(leases).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_has_every_check_once() {
        let table = list();
        let ids: BTreeSet<&str> = table.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), table.len());
        for (letter, count) in [("D", 5), ("O", 13), ("R", 15), ("C", 5), ("E", 5), ("S", 8), ("X", 5), ("T", 2)] {
            assert_eq!(ids.iter().filter(|id| id.starts_with(letter)).count(), count, "{letter}");
        }
        assert_eq!(ids.iter().filter(|id| id.starts_with('L')).count(), 19);
        assert_eq!(ids.iter().filter(|id| id.starts_with('N')).count(), 6);
        assert!(table.iter().all(|check| !check.rule.is_empty() && check.name.contains('_')));
    }
}
