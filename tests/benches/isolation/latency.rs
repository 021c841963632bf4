//! How long after it was put a record reaches nine subscriptions, with a dead tenth that is far behind and without.

use std::time::Duration;

use kinesis_core::{Pipeline, StartPosition};
use kinesis_tests::measure::goal_at_most;
use kinesis_tests::synthetic::{Plan, Synthetic, Then};
use tokio::time::sleep;

use super::sinks::{Dead, Death, Timing};
use super::{AT_ONCE, IDLE, NINE, subscription};

const ROUNDS: usize = 9;
const RATE: u32 = 2_000;
/// What the dead one has not had, when a round begins.
const BACKLOG: u64 = 400_000;
const BUDGET: usize = 16 << 20;
const WARM_UP: Duration = Duration::from_millis(500);
const LASTS: Duration = Duration::from_millis(2_500);

/// Compares the two ways to be dead with nobody dead.
pub(crate) async fn compare() {
    println!("{RATE} records a second, asked for every {IDLE:?}, {ROUNDS} rounds of {LASTS:?}");
    let (mut alone, mut erring, mut hanging) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(p99(None).await);
        erring.push(p99(Some(Death::Erring)).await);
        hanging.push(p99(Some(Death::Hanging)).await);
    }
    let [alone, erring, hanging] = [alone, erring, hanging].map(|mut p99s| {
        p99s.sort_unstable();
        p99s[p99s.len() / 2].as_secs_f64() * 1e3
    });
    println!("p99 of the nine: alone {alone:.2} ms, beside one that errs {erring:.2} ms, that hangs {hanging:.2} ms");
    goal_at_most("isolation-p99-erring", erring / alone, 1.2);
    goal_at_most("isolation-p99-hanging", hanging / alone, 1.2);
}

async fn p99(dead: Option<Death>) -> Duration {
    let stream = Synthetic::new(Plan { backlog: BACKLOG, then: Then::Goes(RATE), ..Plan::default() });
    let sink = Timing::new(&stream);
    let mut builder = Pipeline::builder("bench", stream).idle(IDLE).byte_budget(BUDGET).drain_within(Duration::ZERO);
    for n in 0..NINE {
        builder = builder.subscribe(subscription(&format!("lives-{n}"), sink.clone()).batch(AT_ONCE));
    }
    if let Some(death) = dead {
        builder = builder.subscribe(subscription("dead", Dead::new(death)).start_at(StartPosition::TrimHorizon));
    }
    let pipeline = builder.build().expect("the configuration is valid");
    pipeline.run_until(sleep(WARM_UP + LASTS)).await.expect("memory does not fail");
    sink.latencies.p99(WARM_UP..WARM_UP + LASTS)
}
