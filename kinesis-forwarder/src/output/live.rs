//! The live line: how many records have moved, how fast, and what is under way.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};
use kinesis_core::{Delivery, Event, Handle, Observer, Outcomes, Result, Sink, SubscriptionName};
use tokio::time::{Instant, interval};

use super::note;
use super::text::count;
use super::tip::to_tip;

/// How often a terminal's line changes.
const FRAME: Duration = Duration::from_millis(200);
/// How often a line is written where lines stay.
const LINE: Duration = Duration::from_secs(5);

/// Counts what a pipeline does, while it does it.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    delivered: AtomicU64,
    retried: AtomicU64,
    given_up: AtomicU64,
    in_flight: AtomicU64,
    /// Why each subscription gave its first record up.
    reasons: Mutex<BTreeMap<SubscriptionName, String>>,
}

impl Observer for Progress {
    fn on(&self, event: &Event) {
        let (counter, records) = match event {
            Event::BatchRead { records, .. } => (&self.read, records),
            Event::Delivered { records, .. } => (&self.delivered, records),
            Event::AttemptFailed { records, .. } => (&self.retried, records),
            Event::DeadLettered { subscription, records, reason, .. }
            | Event::Skipped { subscription, records, reason, .. } => {
                let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
                reasons.entry(subscription.clone()).or_insert_with(|| reason.clone());
                (&self.given_up, records)
            }
            _ => return,
        };
        counter.fetch_add(*records as u64, Ordering::Relaxed);
    }
}

impl Progress {
    /// Counts what goes through `sink` as in flight.
    pub fn track<S: Sink>(self: &Arc<Self>, sink: S) -> Tracked<S> {
        Tracked { sink, progress: Arc::clone(self) }
    }

    /// Why each subscription that gave records up did so with the first.
    pub fn reasons(&self) -> BTreeMap<SubscriptionName, String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [read, delivered, retried, given_up, in_flight] =
            [&self.read, &self.delivered, &self.retried, &self.given_up, &self.in_flight].map(Self::get);
        write!(f, "{} records, {} delivered", count(read), count(delivered))?;
        write!(f, ", {} retried, {} given up, {} in flight", count(retried), count(given_up), count(in_flight))
    }
}

/// A sink whose records count as in flight while they are with it.
#[derive(Debug)]
pub struct Tracked<S> {
    sink: S,
    progress: Arc<Progress>,
}

#[async_trait]
impl<S: Sink> Sink for Tracked<S> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let _flight = Flight::start(&self.progress.in_flight, delivery.len() as u64);
        self.sink.deliver(delivery).await
    }
}

/// Records in flight, until it is dropped, however that comes.
struct Flight<'a>(&'a AtomicU64, u64);

impl<'a> Flight<'a> {
    fn start(counter: &'a AtomicU64, records: u64) -> Self {
        counter.fetch_add(records, Ordering::Relaxed);
        Self(counter, records)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Shows `progress` on standard error until it is dropped: as one line that changes on a terminal, or else now and then
/// as a line of its own. With a handle it says how far the tip is.
pub async fn show(progress: Arc<Progress>, follows: Option<Handle>) {
    let terminal = std::io::stderr().is_terminal();
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is well formed");
    let bar = ProgressBar::new_spinner().with_style(style);
    let mut ticks = interval(if terminal { FRAME } else { LINE });
    // The first tick comes at once, when there is nothing to tell.
    ticks.tick().await;
    let mut before = (Instant::now(), 0);
    let mut rate = 0;
    loop {
        let now = ticks.tick().await;
        let passed = now - before.0;
        if passed >= Duration::from_secs(1) {
            let delivered = Progress::get(&progress.delivered);
            rate = ((delivered - before.1) as f64 / passed.as_secs_f64()) as u64;
            before = (now, delivered);
        }
        let mut line = format!("{progress}, {}/s", count(rate));
        if let Some(handle) = &follows
            && let Ok(status) = handle.status().await
            && let Some(tip) = to_tip(&status)
        {
            line.push_str(&format!(", {tip}"));
        }
        if terminal {
            bar.set_message(line);
            bar.tick();
        } else {
            note(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::{Record, SequenceNumber, StreamId, handler};

    #[tokio::test]
    async fn counts_follow_the_events_and_the_deliveries() {
        let progress = Arc::new(Progress::default());
        let seen = Arc::clone(&progress);
        let sink = progress.track(handler(move |_| {
            let now = seen.to_string();
            async move { assert!(now.ends_with("2 in flight"), "{now}") }
        }));
        let record = Record::new(SequenceNumber::ZERO, "k", "");
        sink.deliver(&Delivery::new(StreamId::new("s"), "0", "x", vec![record.clone(), record])).await.unwrap();
        let (subscription, shard) = ("x".into(), "0".into());
        progress.on(&Event::Skipped { subscription, shard, records: 1500, reason: "down".into() });
        let line = "0 records, 0 delivered, 0 retried, 1,500 given up, 0 in flight";
        assert_eq!(progress.to_string(), line);
        assert_eq!(progress.reasons(), BTreeMap::from([("x".into(), "down".into())]));
    }
}
