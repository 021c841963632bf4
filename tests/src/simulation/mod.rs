//! Whole lives of a pipeline, driven by a seed, and the promises that must hold through all of them.
//!
//! A seed is a world: a stream with its producer, splits and merges, subscriptions of every kind, and faults in source,
//! sink and store. One worker after another lives in it, is stopped or crashes; in the end the faults cease, the stream
//! finishes, and the last worker has to end by itself with everything settled. All of it runs on one thread and a paused
//! clock, and nothing is random but the seed: the same seed tells the same story, line by line.
//!
//! Whether the promises hold is decided by a [`Model`] that knows nothing of the pipeline's own accounts:
//! it sees what was put, what the sinks answered and what the store holds.

mod broken;
mod fate;
mod fleet;
mod journal;
mod model;
mod plan;
mod sink;
mod store;
mod world;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::sync::Notify;

pub use broken::{Caught, Part, catch};
pub use fleet::simulate_fleet;

use crate::sdk::Way;
use model::Model;
use plan::Plan;

/// A promise that was broken, and how that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub promise: &'static str,
    /// The record, key, subscription or shard, and what happened to it.
    pub evidence: String,
    /// How many lines the event log had when it was seen.
    pub line: usize,
}

/// What became of a seed.
#[derive(Debug, Clone)]
pub struct Story {
    /// The seed.
    pub seed: u64,
    /// Which worlds it is a seed of, as `simulate` is asked for them.
    pub worlds: &'static str,
    /// Every promise that was broken.
    pub violations: Vec<Violation>,
    /// The event log.
    pub log: Vec<String>,
    /// What was seen to happen, to prove that a set of seeds covers what it claims to.
    pub seen: Seen,
}

/// Counts of what happened in a story.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Records put.
    pub records: usize,
    /// Calls of sinks.
    pub deliveries: usize,
    /// Records taken by a sink that had it before.
    pub repeats: usize,
    /// Workers that crashed.
    pub crashes: usize,
    /// Workers that were asked to stop.
    pub stops: usize,
    /// Splits and merges.
    pub reshards: usize,
    /// Records that went to the dead letters.
    pub dead_letters: usize,
    /// Records passed over.
    pub skipped: usize,
    /// Subscriptions that halted in the last run.
    pub halted: usize,
    /// Records that were trimmed.
    pub trimmed: usize,
    /// Gaps that subscriptions were told of.
    pub gaps: usize,
    /// Subscriptions that fell behind the front.
    pub fell_behind: usize,
    /// Changes through the handle that were done, by kind: attached, detached, paused, resumed, sought, forgotten.
    pub changes: [usize; 6],
    /// Faults of source and store; those of sinks not counted.
    pub faults: usize,
    /// In a fleet: workers that stood still for longer than a failover time.
    pub stood_still: usize,
    /// In a fleet: workers that did not reach the store for a time.
    pub cut_off: usize,
    /// In a fleet: leases that were taken from another worker.
    pub taken_over: usize,
    /// In a fleet: records that a worker of the KCL processed.
    pub by_the_kcl: usize,
    /// In a fleet: leases that were handed over.
    pub handed_over: usize,
}

impl Story {
    /// A number that differs when a line of the event log does.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.log.hash(&mut hasher);
        hasher.finish()
    }

    /// Compares the story with another one of the same seed; where they differ, that is a violation.
    pub fn compare(&mut self, again: &Self) {
        if self.hash() != again.hash() {
            let line = self.log.iter().zip(&again.log).take_while(|(one, other)| one == other).count();
            let evidence = format!("line {line} is {:?}, then {:?}", self.log.get(line), again.log.get(line));
            self.violations.push(Violation { promise: "the same seed tells the same story", evidence, line });
        }
    }
}

impl fmt::Display for Story {
    /// The seed, each broken promise with the lines before it, and how to see it again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TAIL: usize = 15;
        for Violation { promise, evidence, line } in &self.violations {
            writeln!(f, "seed {}: {promise}: {evidence}", self.seed)?;
            for line in &self.log[line.saturating_sub(TAIL)..*line] {
                writeln!(f, "    {line}")?;
            }
        }
        writeln!(f, "again: {} --from {} --seeds 1 --log", self.worlds, self.seed)
    }
}

/// By which door the stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// As a source itself.
    Source,
    /// Over its wire, by the real SDK.
    Sdk(Way),
}

impl Door {
    /// The SDK, each seed in a way of its own.
    #[must_use]
    pub const fn sdk(seed: u64) -> Self {
        Self::Sdk(Way::ALL[(seed % Way::ALL.len() as u64) as usize])
    }
}

/// Lives through the world of a seed.
///
/// # Panics
///
/// When the operating system refuses a runtime.
#[must_use]
pub fn simulate(seed: u64, door: Door) -> Story {
    live(seed, door, u64::MAX)
}

/// Lives through the world of a seed, for so many beats at most.
fn live(seed: u64, door: Door, beats: u64) -> Story {
    let plan = Plan::of(seed, door);
    let worlds = if door == Door::Source { "simulate" } else { "simulate --sdk" };
    told(seed, worlds, || Model::new(&plan, door, beats), async |model| world::live(&plan, door, model).await)
}

/// What a story is told by: what is known of it, and what was wrong in it.
trait Tale: Sized {
    /// Says when the story turns in circles.
    fn spins(&self) -> Arc<Notify>;

    /// A promise was broken.
    fn violate(&self, promise: &'static str, evidence: String);

    fn into_story(self, seed: u64) -> Story;
}

/// Has a story happen on a paused clock, and tells it.
fn told<M: Tale>(seed: u64, worlds: &'static str, begin: impl FnOnce() -> M, live: impl AsyncFnOnce(&M)) -> Story {
    // Nonces are drawn from the thread's generator; nothing depends on their values, but a replay should be exact.
    fastrand::seed(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing that could be missing");
    let model = runtime.block_on(async { begin() });
    let spins = model.spins();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = spins.notified() => model.violate("a story comes to an end", "something spins".to_owned()),
                () = live(&model) => {}
            }
        });
    }));
    if lived.is_err() {
        model.violate("nothing panics", "the simulation itself; see the message above".to_owned());
    }
    drop(runtime);
    Story { worlds, ..model.into_story(seed) }
}
