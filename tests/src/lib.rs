//! What the stories and benches share.

pub mod behaviour;
pub mod forwarder;
pub mod hostile;
pub mod latencies;
pub mod lease_log;
pub mod ledger;
pub mod measure;
pub mod mutate;
pub mod sdk;
pub mod simulation;
pub mod stories;
pub mod synthetic;

/// The README's Rust, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
