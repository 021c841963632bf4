//! Runs simulated worlds, one a seed, and says which promises were broken.

mod broken;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use broken::Broken;
use kinesis_tests::simulation::{Door, Story, simulate, simulate_fleet};

const USAGE: &str = "usage: simulate --seeds N [--from S] [--sdk | --fleet] [--log]
       simulate --broken NAME|all|list [--seeds N] [--from S]

  --seeds N      how many worlds (default with --broken: 500)
  --from S       the first seed (default 0)
  --sdk          read through the real SDK, polled and pushed in turn, instead of the stream itself
  --fleet        several workers that share the stream, instead of one after another
  --log          print each world's event log; for a single seed
  --broken NAME  break a part of the pipeline on purpose, all of them in turn, or list them: each has to be caught";

/// A broken part has to be caught within so many seeds, unless told otherwise.
const SEEDS_TO_CATCH: u64 = 500;

/// Every so many seeds are lived through twice, and must tell the same story.
const TWICE: u64 = 16;

struct Options {
    seeds: u64,
    from: u64,
    sdk: bool,
    fleet: bool,
    log: bool,
    broken: Option<Broken>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(broken) = &options.broken {
        return broken.run(options.from, options.seeds);
    }
    let next = AtomicU64::new(0);
    let violations = AtomicU64::new(0);
    let printing = Mutex::new(());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= options.seeds {
                        break;
                    }
                    let story = run(options.from.wrapping_add(nth), &options);
                    violations.fetch_add(story.violations.len() as u64, Ordering::Relaxed);
                    if options.log || !story.violations.is_empty() {
                        let _one_at_a_time = printing.lock();
                        print(&story, options.log);
                    }
                }
            });
        }
    });
    let violations = violations.into_inner();
    println!("{} seeds, {violations} violations", options.seeds);
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lives through a seed, at times twice.
fn run(seed: u64, options: &Options) -> Story {
    let live = || match (options.fleet, options.sdk) {
        (true, _) => simulate_fleet(seed),
        (false, true) => simulate(seed, Door::sdk(seed)),
        (false, false) => simulate(seed, Door::Source),
    };
    let mut story = live();
    if seed.is_multiple_of(TWICE) {
        story.compare(&live());
    }
    story
}

fn print(story: &Story, log: bool) {
    if log {
        story.log.iter().for_each(|line| println!("{line}"));
        println!("{:?}, hash {:016x}", story.seen, story.hash());
    }
    if !story.violations.is_empty() {
        print!("{story}");
    }
}

fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seeds: 0, from: 0, sdk: false, fleet: false, log: false, broken: None };
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        let number = |value: String| value.parse().map_err(|_| format!("{arg} wants a number, not {value:?}"));
        match arg.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--from" => options.from = number(value()?)?,
            "--sdk" => options.sdk = true,
            "--fleet" => options.fleet = true,
            "--log" => options.log = true,
            "--broken" => options.broken = Some(Broken::parse(&value()?)?),
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    if options.seeds == 0 && options.broken.is_some() {
        options.seeds = SEEDS_TO_CATCH;
    }
    if options.seeds == 0 { Err("--seeds is missing or 0".into()) } else { Ok(options) }
}
