//! What a seed makes of a world, drawn before it begins.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::{BatchPolicy, Demand, Ordering, RetryPolicy, StartPosition};
use kinesis_mock::Odds;

/// A world.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) shards: usize,
    /// Whether reads wait for records.
    pub(super) parks: bool,
    pub(super) keys: usize,
    /// Channels that cut across the keys; 0: the key is the channel.
    pub(super) channels: usize,
    pub(super) records: usize,
    /// The longest pause between two bursts of records.
    pub(super) pause: Duration,
    pub(super) largest_burst: usize,
    /// How likely a split or merge is after a burst.
    pub(super) reshard: f64,
    pub(super) idle: Duration,
    pub(super) commit_every: Duration,
    pub(super) failover: Duration,
    pub(super) drain: Duration,
    pub(super) source: Odds,
    pub(super) store: Odds,
    pub(super) subscriptions: Vec<SubscriptionPlan>,
    /// Every life but the last.
    pub(super) lives: Vec<Life>,
    /// Where the generators of the parts are drawn from.
    pub(super) seed: u64,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(super) struct SubscriptionPlan {
    pub(super) name: String,
    pub(super) ordering: Ordering,
    pub(super) batch: BatchPolicy,
    pub(super) demand: Demand,
    pub(super) retry: RetryPolicy,
    pub(super) on_reject: Reject,
    /// All, where absent.
    pub(super) channels: Option<BTreeSet<String>>,
    pub(super) start: StartPosition,
    /// The first life that knows it.
    pub(super) from_life: usize,
    pub(super) temper: Temper,
}

/// What becomes of a record that is rejected or exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reject {
    Skip,
    DeadLetter,
    Halt,
}

/// How a sink behaves: the odds of each fault for a call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Temper {
    pub(super) fails: f64,
    pub(super) panics: f64,
    pub(super) miscounts: f64,
    pub(super) loses_reply: f64,
    pub(super) busy: f64,
    pub(super) partial: f64,
    pub(super) hangs: f64,
    pub(super) slow: f64,
    pub(super) slowest: Duration,
    /// One record in so many is rejected for ever; 0: none.
    pub(super) poison_one_in: u64,
}

/// A worker's life.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) lasts: Duration,
    pub(super) crashes: bool,
    /// Until the next one begins.
    pub(super) pause: Duration,
    /// Subscriptions that this worker does not know.
    pub(super) without: BTreeSet<usize>,
}

fn millis(rng: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// `None` as often as not, else odds up to `most`.
fn odds(rng: &mut Rng, most: f64) -> f64 {
    if rng.bool() { 0.0 } else { rng.f64() * most }
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let (keys, channels) = (rng.usize(1..=12), if rng.bool() { 0 } else { rng.usize(1..=4) });
        let lives = rng.usize(0..=4);
        let failover = millis(rng, 2_000..=12_000);
        let count = rng.usize(1..=5);
        let mut subscriptions: Vec<SubscriptionPlan> =
            (0..count).map(|nth| SubscriptionPlan::draw(rng, nth, keys, channels, lives)).collect();
        // A source whose readers wait for records cannot say where its tip is, so nothing can start there and be sure.
        let parks = rng.u8(..4) == 0;
        if parks {
            subscriptions.iter_mut().for_each(|subscription| subscription.start = StartPosition::TrimHorizon);
        }
        Self {
            shards: rng.usize(1..=4),
            parks,
            keys,
            channels,
            records: rng.usize(1..=400),
            pause: millis(rng, 10..=4_000),
            largest_burst: rng.usize(1..=40),
            reshard: odds(rng, 0.4),
            idle: millis(rng, 50..=500),
            commit_every: millis(rng, 50..=3_000),
            failover,
            drain: millis(rng, 0..=10_000),
            source: draw_odds(rng, 0.12),
            store: draw_odds(rng, 0.08),
            subscriptions,
            lives: (0..lives).map(|_| Life::draw(rng, count, failover)).collect(),
            seed: rng.u64(..),
        }
    }
}

fn draw_odds(rng: &mut Rng, most: f64) -> Odds {
    let mut each = || odds(rng, most);
    Odds {
        throttle: each(),
        fail: each(),
        delay: each(),
        expire: each() / 3.0,
        short: each(),
        empty: each(),
        drop_reply: each(),
        max_delay: Duration::from_millis(1_500),
    }
}

impl Life {
    fn draw(rng: &mut Rng, subscriptions: usize, failover: Duration) -> Self {
        let without = (0..subscriptions).filter(|_| rng.u8(..10) == 0).collect();
        Self {
            lasts: millis(rng, 1..=25_000),
            crashes: rng.bool(),
            pause: failover.mul_f64(if rng.bool() { 0.0 } else { rng.f64() * 2.0 }),
            without,
        }
    }
}

impl SubscriptionPlan {
    fn draw(rng: &mut Rng, nth: usize, keys: usize, channels: usize, lives: usize) -> Self {
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
        let base = millis(rng, 0..=300);
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
            start: if rng.u8(..4) == 0 { StartPosition::Latest } else { StartPosition::TrimHorizon },
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
        }
    }
}
