//! When to try again, and when to stop: full jitter between attempts, and bounds on attempts and age.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a subscription tries again what its sink did not take.
///
/// The wait before attempt n + 1 is drawn evenly from zero to `base * 2^(n-1)`, at most `cap`: "full jitter", which
/// keeps many waiters from coming back in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The bound of the first wait. Default 200 ms.
    pub base: Duration,
    /// The bound of every wait. Default 30 s.
    pub cap: Duration,
    /// How many attempts a record gets; `None` (the default) bounds it by age alone.
    pub attempts: Option<NonZeroU32>,
    /// How long a record is tried, from its first attempt in this process on. Default 24 h, a stream's usual retention.
    pub max_age: Duration,
    /// After how many failures in a row of a whole delivery it is halved. Default 2: one failure may have passed by.
    pub halve_after: NonZeroU32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            cap: Duration::from_secs(30),
            attempts: None,
            max_age: Duration::from_secs(24 * 60 * 60),
            halve_after: NonZeroU32::MIN.saturating_add(1),
        }
    }
}

impl RetryPolicy {
    /// The most that the wait after the `failures`th failure in a row can be; `failures` counts from 1.
    #[must_use]
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(32);
        self.base.saturating_mul(2u32.saturating_pow(doublings)).min(self.cap)
    }

    /// Draws the wait after the `failures`th failure in a row.
    #[must_use]
    pub fn wait(&self, failures: u32, rng: &mut fastrand::Rng) -> Duration {
        self.bound(failures).mul_f64(rng.f64())
    }

    /// Whether a record that was tried `attempts` times, first `age` ago, gets no further attempt.
    #[must_use]
    pub fn is_exhausted(&self, attempts: u32, age: Duration) -> bool {
        age >= self.max_age || self.attempts.is_some_and(|most| attempts >= most.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_wait_exceeds_its_bound_nor_the_cap(failures in 0..u32::MAX, seed in any::<u64>(), base in 0..10_000u64, cap in 0..100_000u64) {
            let policy = RetryPolicy {
                base: Duration::from_millis(base),
                cap: Duration::from_millis(cap),
                ..RetryPolicy::default()
            };
            let wait = policy.wait(failures, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait <= policy.bound(failures));
            prop_assert!(policy.bound(failures) <= policy.cap);
            prop_assert!(policy.bound(failures) <= policy.bound(failures.saturating_add(1)));
        }
    }

    #[test]
    fn bounds_double_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let bounds: Vec<u128> = (1..=10).map(|n| policy.bound(n).as_millis()).collect();
        assert_eq!(bounds, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn attempts_and_age_both_exhaust() {
        let policy = RetryPolicy { attempts: NonZeroU32::new(3), ..RetryPolicy::default() };
        assert!(!policy.is_exhausted(2, Duration::from_secs(1)));
        assert!(policy.is_exhausted(3, Duration::ZERO));
        assert!(policy.is_exhausted(1, policy.max_age));
        assert!(!RetryPolicy::default().is_exhausted(u32::MAX, Duration::from_secs(1)));
    }
}
