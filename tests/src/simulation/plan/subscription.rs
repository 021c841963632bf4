//! What a seed makes of a subscription and the temper of its sink.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::{BatchPolicy, Demand, OnGap, Ordering, RetryPolicy, StartPosition};

use super::{beginning, millis, odds};

/// A subscription.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct SubscriptionPlan {
    pub(in crate::simulation) name: String,
    pub(in crate::simulation) ordering: Ordering,
    pub(in crate::simulation) batch: BatchPolicy,
    pub(in crate::simulation) demand: Demand,
    pub(in crate::simulation) retry: RetryPolicy,
    pub(in crate::simulation) on_reject: Reject,
    pub(in crate::simulation) on_gap: OnGap,
    /// What it may hold in memory, in bytes; a quarter, where absent.
    pub(in crate::simulation) cap: Option<usize>,
    /// All, where absent.
    pub(in crate::simulation) channels: Option<BTreeSet<String>>,
    pub(in crate::simulation) start: StartPosition,
    /// The first life that knows it.
    pub(in crate::simulation) from_life: usize,
    pub(in crate::simulation) temper: Temper,
}

/// What becomes of a record that is rejected or exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulation) enum Reject {
    Skip,
    DeadLetter,
    Halt,
}

/// How a sink behaves: the odds of each fault for a call.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::simulation) struct Temper {
    pub(in crate::simulation) fails: f64,
    pub(in crate::simulation) panics: f64,
    pub(in crate::simulation) miscounts: f64,
    pub(in crate::simulation) loses_reply: f64,
    pub(in crate::simulation) busy: f64,
    pub(in crate::simulation) partial: f64,
    pub(in crate::simulation) hangs: f64,
    pub(in crate::simulation) slow: f64,
    pub(in crate::simulation) slowest: Duration,
    /// One record in so many is rejected for ever; 0: none.
    pub(in crate::simulation) poison_one_in: u64,
    /// Whether it does nothing at times, or at all times.
    pub(in crate::simulation) dead: Option<Dead>,
}

/// How a sink is dead.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulation) struct Dead {
    /// Whether it never answers, instead of failing at once.
    pub(in crate::simulation) hangs: bool,
    /// For so long dead, for as long alive; all the time dead, where absent.
    pub(in crate::simulation) flaps: Option<Duration>,
}

impl SubscriptionPlan {
    pub(super) fn draw(rng: &mut Rng, nth: usize, keys: usize, channels: usize, lives: usize) -> Self {
        let parallel = NonZeroUsize::new(rng.usize(1..=8)).expect("the range begins at 1");
        let ordering = match rng.u8(..6) {
            0 | 1 => Ordering::PerShard,
            2 => Ordering::Unordered { parallel },
            _ => Ordering::PerKey { parallel },
        };
        let max_records = if rng.bool() { rng.usize(1..=4) } else { rng.usize(1..=30) };
        let batch = BatchPolicy {
            max_records,
            max_bytes: if rng.bool() { 1 << 20 } else { rng.usize(20..=400) },
            max_wait: millis(rng, 0..=300),
        };
        let max = max_records + if rng.bool() { 0 } else { rng.usize(0..=100) };
        let demand = Demand {
            min: rng.usize(0..max),
            max,
            max_bytes: if batch.max_bytes == 1 << 20 { 8 << 20 } else { batch.max_bytes + rng.usize(0..=400) },
            max_ahead: max + if rng.bool() { 0 } else { rng.usize(0..=500) },
        };
        let on_reject = match rng.u8(..8) {
            0 => Reject::Halt,
            1..=3 => Reject::Skip,
            _ => Reject::DeadLetter,
        };
        let gives_up = on_reject != Reject::Halt || rng.u8(..4) == 0;
        // Without any wait, a sink that fails at once would be tried for ever in one instant.
        let base = millis(rng, 1..=300);
        let retry = RetryPolicy {
            base,
            cap: base + millis(rng, 0..=4_000),
            attempts: (gives_up && rng.bool()).then(|| NonZeroU32::MIN.saturating_add(rng.u32(0..=5))),
            max_age: if gives_up && rng.bool() { millis(rng, 500..=30_000) } else { Duration::from_secs(86_400) },
            halve_after: NonZeroU32::MIN.saturating_add(rng.u32(0..=3)),
        };
        let takes: BTreeSet<String> = match channels {
            0 => (0..keys).filter(|_| rng.bool()).map(|key| format!("key-{key}")).collect(),
            _ => (0..channels).filter(|_| rng.bool()).map(|channel| format!("channel-{channel}")).collect(),
        };
        Self {
            name: format!("sub-{nth}"),
            ordering,
            batch,
            demand,
            retry,
            on_reject,
            channels: (!takes.is_empty() && rng.bool()).then_some(takes),
            on_gap: if rng.bool() { OnGap::Jump } else { OnGap::Halt },
            cap: (rng.u8(..4) == 0).then(|| rng.usize(1..=5_000)),
            start: match rng.u8(..8) {
                0 | 1 => StartPosition::Latest,
                2 => StartPosition::Timestamp(beginning() + millis(rng, 0..=30_000)),
                _ => StartPosition::TrimHorizon,
            },
            from_life: if rng.u8(..4) == 0 { rng.usize(0..=lives) } else { 0 },
            temper: Temper::draw(rng, on_reject),
        }
    }
}

impl Temper {
    fn draw(rng: &mut Rng, on_reject: Reject) -> Self {
        let rarely = if on_reject == Reject::Halt { 4 } else { 1 };
        Self {
            fails: odds(rng, 0.4),
            panics: odds(rng, 0.1),
            miscounts: odds(rng, 0.1),
            loses_reply: odds(rng, 0.1),
            busy: odds(rng, 0.2),
            partial: odds(rng, 0.3),
            hangs: if rng.u8(..5) == 0 { 0.01 } else { 0.0 },
            slow: odds(rng, 1.0),
            slowest: millis(rng, 1..=2_000),
            poison_one_in: if rng.u8(..2 * rarely) == 0 { rng.u64(10..=60) } else { 0 },
            dead: (rng.u8(..6) == 0)
                .then(|| Dead { hangs: rng.bool(), flaps: rng.bool().then(|| millis(rng, 500..=20_000)) }),
        }
    }
}
