//! Measuring for the benches: processor time of this process, medians over interleaved rounds, and the goal's line.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kinesis_core::{Delivery, Outcomes, Result, Sink};

/// What one round took.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// By the wall.
    pub wall: Duration,
    /// On the processors, by all threads of this process.
    pub cpu: Duration,
}

/// Runs `work` and measures it.
#[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
pub async fn round<T>(work: impl Future<Output = T>) -> Round {
    let (started, cpu) = (Instant::now(), cpu_time());
    std::hint::black_box(work.await);
    Round { wall: started.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

/// The processor time of this process so far, user and system, in nanoseconds resolution where the kernel keeps it.
///
/// # Panics
///
/// Where there is no `/proc`: the benches run on Linux.
#[must_use]
pub fn cpu_time() -> Duration {
    // The kernel brings a running thread's account up to date when that gives way, otherwise a hundred times a second.
    std::thread::yield_now();
    let tasks = std::fs::read_dir("/proc/self/task").expect("benches need Linux's /proc");
    let nanos = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The most memory that this process has had so far, in bytes.
///
/// # Panics
///
/// Where there is no `/proc`.
#[must_use]
pub fn resident_peak() -> usize {
    of_status("VmHWM:")
}

/// The memory that this process has now, in bytes.
///
/// # Panics
///
/// Where there is no `/proc`.
#[must_use]
pub fn resident() -> usize {
    of_status("VmRSS:")
}

fn of_status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("benches need Linux's /proc");
    let kib =
        status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.expect("the kernel says how much memory a process has") << 10
}

/// Rounds of one kind, each over the same number of units.
#[derive(Debug, Default)]
pub struct Rounds {
    /// How many units (records, requests) one round handled.
    pub units: usize,
    rounds: Vec<Round>,
}

impl Rounds {
    /// No rounds yet.
    #[must_use]
    pub const fn of(units: usize) -> Self {
        Self { units, rounds: Vec::new() }
    }

    /// Adds a round.
    pub fn push(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// Units a second, of the median round.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.units as f64 / self.median(|round| round.wall).as_secs_f64()
    }

    /// The rate in relation to that of others whose rounds came in between: the median of what neighbours make, because what
    /// a shared machine has left changes from one minute to the next.
    #[must_use]
    pub fn rate_beside(&self, others: &Self) -> f64 {
        let seconds = |rounds: &Self, round: &Round| round.wall.as_secs_f64() / rounds.units as f64;
        let neighbours = self.rounds.iter().zip(&others.rounds);
        median(neighbours.map(|(ours, theirs)| seconds(others, theirs) / seconds(self, ours)))
    }

    /// Processor microseconds a unit, of the median round.
    #[must_use]
    pub fn cpu_micros(&self) -> f64 {
        self.median(|round| round.cpu).as_secs_f64() * 1e6 / self.units as f64
    }

    fn median(&self, of: impl Fn(&Round) -> Duration) -> Duration {
        let mut values: Vec<Duration> = self.rounds.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.0} a second, {:>7.3} µs CPU each", self.rate(), self.cpu_micros())
    }
}

/// The value in the middle.
///
/// # Panics
///
/// Without any value.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints the line that says whether a goal of at least `bound` is met.
pub fn goal_at_least(name: &str, value: f64, bound: f64) {
    println!("goal {name}: {value:.3} (wants >= {bound}): {}", if value >= bound { "ok" } else { "short" });
}

/// Prints the line that says whether a goal of at most `bound` is met.
pub fn goal_at_most(name: &str, value: f64, bound: f64) {
    println!("goal {name}: {value:.3} (wants <= {bound}): {}", if value <= bound { "ok" } else { "short" });
}

/// A sink that takes everything and does nothing: what is left is the pipeline's cost.
#[derive(Debug)]
pub struct NoOp;

#[async_trait]
impl Sink for NoOp {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        Ok(Outcomes::delivered(delivery.len()))
    }
}
