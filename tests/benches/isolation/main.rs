//! What a dead subscription costs the nine others on its pipeline: processor time, latency and memory; and what they notice
//! when it comes back with a million records behind it.
//!
//! Rounds alternate, and medians are compared, because a machine drifts. Everything runs on one thread. Peaks of memory
//! are taken in processes of their own: this program again, started with an argument.

mod cost;
mod latency;
mod memory;
mod revival;
mod sinks;

use std::time::Duration;

use kinesis_core::{BatchPolicy, Ordering, Sink, Subscription};

/// The subscriptions that are alive.
const NINE: usize = 9;
/// The pause between reads at the tip, where latency is measured.
const IDLE: Duration = Duration::from_millis(5);
const BATCH: usize = 100;
/// Where latency is measured, no delivery waits to be filled.
const AT_ONCE: BatchPolicy = BatchPolicy { max_records: BATCH, max_bytes: 1 << 20, max_wait: Duration::ZERO };

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if memory::is_part().await {
        return;
    }
    cost::compare().await;
    latency::compare().await;
    revival::compare().await;
    memory::compare().await;
}

fn subscription(name: &str, sink: impl Sink) -> Subscription {
    Subscription::new(name, sink).ordering(Ordering::per_key(8)).batch(BatchPolicy::of(BATCH))
}
