//! What a pipeline costs that has nothing to do: 256 shards, 8 subscriptions, no records.

use std::time::Duration;

use kinesis_core::{Pipeline, Subscription};
use kinesis_tests::measure::{NoOp, goal_at_most, resident, round};
use kinesis_tests::synthetic::{Plan, Synthetic, Then};
use tokio::sync::Notify;
use tokio::time::sleep;

const SHARDS: usize = 256;
const SUBSCRIPTIONS: usize = 8;
const IDLE: Duration = Duration::from_secs(1);
const SETTLES: Duration = Duration::from_secs(5);
const LASTS: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{SHARDS} shards, {SUBSCRIPTIONS} subscriptions, nothing to read, asked for every {IDLE:?}");
    let stream = Synthetic::new(Plan { shards: SHARDS, then: Then::Idles, ..Plan::default() });
    let mut builder = Pipeline::builder("bench", stream).idle(IDLE);
    for n in 0..SUBSCRIPTIONS {
        builder = builder.subscribe(Subscription::new(format!("waits-{n}"), NoOp));
    }
    let (pipeline, stop) = (builder.build().expect("the configuration is valid"), Notify::new());
    let measured = async {
        sleep(SETTLES).await;
        let idle = round(sleep(LASTS)).await;
        let memory = resident();
        stop.notify_one();
        (idle, memory)
    };
    let (ended, (idle, memory)) = tokio::join!(pipeline.run_until(stop.notified()), measured);
    ended.expect("memory does not fail");
    let percent = idle.cpu.as_secs_f64() / idle.wall.as_secs_f64() * 100.0;
    let mib = memory as f64 / f64::from(1 << 20);
    println!("{percent:.2} % of a core over {LASTS:?}, {mib:.1} MiB resident");
    goal_at_most("idle-cpu", percent, 1.0);
    goal_at_most("idle-memory", mib, 64.0);
}
