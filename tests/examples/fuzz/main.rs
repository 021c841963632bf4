//! Throws mutated inputs at the parsers, one a seed, until the time is up: none may panic.

mod receiver;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kinesis_tests::mutate;
use targets::{TARGETS, Target};
use tokio::time::Instant;

const USAGE: &str = "usage: fuzz --target NAME|all [--seconds N | --minutes N] [--from S]

  --target NAME  which parser, or all of them in turn
  --seconds N    for how long each (default 10); 0 for the first seed alone
  --minutes N    the same in minutes
  --from S       the first seed (default 0)";

struct Options {
    targets: Vec<&'static Target>,
    time: Duration,
    from: u64,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let unsound = options.targets.iter().filter(|target| !fuzz(target, &options)).count();
    if unsound == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether no seed made the target panic.
fn fuzz(target: &Target, options: &Options) -> bool {
    let corpus = (target.corpus)();
    let (next, accepted, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let end = Instant::now() + options.time;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if (nth > 0 && Instant::now() >= end) || failed.load(Ordering::Relaxed) {
                        next.fetch_sub(1, Ordering::Relaxed);
                        break;
                    }
                    let seed = options.from.wrapping_add(nth);
                    let input = mutate::input(&corpus, seed);
                    let chunks = mutate::chunks(seed);
                    match catch_unwind(AssertUnwindSafe(|| (target.run)(&input, &chunks))) {
                        Ok(taken) => drop(accepted.fetch_add(u64::from(taken), Ordering::Relaxed)),
                        Err(_) => {
                            failed.store(true, Ordering::Relaxed);
                            println!("{} panics: --target {} --seconds 0 --from {seed}", target.name, target.name);
                            println!("{}", input.escape_ascii());
                        }
                    }
                }
            });
        }
    });
    println!("{}: {} inputs, {} of them accepted", target.name, next.into_inner(), accepted.into_inner());
    !failed.into_inner()
}

fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { targets: Vec::new(), time: Duration::from_secs(10), from: 0 };
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        let number = || value.parse().map_err(|_| format!("{arg} wants a number, not {value:?}"));
        match arg.as_str() {
            "--target" => {
                options.targets = TARGETS.iter().filter(|target| value == "all" || value == target.name).collect();
                if options.targets.is_empty() {
                    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
                    return Err(format!("there is no target {value:?}: all, {}", names.join(", ")));
                }
            }
            "--seconds" => options.time = Duration::from_secs(number()?),
            "--minutes" => options.time = Duration::from_secs(60 * number()?),
            "--from" => options.from = number()?,
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    if options.targets.is_empty() { Err("--target is missing".into()) } else { Ok(options) }
}
