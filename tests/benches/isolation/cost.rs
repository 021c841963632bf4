//! Processor time of a delivery to nine subscriptions, with a dead tenth and without.

use std::sync::Arc;
use std::time::Duration;

use kinesis_core::{Pipeline, StartPosition};
use kinesis_tests::measure::{Round, Rounds, goal_at_most, round};
use kinesis_tests::synthetic::{Plan, Synthetic};
use tokio::sync::Notify;

use super::sinks::{Counting, Dead, Death, Tally};
use super::{NINE, subscription};

const ROUNDS: usize = 9;
/// Enough that the first attempts of the one that errs, which are made once with what it may hold, do not weigh.
const RECORDS: u64 = 1_600_000;
/// Small beside the stream, so that the dead one falls behind.
const BUDGET: usize = 16 << 20;

/// Compares the two ways to be dead with nobody dead.
pub(crate) async fn compare() {
    println!("{RECORDS} records of 200 bytes, 4 shards, deliveries of up to 100, {ROUNDS} rounds");
    let units = NINE * RECORDS as usize;
    let (mut alone, mut erring, mut hanging) = (Rounds::of(units), Rounds::of(units), Rounds::of(units));
    for nth in 0..=ROUNDS {
        let (a, b, c) = (once(None).await, once(Some(Death::Erring)).await, once(Some(Death::Hanging)).await);
        // The first round warms up.
        if nth > 0 {
            alone.push(a);
            erring.push(b);
            hanging.push(c);
        }
    }
    println!("nine alone                   {alone}");
    println!("nine beside one that errs    {erring}");
    println!("nine beside one that hangs   {hanging}");
    goal_at_most("isolation-cpu-erring", erring.cpu_micros() / alone.cpu_micros(), 1.05);
    goal_at_most("isolation-cpu-hanging", hanging.cpu_micros() / alone.cpu_micros(), 1.05);
}

async fn once(dead: Option<Death>) -> Round {
    nine_read(&Synthetic::new(Plan { backlog: RECORDS, ..Plan::default() }), BUDGET, dead).await
}

/// Lets the nine read the whole stream; everything the pipeline does until they have is measured.
pub(crate) async fn nine_read(stream: &Synthetic, budget: usize, dead: Option<Death>) -> Round {
    let tally = Arc::new(Tally::default());
    let mut builder = Pipeline::builder("bench", stream.clone()).byte_budget(budget).drain_within(Duration::ZERO);
    for n in 0..NINE {
        let sink = Counting(Arc::clone(&tally));
        builder = builder.subscribe(subscription(&format!("lives-{n}"), sink).start_at(StartPosition::TrimHorizon));
    }
    if let Some(death) = dead {
        builder = builder.subscribe(subscription("dead", Dead::new(death)).start_at(StartPosition::TrimHorizon));
    }
    let (pipeline, stop) = (builder.build().expect("the configuration is valid"), Notify::new());
    let measured = async {
        let cost = round(tally.reaches(NINE as u64 * stream.put())).await;
        stop.notify_one();
        cost
    };
    let (ended, cost) = tokio::join!(pipeline.run_until(stop.notified()), measured);
    ended.expect("memory does not fail");
    cost
}
