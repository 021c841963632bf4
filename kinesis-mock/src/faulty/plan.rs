//! Which call goes wrong, and how: by script, on demand, or drawn from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kinesis_core::Result;
use tokio::time::sleep;

use super::faults::{Call, Fault, Injected};

/// How likely each fault is, for each call that it suits, from 0 to 1. Their sum is at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// Of [`Fault::Throttle`], without a wait that is asked for.
    pub throttle: f64,
    /// Of [`Fault::Fail`].
    pub fail: f64,
    /// Of [`Fault::Delay`].
    pub delay: f64,
    /// Of [`Fault::Expire`].
    pub expire: f64,
    /// Of [`Fault::Short`].
    pub short: f64,
    /// Of [`Fault::Empty`].
    pub empty: f64,
    /// Of [`Fault::DropReply`].
    pub drop_reply: f64,
    /// Delays are drawn evenly from zero to this.
    pub max_delay: Duration,
}

impl Odds {
    /// No fault at all; delays, where they are given odds, of up to a second.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            throttle: 0.0,
            fail: 0.0,
            delay: 0.0,
            expire: 0.0,
            short: 0.0,
            empty: 0.0,
            drop_reply: 0.0,
            max_delay: Duration::from_secs(1),
        }
    }

    /// Every fault with the same odds; at most 1/7.
    #[must_use]
    pub const fn even(each: f64) -> Self {
        Self {
            throttle: each,
            fail: each,
            delay: each,
            expire: each,
            short: each,
            empty: each,
            drop_reply: each,
            ..Self::none()
        }
    }

    /// Draws at most one fault. Always the same number of draws, so that odds of one kind do not shift another's.
    fn draw(&self, rng: &mut fastrand::Rng) -> Option<Fault> {
        let delay = Fault::Delay(self.max_delay.mul_f64(rng.f64()));
        let mut point = rng.f64();
        let faults = [
            (self.throttle, Fault::Throttle { retry_after: None }),
            (self.fail, Fault::Fail),
            (self.delay, delay),
            (self.expire, Fault::Expire),
            (self.short, Fault::Short),
            (self.empty, Fault::Empty),
            (self.drop_reply, Fault::DropReply),
        ];
        faults
            .into_iter()
            .find(|(odds, _)| {
                point -= odds;
                point < 0.0
            })
            .map(|(_, fault)| fault)
    }
}

/// The faults of one or several [`Faulty`](super::Faulty) wrappers. Clones share the plan, its counts and its log.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    calls: BTreeMap<Call, u64>,
    script: BTreeMap<(Call, u64), Fault>,
    next: BTreeMap<Call, VecDeque<Fault>>,
    broken: BTreeSet<Call>,
    seeded: Option<(fastrand::Rng, Odds)>,
    injected: Vec<Injected>,
}

impl Faults {
    /// No faults, until some are added.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults drawn from a seed. The same seed and the same sequence of calls give the same faults.
    #[must_use]
    pub fn seeded(seed: u64, odds: Odds) -> Self {
        let faults = Self::none();
        faults.plan().seeded = Some((fastrand::Rng::with_seed(seed), odds));
        faults
    }

    /// Adds a fault to the `nth` call of a kind, counted from 1 since the plan was made.
    ///
    /// # Panics
    ///
    /// When the contract of `call` does not allow the fault.
    #[must_use]
    pub fn on(self, call: Call, nth: u64, fault: Fault) -> Self {
        check(call, fault);
        self.plan().script.insert((call, nth), fault);
        self
    }

    /// Adds a fault to the next call of a kind that has none yet.
    ///
    /// # Panics
    ///
    /// When the contract of `call` does not allow the fault.
    pub fn next(&self, call: Call, fault: Fault) {
        check(call, fault);
        self.plan().next.entry(call).or_default().push_back(fault);
    }

    /// Ends all faults: those of the script, those added, and the seed's. What is broken is whole again.
    pub fn stop(&self) {
        let mut plan = self.plan();
        plan.script.clear();
        plan.next.clear();
        plan.broken.clear();
        plan.seeded = None;
    }

    /// What was injected so far, in order.
    #[must_use]
    pub fn injected(&self) -> Vec<Injected> {
        self.plan().injected.clone()
    }

    /// How many calls of a kind there were.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.plan().calls.get(&call).copied().unwrap_or(0)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        // A test that panics while it holds the plan has failed already; the others may go on.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and says what goes wrong with it.
    pub(super) fn draw(&self, call: Call) -> Option<Injected> {
        let mut plan = self.plan();
        let nth = plan.calls.entry(call).or_default();
        *nth += 1;
        let nth = *nth;
        let drawn = plan.seeded.as_mut().and_then(|(rng, odds)| odds.draw(rng)).filter(|fault| fault.suits(call));
        let broken = plan.broken.contains(&call).then_some(Fault::Break);
        let fault = broken
            .or_else(|| plan.script.remove(&(call, nth)))
            .or_else(|| plan.next.get_mut(&call).and_then(VecDeque::pop_front))
            .or(drawn)?;
        if fault == Fault::Break {
            plan.broken.insert(call);
        }
        let injected = Injected { call, nth, fault };
        plan.injected.push(injected);
        Some(injected)
    }

    /// Makes a call that can only be late, fail, or lose its answer.
    pub(super) async fn around<T>(&self, call: Call, attempt: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match self.draw(call) {
            None => attempt.await,
            Some(Injected { fault: Fault::Delay(delay), .. }) => {
                sleep(delay).await;
                attempt.await
            }
            Some(injected @ Injected { fault: Fault::DropReply, .. }) => {
                attempt.await?;
                Err(injected.error())
            }
            Some(injected) => Err(injected.error()),
        }
    }
}

fn check(call: Call, fault: Fault) {
    assert!(fault.suits(call), "the contract of {call:?} does not allow {fault:?}; see `Fault::suits`");
}
