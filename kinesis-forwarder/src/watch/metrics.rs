//! The numbers of a run. What happens often is counted with atomics, in places that are made before the run begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kinesis_core::pipeline::{LaneState, Status};
use kinesis_core::{Event, SubscriptionName};
use kinesis_http_sink::{BreakerState, HttpSink, SinkStatus};

use super::text::{Kind, Text};

/// Upper bounds of how long a delivery takes, in ms: from a service beside it to beyond the longest usual timeout.
const TOOK: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 15_000, 30_000];
/// Upper bounds of how old a record is when it has arrived, in ms: from at once to a stream's usual retention.
const AGE: [u64; 12] = [10, 50, 100, 250, 500, 1_000, 5_000, 30_000, 300_000, 3_600_000, 21_600_000, 86_400_000];

/// Durations by their size.
#[derive(Debug)]
pub(super) struct Ages {
    bounds: &'static [u64; 12],
    /// One more than there are bounds: what is longer than all.
    counts: [AtomicU64; 13],
    sum_us: AtomicU64,
}

impl Ages {
    fn new(bounds: &'static [u64; 12]) -> Self {
        Self { bounds, counts: std::array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|bound| bound * 1_000 < us);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn write(&self, text: &mut Text, name: &str, subscriber: &str) {
        let mut so_far = 0;
        for (nth, count) in self.counts.iter().enumerate() {
            so_far += count.load(Ordering::Relaxed);
            let bound = self.bounds.get(nth).map_or("+Inf".to_owned(), |ms| (*ms as f64 / 1e3).to_string());
            text.sample(&format!("{name}_bucket"), &[("sub", subscriber), ("le", &bound)], so_far as f64);
        }
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        text.sample(&format!("{name}_sum"), &[("sub", subscriber)], sum);
        text.sample(&format!("{name}_count"), &[("sub", subscriber)], so_far as f64);
    }
}

#[derive(Debug)]
struct OfSubscriber {
    http: Arc<HttpSink>,
    took: Ages,
    ages: Arc<Ages>,
    dead_letters: AtomicU64,
    lost: AtomicU64,
    gaps: AtomicU64,
}

/// The numbers of a run.
#[derive(Debug)]
pub(super) struct Metrics {
    read: AtomicU64,
    subscribers: BTreeMap<SubscriptionName, OfSubscriber>,
}

impl Metrics {
    pub(super) fn new<'a>(sinks: impl Iterator<Item = (&'a str, Arc<HttpSink>)>) -> Self {
        let one = |(name, http): (&str, _)| {
            let of = OfSubscriber {
                http,
                took: Ages::new(&TOOK),
                ages: Arc::new(Ages::new(&AGE)),
                dead_letters: AtomicU64::new(0),
                lost: AtomicU64::new(0),
                gaps: AtomicU64::new(0),
            };
            (SubscriptionName::from(name), of)
        };
        Self { read: AtomicU64::new(0), subscribers: sinks.map(one).collect() }
    }

    /// Where the ages of a subscriber's records are counted.
    pub(super) fn ages(&self, name: &str) -> Option<Arc<Ages>> {
        self.subscribers.get(&SubscriptionName::from(name)).map(|of| Arc::clone(&of.ages))
    }

    pub(super) fn on(&self, event: &Event) {
        let of = |name: &SubscriptionName| self.subscribers.get(name);
        let add = |counter: Option<&AtomicU64>, n: usize| {
            if let Some(counter) = counter {
                counter.fetch_add(n as u64, Ordering::Relaxed);
            }
        };
        match event {
            Event::BatchRead { records, .. } => add(Some(&self.read), *records),
            Event::Delivered { subscription, took, .. } => {
                if let Some(of) = of(subscription) {
                    of.took.observe(*took);
                }
            }
            Event::DeadLettered { subscription, records, .. } => {
                add(of(subscription).map(|of| &of.dead_letters), *records);
            }
            Event::Skipped { subscription, records, .. } => add(of(subscription).map(|of| &of.lost), *records),
            Event::Gap { subscription, .. } => add(of(subscription).map(|of| &of.gaps), 1),
            _ => {}
        }
    }

    /// All of them, as Prometheus reads them; with what the pipeline says of its lanes, where it does.
    pub(super) fn write(&self, status: Option<&Status>) -> String {
        let mut text = Text::default();
        text.family("records_read_total", Kind::Counter, "Records read from the source.");
        text.sample("records_read_total", &[], self.read.load(Ordering::Relaxed) as f64);
        self.write_sinks(&mut text);
        self.write_events(&mut text);
        if let Some(status) = status {
            write_lanes(&mut text, status);
        }
        text.into_string()
    }

    fn write_sinks(&self, text: &mut Text) {
        let all: Vec<_> = self.subscribers.iter().map(|(name, of)| (name.as_str(), of.http.status())).collect();
        text.family("deliveries_total", Kind::Counter, "Requests by what they came to and the class of their status.");
        for (sub, status) in &all {
            for one in &status.requests {
                let labels = [("sub", *sub), ("outcome", one.outcome), ("code_class", one.code_class)];
                text.sample("deliveries_total", &labels, one.count as f64);
            }
        }
        let families: [(Kind, Numbers<OfSink>); 5] = [
            (Kind::Counter, ("conn_reused_total", REUSED, |status| status.reused_connections as f64)),
            (Kind::Gauge, ("inflight", "Requests under way.", |status| status.in_flight as f64)),
            (Kind::Gauge, ("concurrency_limit", LIMIT, |status| status.concurrency_limit as f64)),
            (Kind::Gauge, ("breaker_state", BREAKER, breaker)),
            (Kind::Gauge, ("paused_seconds", PAUSED, |status| status.paused_for.as_secs_f64())),
        ];
        for (kind, (name, what, value)) in families {
            text.family(name, kind, what);
            all.iter().for_each(|(sub, status)| text.sample(name, &[("sub", sub)], value(status)));
        }
    }

    fn write_events(&self, text: &mut Text) {
        text.family("delivery_seconds", Kind::Histogram, "How long deliveries took that arrived.");
        self.subscribers.iter().for_each(|(name, of)| of.took.write(text, "delivery_seconds", name));
        text.family("event_age_seconds", Kind::Histogram, "How old records were when delivered, since they came.");
        self.subscribers.iter().for_each(|(name, of)| of.ages.write(text, "event_age_seconds", name));
        let families: [Numbers<Counter>; 3] = [
            ("dead_letters", "Records that went to the dead letters.", |of| &of.dead_letters),
            ("events_lost_total", "Records that were passed over.", |of| &of.lost),
            ("gaps_total", "Times that records were trimmed unread, however many.", |of| &of.gaps),
        ];
        for (name, what, counter) in families {
            text.family(name, Kind::Counter, what);
            for (sub, of) in &self.subscribers {
                text.sample(name, &[("sub", sub)], counter(of).load(Ordering::Relaxed) as f64);
            }
        }
    }
}

