//! Three processes of `kinesis-forwarder run --table` share a stream of sixteen shards; one is killed, one stopped, one held
//! up, while shards split and merge. Then what they delivered and what they wrote is judged.

mod promises;
mod receiver;
mod script;
mod tap;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use kinesis_tests::forwarder;
use promises::Promises;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

const USAGE: &str = "usage: fleet [--runs N] [--seed S] [--forwarder PATH]

  --runs N          how often the story is played (default 1; about 70 s each)
  --seed S          decides who is killed, stopped and held up, and what splits and merges (default: another one each time)
  --forwarder PATH  the program (default: the one built into the same target folder)";

struct Options {
    runs: u64,
    seed: u64,
    forwarder: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let asked_to_stop = async {
        let mut terminated = signal(SignalKind::terminate()).expect("signals can be heard");
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    // The workers are killed when their story is dropped: no way out of here leaves one behind.
    tokio::select! {
        kept = play(&options) => if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        () = asked_to_stop => {
            eprintln!("stopped before the end");
            ExitCode::FAILURE
        }
    }
}

/// Plays the story so many times, and says whether every promise was kept.
async fn play(options: &Options) -> bool {
    let begun = Instant::now();
    let mut broken = 0;
    for seed in (0..options.runs).map(|run| options.seed.wrapping_add(run)) {
        println!("seed {seed}");
        let mut promises = Promises::default();
        if let Err(error) = script::play(&options.forwarder, seed, &mut promises).await {
            promises.keep("the story comes to its end", &error, "to come to its end", false);
        }
        broken += promises.broken();
    }
    println!(
        "{} runs from seed {} on, {broken} promises broken, {} s",
        options.runs,
        options.seed,
        begun.elapsed().as_secs()
    );
    broken == 0
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { runs: 1, seed: u64::from(fastrand::u32(..)), forwarder: forwarder::built()? };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        let wrong = |_| format!("{arg} wants a number, not {value:?}");
        match arg.as_str() {
            "--runs" => options.runs = value.parse().map_err(wrong)?,
            "--seed" => options.seed = value.parse().map_err(wrong)?,
            "--forwarder" => options.forwarder = value.into(),
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    forwarder::check(&options.forwarder)?;
    Ok(options)
}
