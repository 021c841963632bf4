//! A run as it is seen from outside, over HTTP: whether it lives, whether it gets on, and its numbers.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the pipeline starts, runs or stops, and answers; 503 when it does not, or has ended |
//! | `/readyz` | 200 while it runs and every lane with work gets on; 503, and why, otherwise |
//! | `/metrics` | the numbers, as Prometheus reads them |
//!
//! A lane is a subscription on a shard. It has work when it holds records that are not settled, or has fallen behind. It gets
//! on when its position moves: one record that is tried for ever holds it. A lane that was paused has no work; one that has
//! halted stands still from the first moment.

mod lanes;
mod measured;
mod metrics;
mod serving;
mod text;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kinesis_core::pipeline::Status;
use kinesis_core::{Event, Handle, Observer};
use kinesis_http_sink::HttpSink;
use tokio::time::{Instant, timeout};

use lanes::Lanes;
pub use measured::Measured;
use metrics::Metrics;
pub use serving::Serving;

/// How long the pipeline may take to say how it stands. It answers between two steps of its work, none of which waits.
const ANSWER: Duration = Duration::from_secs(5);

/// What is known of a run.
#[derive(Debug)]
pub struct Watch {
    phase: AtomicU8,
    handle: OnceLock<Handle>,
    metrics: Metrics,
    lanes: Mutex<Lanes>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
    Ended,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Starting, Self::Running, Self::Stopping, Self::Ended];
}

impl Watch {
    /// Watches the subscribers of these names.
    pub fn new<'a>(sinks: impl Iterator<Item = (&'a str, Arc<HttpSink>)>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            handle: OnceLock::new(),
            metrics: Metrics::new(sinks),
            lanes: Mutex::default(),
        }
    }

    /// The pipeline is about to run.
    fn runs(&self, handle: Handle) {
        // It runs once, and does when it has answered for the first time.
        let _ = self.handle.set(handle);
    }

    /// The pipeline has ended.
    pub fn ended(&self) {
        self.turn(Phase::Ended);
    }

    fn turn(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed)).min(Phase::ALL.len() - 1)]
    }

    /// How the pipeline stands, if it runs and answers.
    async fn status(&self) -> Option<Status> {
        let status = timeout(ANSWER, self.handle.get()?.status()).await.ok()?.ok()?;
        self.turn(Phase::Running);
        Some(status)
    }

    /// Notes how the lanes stand.
    fn see(&self, status: &Status) {
        self.lanes().see(status, Instant::now());
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn on(&self, event: &Event) {
        match event {
            Event::Draining => self.turn(Phase::Stopping),
            event => self.metrics.on(event),
        }
    }
}
