//! A dead subscription comes back with a million records behind it: how soon it has caught up, and what the nine others
//! have of it.

use std::time::{Duration, Instant};

use kinesis_core::{Pipeline, StartPosition};
use kinesis_tests::measure::{goal_at_least, goal_at_most};
use kinesis_tests::synthetic::{Plan, Synthetic, Then};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::sinks::{Dead, Death, Timing};
use super::{AT_ONCE, IDLE, NINE, subscription};

/// What is behind it.
pub(crate) const BEHIND: u64 = 1_000_000;
/// How long the nine have the pipeline for themselves first.
const DEAD_FOR: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of a revival.
#[derive(Debug)]
pub(crate) struct Revival {
    /// What the revived one had not had at the end.
    behind: u64,
    /// As many are put in a twentieth of a second: with no more behind it, it has caught up.
    close: u64,
    took: Duration,
    /// Records that reached the nine while it caught up, beside those that were put.
    pace: f64,
    /// Of the nine, while nothing happened and while it caught up.
    p99: [Duration; 2],
}

impl Revival {
    pub(crate) fn has_caught_up(&self) -> bool {
        self.behind <= self.close
    }
}

/// Revives one beside live traffic and says how that went.
pub(crate) async fn compare() {
    let rate = 20_000;
    let stream = Synthetic::new(Plan { backlog: BEHIND, then: Then::Goes(rate), ..Plan::default() });
    let revival = revive(stream, rate, 16 << 20).await;
    let ms = revival.p99.map(|p99| p99.as_secs_f64() * 1e3);
    println!(
        "one revived with {BEHIND} records behind it beside {rate} new ones a second: caught up after {:.2} s, \
         p99 of the nine {:.2} ms before and {:.2} ms meanwhile",
        revival.took.as_secs_f64(),
        ms[0],
        ms[1],
    );
    goal_at_most("revived-catches-up", revival.behind as f64, revival.close as f64);
    goal_at_least("revived-nine-pace", revival.pace, 0.98);
}

/// Nine subscriptions at the tip of `stream`, and one that is dead at the horizon for a while.
#[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) async fn revive(stream: Synthetic, rate: u32, budget: usize) -> Revival {
    let (live, dead) = (Timing::new(&stream), Dead::new(Death::Hanging));
    let mut builder =
        Pipeline::builder("bench", stream.clone()).idle(IDLE).byte_budget(budget).drain_within(Duration::ZERO);
    for n in 0..NINE {
        builder = builder.subscribe(subscription(&format!("lives-{n}"), live.clone()).batch(AT_ONCE));
    }
    builder = builder.subscribe(subscription("dead", dead.clone()).start_at(StartPosition::TrimHorizon));
    let (pipeline, stop) = (builder.build().expect("the configuration is valid"), Notify::new());
    let revived = async {
        sleep(DEAD_FOR).await;
        let (started, delivered) = (Instant::now(), live.tally.delivered());
        dead.revive();
        let (mut behind, close) = (u64::MAX, u64::from(rate) / 20);
        while behind > close && started.elapsed() < PATIENCE {
            sleep(Duration::from_millis(5)).await;
            behind = stream.put() - dead.tally.delivered();
        }
        let took = started.elapsed();
        let put = f64::from(rate) * took.as_secs_f64();
        let pace = (live.tally.delivered() - delivered) as f64 / (NINE as f64 * put);
        stop.notify_one();
        let p99 = [live.latencies.p99(DEAD_FOR / 4..DEAD_FOR), live.latencies.p99(DEAD_FOR..DEAD_FOR + took)];
        Revival { behind, close, took, pace, p99 }
    };
    let (ended, revival) = tokio::join!(pipeline.run_until(stop.notified()), revived);
    ended.expect("memory does not fail");
    revival
}
