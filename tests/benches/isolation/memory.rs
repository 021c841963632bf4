//! The most memory that a process takes, with payloads that are truly allocated; each part in a process of its own.

use std::process::Stdio;

use kinesis_core::Pipeline;
use kinesis_tests::measure::{goal_at_most, resident_peak};
use kinesis_tests::synthetic::{Plan, Synthetic, Then};
use tokio::process::Command;

use super::sinks::{Counting, Dead, Death};
use super::{NINE, cost, revival, subscription};

const BUDGET: usize = 64 << 20;
/// What a process takes besides: the program, the runtime, records that the source and the sinks have in hand, and what
/// the allocator keeps.
const BESIDES: usize = 32 << 20;
const PAYLOAD: usize = 10 << 10;

/// What a process of its own does.
#[derive(Debug, Clone, Copy)]
enum Part {
    Nothing,
    Erring,
    Hanging,
    Revived,
}

const PARTS: [(&str, Part); 4] =
    [("nothing", Part::Nothing), ("erring", Part::Erring), ("hanging", Part::Hanging), ("revived", Part::Revived)];

/// Does what the first argument names, and prints the peak; says whether there was one.
pub(crate) async fn is_part() -> bool {
    let Some((_, part)) = std::env::args().nth(1).and_then(|name| PARTS.into_iter().find(|(known, _)| *known == name))
    else {
        return false;
    };
    run(part).await;
    println!("{}", resident_peak());
    true
}

async fn run(part: Part) {
    let large = Plan { payload: PAYLOAD, allocates: true, ..Plan::default() };
    match part {
        Part::Nothing => {
            let stream = Synthetic::new(large);
            let mut builder = Pipeline::builder("bench", stream).byte_budget(BUDGET);
            for n in 0..NINE {
                builder = builder.subscribe(subscription(&format!("lives-{n}"), Counting(std::sync::Arc::default())));
            }
            let dead = subscription("dead", Dead::new(Death::Hanging));
            drop(builder.subscribe(dead).build().expect("the configuration is valid"));
        }
        Part::Erring | Part::Hanging => {
            let death = if matches!(part, Part::Erring) { Death::Erring } else { Death::Hanging };
            let stream = Synthetic::new(Plan { backlog: 200_000, ..large });
            cost::nine_read(&stream, BUDGET, Some(death)).await;
        }
        Part::Revived => {
            let rate = 2_000;
            let stream = Synthetic::new(Plan { backlog: revival::BEHIND, then: Then::Goes(rate), ..large });
            let revival = revival::revive(stream, rate, BUDGET).await;
            assert!(revival.has_caught_up(), "it was to catch up: {revival:?}");
        }
    }
}

/// Measures every part.
pub(crate) async fn compare() {
    println!("peak resident memory, payloads of {} KiB, byte budget {} MiB", PAYLOAD >> 10, BUDGET >> 20);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let mut most = 0;
    for (name, _) in PARTS {
        let program = std::env::current_exe().expect("a running program has a path");
        let child = Command::new(program).arg(name).stderr(Stdio::inherit()).kill_on_drop(true).output();
        let output = child.await.expect("this program can be started again");
        assert!(output.status.success(), "{name} failed");
        let text = String::from_utf8_lossy(&output.stdout);
        let peak = text.trim().parse().expect("a part prints its peak");
        println!("    {name:10} {:7.1} MiB", mib(peak));
        most = peak.max(most);
    }
    goal_at_most("isolation-memory", mib(most), mib(BUDGET) * 1.2 + mib(BESIDES));
}
