//! What a seed makes of a fleet, drawn before it begins.

use std::time::Duration;

use fastrand::Rng;
use kinesis_core::Ordering;
use kinesis_mock::Odds;

/// Subscriptions: the first is known to every worker, the second to some.
pub(super) const NAMES: [&str; 2] = ["known-to-all", "known-to-some"];

/// A fleet.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) shards: usize,
    pub(super) keys: usize,
    pub(super) records: usize,
    pub(super) pause: Duration,
    pub(super) failover: Duration,
    pub(super) commit_every: Duration,
    pub(super) ordering: Ordering,
    /// How long a delivery takes at most.
    pub(super) slow: Duration,
    /// How likely a delivery fails.
    pub(super) fails: f64,
    /// Nothing goes wrong: workers only come and stop.
    pub(super) healthy: bool,
    pub(super) store: Odds,
    /// The store keeps progress apart from the lease, where it is steps forward alone: it renews nothing.
    pub(super) apart: bool,
    /// How likely the rows that a worker reads are those that it read before.
    pub(super) stale: f64,
    pub(super) happenings: Vec<(Duration, Happening)>,
    pub(super) seed: u64,
}

/// What happens to a fleet. Which worker it happens to is drawn when it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    Start {
        knows_all: bool,
    },
    Stop,
    Crash,
    /// All at once, as of a machine: what is stored stays.
    CrashAll,
    /// A worker stands still, and goes on as if nothing had been.
    StandStill(Duration),
    /// A worker does not reach the store.
    CutOff(Duration),
    Reshard,
    /// A worker of the KCL comes.
    StartKcl,
    /// One of those crashes.
    CrashKcl,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed ^ 0xf1ee7);
        let healthy = rng.u8(..3) == 0;
        let failover = Duration::from_millis(rng.u64(4_000..=12_000));
        let most = |rng: &mut Rng, most: f64| if healthy || rng.bool() { 0.0 } else { rng.f64() * most };
        let happenings = (0..rng.usize(5..=14)).map(|_| Happening::draw(rng, healthy, failover)).collect();
        Self {
            shards: rng.usize(1..=8),
            keys: rng.usize(1..=24),
            records: rng.usize(50..=400),
            pause: Duration::from_millis(rng.u64(100..=3_000)),
            failover,
            commit_every: Duration::from_millis(rng.u64(100..=2_000)),
            ordering: if rng.bool() { Ordering::PerShard } else { Ordering::per_key(4) },
            // Longer than a failover time now and then: a sink may take what it takes.
            slow: if rng.u8(..3) == 0 { failover.mul_f64(1.5) } else { Duration::from_millis(rng.u64(0..=800)) },
            fails: most(rng, 0.2),
            healthy,
            store: Odds {
                throttle: most(rng, 0.06),
                fail: most(rng, 0.06),
                delay: most(rng, 0.3),
                drop_reply: most(rng, 0.06),
                expire: most(rng, 0.003),
                max_delay: Duration::from_millis(1_500),
                ..Odds::none()
            },
            stale: most(rng, 0.3),
            happenings,
            seed: rng.u64(..),
            apart: rng.bool(),
        }
    }
}

impl Happening {
    fn draw(rng: &mut Rng, healthy: bool, failover: Duration) -> (Duration, Self) {
        let long = failover.mul_f64(0.2 + rng.f64() * 2.5);
        let happening = match rng.u8(..if healthy { 6 } else { 14 }) {
            0..=2 => Self::Start { knows_all: rng.u8(..3) > 0 },
            3 => Self::Stop,
            4 | 5 => Self::Reshard,
            6 => Self::Crash,
            7 => Self::CrashAll,
            8 | 9 => Self::StandStill(long),
            10 | 11 => Self::CutOff(long),
            12 => Self::StartKcl,
            _ => Self::CrashKcl,
        };
        (Duration::from_millis(rng.u64(0..=20_000)), happening)
    }
}
