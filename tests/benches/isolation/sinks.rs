//! Sinks that count, and one that is dead until it is revived.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use kinesis_core::{Delivery, Error, Outcomes, Result, Sink};
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
    stream: Synthetic,
    from: SystemTime,
    /// When each record was put, from `from` on, and how long it took, in microseconds.
    latencies: Arc<Mutex<Vec<(u32, u32)>>>,
    pub(crate) tally: Arc<Tally>,
}

impl Timing {
    pub(crate) fn new(stream: &Synthetic) -> Self {
        Self { stream: stream.clone(), from: stream.now(), latencies: Arc::default(), tally: Arc::default() }
    }

    /// The time within which 99 % of the records came that were put in this span of the bench.
    pub(crate) fn p99(&self, span: Range<Duration>) -> Duration {
        let span = span.start.as_micros()..span.end.as_micros();
        let all = self.latencies.lock().expect("nobody panics with the latencies");
        let within = all.iter().filter(|(put, _)| span.contains(&u128::from(*put)));
        let mut latencies: Vec<u32> = within.map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        Duration::from_micros(latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default().into())
    }
}

#[async_trait]
impl Sink for Timing {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let now = self.stream.now();
        let latency = |at: SystemTime| {
            let (put, took) = (at.duration_since(self.from).ok()?, now.duration_since(at).unwrap_or_default());
            Some((put.as_micros() as u32, took.as_micros() as u32))
        };
        let latencies = delivery.records().filter_map(|record| latency(record.arrived_at?));
        self.latencies.lock().expect("nobody panics with the latencies").extend(latencies);
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
