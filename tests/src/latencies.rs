//! How long records of a [`Synthetic`] stream were on their way: from when they were put until a sink had them.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kinesis_core::Delivery;

use crate::synthetic::Synthetic;

/// When records were put, and how long each was on its way. Clones share them.
#[derive(Debug, Clone)]
pub struct Latencies {
    stream: Synthetic,
    from: SystemTime,
    /// When each record was put, from `from` on, and how long it took, in microseconds.
    all: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl Latencies {
    /// None yet, of records that are put from now on.
    #[must_use]
    pub fn new(stream: &Synthetic) -> Self {
        Self { stream: stream.clone(), from: stream.now(), all: Arc::default() }
    }

    /// Notes that these records have arrived.
    ///
    /// # Panics
    ///
    /// When somebody has panicked in it before.
    pub fn arrived(&self, delivery: &Delivery) {
        let now = self.stream.now();
        let latency = |at: SystemTime| {
            let (put, took) = (at.duration_since(self.from).ok()?, now.duration_since(at).unwrap_or_default());
            Some((put.as_micros() as u32, took.as_micros() as u32))
        };
        let latencies = delivery.records().filter_map(|record| latency(record.arrived_at?));
        self.all.lock().expect("nobody panics with the latencies").extend(latencies);
    }

    /// The time within which 99 % of the records arrived that were put in this span of the bench.
    ///
    /// # Panics
    ///
    /// When somebody has panicked in it before.
    #[must_use]
    pub fn p99(&self, span: Range<Duration>) -> Duration {
        let span = span.start.as_micros()..span.end.as_micros();
        let all = self.all.lock().expect("nobody panics with the latencies");
        let within = all.iter().filter(|(put, _)| span.contains(&u128::from(*put)));
        let mut latencies: Vec<u32> = within.map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
        Duration::from_micros(p99.into())
    }
}
