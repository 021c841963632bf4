//! Proves that the simulation notices: every part that can be broken is, and has to be caught.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use kinesis_tests::simulation::{Caught, Part, catch};

/// What is wanted of the broken parts.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Say which there are.
    List,
    /// Break each of these, one after another.
    These(Vec<Part>),
}

impl Broken {
    /// What is meant by `all`, `list` or the name of a part.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "list" => Ok(Self::List),
            "all" => Ok(Self::These(Part::ALL.to_vec())),
            name => {
                let part = Part::ALL.iter().find(|part| part.name() == name);
                let unknown = || format!("no part is called {name:?}; --broken list says which there are");
                part.map(|part| Self::These(vec![*part])).ok_or_else(unknown)
            }
        }
    }

    /// Does it, each part with the worlds of so many seeds from `from` on.
    pub(crate) fn run(&self, from: u64, seeds: u64) -> ExitCode {
        match self {
            Self::List => {
                Part::ALL.iter().for_each(|part| println!("{}: {}", part.name(), part.describe()));
                ExitCode::SUCCESS
            }
            Self::These(parts) => {
                let all_caught = catch_all(parts, from, seeds);
                if all_caught { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
        }
    }
}

/// Breaks one part after another, as many at once as there are processors; says whether all were caught.
fn catch_all(parts: &[Part], from: u64, seeds: u64) -> bool {
    let (next, all_caught) = (AtomicUsize::new(0), AtomicBool::new(true));
    let printing = Mutex::new(());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let caught = catch(*part, from..from.saturating_add(seeds));
                    all_caught.fetch_and(caught.is_some(), Ordering::Relaxed);
                    let _one_at_a_time = printing.lock();
                    match caught {
                        Some(Caught { seed, promise }) => {
                            println!("{}: caught at seed {seed} by {promise:?}", part.name());
                        }
                        None => println!("{}: NOT CAUGHT in {seeds} seeds: {}", part.name(), part.describe()),
                    }
                }
            });
        }
    });
    all_caught.into_inner()
}