/// A family: its name, what it is, and where its values are.
type Numbers<F> = (&'static str, &'static str, F);
type OfSink = fn(&SinkStatus) -> f64;
type Counter = fn(&OfSubscriber) -> &AtomicU64;

const REUSED: &str = "Requests answered on a connection that had answered before.";
const LIMIT: &str = "How many requests may be under way now.";
const BREAKER: &str = "0: requests are sent; 1: one asks whether it is well; 2: none is sent; 3: it is gone (410).";
const PAUSED: &str = "How long nothing is sent yet, because the subscriber asked for it.";

fn breaker(status: &SinkStatus) -> f64 {
    match (status.is_gone, status.breaker) {
        (true, _) => 3.0,
        (_, BreakerState::Open) => 2.0,
        (_, BreakerState::Probing) => 1.0,
        (_, BreakerState::Closed) => 0.0,
    }
}

fn write_lanes(text: &mut Text, status: &Status) {
    let mut lanes = Vec::new();
    for (sub, of) in &status.subscriptions {
        lanes.extend(of.shards.iter().map(|(shard, lane)| ([("sub", sub.as_str()), ("shard", shard.as_str())], lane)));
    }
    text.family("lane_queue", Kind::Gauge, "Records that were taken and are not with the sink, nor settled.");
    for (labels, lane) in &lanes {
        text.sample("lane_queue", labels, lane.unsettled.saturating_sub(lane.in_flight) as f64);
    }
    text.family("lane_lag_ms", Kind::Gauge, "How far the last settled record is behind the tip, where it is known.");
    for (labels, lane) in &lanes {
        if let Some(lag) = lane.lag {
            text.sample("lane_lag_ms", labels, lag.as_millis() as f64);
        }
    }
    text.family("lane_halted", Kind::Gauge, "1 for a subscription that stopped at a record that it may not pass over.");
    for (labels, lane) in &lanes {
        text.sample("lane_halted", labels, f64::from(u8::from(lane.state == LaneState::Halted)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_at_its_bound_and_above() {
        let took = Ages::new(&TOOK);
        for us in [0, 1_000, 1_001, 2_000, 30_000_000, 30_000_001] {
            took.observe(Duration::from_micros(us));
        }
        let mut text = Text::default();
        took.write(&mut text, "took", "a");
        let text = text.into_string();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once("took_").map_or("", |(_, rest)| rest)).collect();
        assert_eq!(lines[..2], ["bucket{sub=\"a\",le=\"0.001\"} 2", "bucket{sub=\"a\",le=\"0.002\"} 4"]);
        assert_eq!(lines[11..13], ["bucket{sub=\"a\",le=\"30\"} 5", "bucket{sub=\"a\",le=\"+Inf\"} 6"]);
        assert_eq!(lines[13..], ["sum{sub=\"a\"} 60.004002", "count{sub=\"a\"} 6"]);
    }
}
