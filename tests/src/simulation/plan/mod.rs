//! What a seed makes of a world, drawn before it begins.

mod subscription;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use kinesis_mock::Odds;

use super::Door;

pub(super) use subscription::{Dead, Reject, SubscriptionPlan, Temper};

/// When every stream begins: 2024-01-01T00:00:00Z.
pub(super) fn beginning() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200)
}

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
    /// How likely it is after a burst that old records are trimmed.
    pub(super) trim: f64,
    /// Whether a reader that trimming has overtaken goes on without a word.
    pub(super) trims_silently: bool,
    /// What may be read of a shard, where that is limited.
    pub(super) limits: Option<Limits>,
    /// The memory of a worker, in bytes.
    pub(super) budget: usize,
    /// The longest pause between two changes through the handle; none, where absent.
    pub(super) meddle: Option<Duration>,
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

/// What may be read of a shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) calls_per_second: u32,
    pub(super) bytes_per_second: u32,
    /// Whether the source keeps within them by itself; otherwise it is refused.
    pub(super) kept: bool,
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
    /// The same behind every door, save that over the wire nothing is trimmed: there, as on AWS, a reader goes on at
    /// the horizon without a word, and only the age of a record, a day at least, tells whether it may be gone.
    pub(super) fn of(seed: u64, door: Door) -> Self {
        let plan = Self::draw(seed);
        let trim = if door == Door::Source { plan.trim } else { 0.0 };
        Self { trim, ..plan }
    }

    fn draw(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let (keys, channels) = (rng.usize(1..=12), if rng.bool() { 0 } else { rng.usize(1..=4) });
        let lives = rng.usize(0..=4);
        let failover = millis(rng, 2_000..=12_000);
        let count = if rng.bool() { rng.usize(1..=4) } else { rng.usize(1..=12) };
        let mut subscriptions: Vec<SubscriptionPlan> =
            (0..count).map(|nth| SubscriptionPlan::draw(rng, nth, keys, channels, lives)).collect();
        let parks = rng.u8(..4) == 0;
        let budget = match rng.u8(..4) {
            0 => 1,
            1 => rng.usize(500..=30_000),
            _ => 256 << 20,
        };
        // More than the budget is refused.
        subscriptions
            .iter_mut()
            .for_each(|subscription| subscription.cap = subscription.cap.filter(|cap| *cap <= budget));
        let mut plan = Self {
            shards: rng.usize(1..=4),
            parks,
            keys,
            channels,
            records: rng.usize(1..=400),
            pause: millis(rng, 10..=4_000),
            largest_burst: rng.usize(1..=40),
            reshard: odds(rng, 0.4),
            trim: if rng.u8(..3) == 0 { rng.f64() * 0.3 } else { 0.0 },
            // What is put and trimmed while a reader waits for it, only the source itself can tell.
            trims_silently: rng.bool() && !parks,
            limits: (rng.u8(..4) == 0).then(|| Limits::draw(rng)),
            budget,
            meddle: rng.bool().then(|| millis(rng, 200..=10_000)),
            idle: millis(rng, 50..=500),
            commit_every: millis(rng, 50..=3_000),
            failover,
            drain: millis(rng, 0..=10_000),
            source: draw_odds(rng, 0.12),
            store: draw_odds(rng, 0.08),
            subscriptions,
            lives: (0..lives).map(|_| Life::draw(rng, count, failover)).collect(),
            seed: rng.u64(..),
        };
        // While a store takes its time, much may happen before a change is through.
        let rng = &mut Rng::with_seed(!seed);
        if rng.u8(..5) == 0 {
            plan.store.delay = 0.6;
            plan.meddle = Some(millis(rng, 200..=1_500));
        }
        plan
    }
}

impl Limits {
    fn draw(rng: &mut Rng) -> Self {
        // Of records of about 50 bytes.
        Self { calls_per_second: 5, bytes_per_second: rng.u32(400..=20_000), kept: rng.bool() }
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
