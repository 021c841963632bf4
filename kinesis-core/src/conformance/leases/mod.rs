//! The suite for lease stores: its harness, and the nineteen checks.

mod ownership;
mod progress;
mod rig;

use std::sync::Arc;

use async_trait::async_trait;

use super::check::{Case, run};
use super::report::Report;
use crate::lease::LeaseStore;
use rig::Rig;

/// What the suite needs besides the store: nothing but a fresh one.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The store under test, without rows. Called once a check.
    fn store(&self) -> Arc<dyn LeaseStore>;
}

/// Every case of the suite, in the order of its table.
pub(super) fn cases() -> impl Iterator<Item = &'static Case<Rig>> {
    ownership::CHECKS.iter().chain(progress::CHECKS)
}

pub(super) async fn report<H: Harness>(factory: impl AsyncFn() -> H) -> Report {
    run("lease store", cases(), async |_: &Case<Rig>| Rig::new(factory().await)).await
}
