//! What it costs to have many subscriptions that take one channel each, beside few that take many: a thousand with a
//! channel of their own, and ten with a hundred each. Every record goes to exactly one subscription on both sides. Once with
//! channels that are partition keys, as they are by default, so that one lies in a shard or two; once with channels that
//! have records in every shard, where every read concerns every subscription, with a record or none: no goal is set there.
//!
//! Both sides have the same policy: deliveries of up to 100 records that wait up to 50 ms to be filled, because that is
//! what somebody with a batching sink would set. It does not make the deliveries alike, and nothing could: a page holds a
//! few records of one channel and hundreds of a hundred channels, so the thousand send many deliveries of few records.
//! That is the price of having a thousand subscriptions, and is meant to be in the ratio. Rounds alternate, and medians
//! are compared, because a machine drifts. Everything runs on one thread.

use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use async_trait::async_trait;
use kinesis_core::{BatchPolicy, Delivery, Ordering, Outcomes, Pipeline, Result, Sink, StartPosition, Subscription};
use kinesis_tests::measure::{Rounds, goal_at_most, round};
use kinesis_tests::synthetic::{Plan, Synthetic};

const RECORDS: u64 = 1_600_000;
const CHANNELS: usize = 1_000;
const SHARDS: usize = 16;
const ROUNDS: usize = 7;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{RECORDS} records of 200 bytes, {CHANNELS} channels, {SHARDS} shards, {ROUNDS} rounds, one thread");
    println!("channels that are partition keys:");
    goal_at_most("channels", ratio(false).await, 3.0);
    println!("channels with records in every shard:");
    println!("channels-everywhere: {:.3}, of which no goal is set", ratio(true).await);
}

/// What a record costs for a thousand subscriptions, beside what it costs for ten.
async fn ratio(everywhere: bool) -> f64 {
    let (mut thousand, mut ten) = (Rounds::of(RECORDS as usize), Rounds::of(RECORDS as usize));
    let plan = Plan { shards: SHARDS, backlog: RECORDS, keys: CHANNELS, everywhere, ..Plan::default() };
    let (mut of_thousand, mut of_ten) = (0, 0);
    for nth in 0..=ROUNDS {
        let a = round(shared_by(CHANNELS, plan, &mut of_thousand)).await;
        let b = round(shared_by(10, plan, &mut of_ten)).await;
        // The first round warms up.
        if nth > 0 {
            thousand.push(a);
            ten.push(b);
        }
    }
    let length = |deliveries: u64| RECORDS as f64 / deliveries as f64;
    println!("1,000 subscriptions with a channel each {thousand}, deliveries of {:.1}", length(of_thousand));
    println!("10 subscriptions with 100 channels each {ten}, deliveries of {:.1}", length(of_ten));
    thousand.cpu_micros() / ten.cpu_micros()
}

/// Takes everything and counts the deliveries.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicU64>);

#[async_trait]
impl Sink for Counting {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        self.0.fetch_add(1, Atomic::Relaxed);
        Ok(Outcomes::delivered(delivery.len()))
    }
}

/// Reads the stream with so many subscriptions that share its channels, and tells how many deliveries they got.
async fn shared_by(subscriptions: usize, plan: Plan, deliveries: &mut u64) {
    let stream = Synthetic::new(plan);
    let (sink, each) = (Counting::default(), CHANNELS / subscriptions);
    let mut builder = Pipeline::builder("bench", stream);
    for n in 0..subscriptions {
        let channels: Range<usize> = n * each..(n + 1) * each;
        let subscription = Subscription::new(format!("takes-{n}"), sink.clone())
            .channels(channels.map(|channel| format!("key-{channel}")))
            .start_at(StartPosition::TrimHorizon)
            .ordering(Ordering::per_key(8))
            .batch(BatchPolicy::of(100));
        builder = builder.subscribe(subscription);
    }
    let pipeline = builder.build().expect("the configuration is valid");
    let summary = pipeline.run_until(pending()).await.expect("memory does not fail");
    let delivered: u64 = summary.subscriptions.values().map(|counts| counts.delivered).sum();
    assert_eq!(delivered, RECORDS);
    *deliveries = sink.0.load(Atomic::Relaxed);
}
