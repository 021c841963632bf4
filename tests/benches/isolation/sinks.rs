//! Sinks that count, and one that is dead until it is revived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use kinesis_core::{Delivery, Error, Outcomes, Result, Sink};
use kinesis_tests::latencies::Latencies;
use kinesis_tests::synthetic::Synthetic;
use tokio::sync::{Notify, watch};

/// What several sinks have taken together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    delivered: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

impl Tally {
    /// How many records were delivered so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Waits until so many records were delivered.
    pub(crate) async fn reaches(&self, wanted: u64) {
        self.wanted.store(wanted, Ordering::Relaxed);
        while self.delivered() < wanted {
            self.reached.notified().await;
        }
    }

    fn add(&self, records: usize) {
        let before = self.delivered.fetch_add(records as u64, Ordering::Relaxed);
        let wanted = self.wanted.load(Ordering::Relaxed);
        if before < wanted && before + records as u64 >= wanted {
            self.reached.notify_one();
        }
    }
}

/// Takes everything and counts it.
#[derive(Debug, Clone)]
pub(crate) struct Counting(pub(crate) Arc<Tally>);

#[async_trait]
impl Sink for Counting {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        self.0.add(delivery.len());
        Ok(Outcomes::delivered(delivery.len()))
    }
}

/// Takes everything, and notes how long ago each record was put.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    pub(crate) latencies: Latencies,
    pub(crate) tally: Arc<Tally>,
}

impl Timing {
    pub(crate) fn new(stream: &Synthetic) -> Self {
        Self { latencies: Latencies::new(stream), tally: Arc::default() }
    }
}

#[async_trait]
impl Sink for Timing {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        self.latencies.arrived(delivery);
        self.tally.add(delivery.len());
        Ok(Outcomes::delivered(delivery.len()))
    }
}

/// How a sink is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Every call fails at once.
    Erring,
    /// No call returns.
    Hanging,
}

/// Dead until it is revived; then it counts.
#[derive(Debug, Clone)]
pub(crate) struct Dead {
    death: Death,
    alive: Arc<watch::Sender<bool>>,
    pub(crate) tally: Arc<Tally>,
}

impl Dead {
    pub(crate) fn new(death: Death) -> Self {
        Self { death, alive: Arc::new(watch::Sender::new(false)), tally: Arc::default() }
    }

    /// From now on every call succeeds, those too that hang.
    pub(crate) fn revive(&self) {
        self.alive.send_replace(true);
    }
}

#[async_trait]
impl Sink for Dead {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let mut alive = self.alive.subscribe();
        if !*alive.borrow() && self.death == Death::Erring {
            return Err(Error::transient("the subscriber is dead"));
        }
        alive.wait_for(|alive| *alive).await.expect("the sink keeps the sender");
        self.tally.add(delivery.len());
        Ok(Outcomes::delivered(delivery.len()))
    }
}
