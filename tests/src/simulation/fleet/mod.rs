//! Whole lives of a fleet: up to six workers share a stream and its leases, and every one of them has its own bad luck.
//!
//! Workers come, stop, crash, stand still for longer than a failover time and go on, and are cut off from the store, while
//! shards split and merge and not all workers know the same subscriptions. Workers of the KCL come and go among them. In
//! half of the worlds the store keeps progress apart from the lease. Some worlds are healthy: there nothing goes wrong, and
//! so nobody may lose a lease or repeat a record. In the end two new workers finish what is left.
//!
//! Every accepted write on a lease is judged by the worker that made it, and every record when it reaches a subscriber.

mod apart;
mod kcl;
mod luck;
mod model;
mod plan;
mod sink;
mod store;
mod world;

use super::{Story, told};
use model::Model;
use plan::Plan;

/// Lives through the fleet of a seed.
///
/// # Panics
///
/// When the operating system refuses a runtime.
#[must_use]
pub fn simulate_fleet(seed: u64) -> Story {
    live(seed, u64::MAX)
}

/// Lives through the fleet of a seed, for so many beats at most.
pub(super) fn live(seed: u64, beats: u64) -> Story {
    let plan = Plan::of(seed);
    told(seed, "simulate --fleet", || Model::new(&plan, beats), async |model| world::live(&plan, model).await)
}
