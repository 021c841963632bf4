//! Sinks with a temper: they do everything that the contract allows, and tell the model what they really did.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use kinesis_core::{Delivery, Error, Ordering, Outcome, Outcomes, Record, Result, Sink};
use tokio::time::{Instant, sleep};

use super::model::Model;
use super::plan::{Dead, SubscriptionPlan, Temper};

/// A subscription's sink. Clones share their generator, so that every life draws on.
#[derive(Clone)]
pub(super) struct TemperedSink {
    of: usize,
    plan: SubscriptionPlan,
    model: Model,
    rng: Arc<Mutex<Rng>>,
    born: Instant,
    /// Which records are poison is drawn from this and their number.
    poison: u64,
}

/// What a call comes to.
enum Mood {
    Fail,
    Panic,
    Miscount,
    LoseReply,
    Busy(Option<Duration>),
    /// Each record is taken with these odds.
    Partial(f64),
    Hang,
    Take,
}

/// A call under way; it ends when it is answered or dropped.
struct Call<'a> {
    sink: &'a TemperedSink,
    delivery: &'a Delivery,
    nths: Vec<usize>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.sink.model.state().end(self.sink.of, self.delivery);
    }
}

impl TemperedSink {
    pub(super) fn new(of: usize, plan: &SubscriptionPlan, model: &Model, rng: &mut Rng) -> Self {
        let poison = rng.u64(..);
        Self {
            of,
            plan: plan.clone(),
            model: model.clone(),
            rng: Arc::new(Mutex::new(rng.fork())),
            born: Instant::now(),
            poison,
        }
    }

    /// Draws how long a call takes and what it comes to.
    fn mood(&self) -> (Duration, Mood) {
        let calm = self.model.state().is_calm();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let Temper { fails, panics, miscounts, loses_reply, busy, partial, hangs, slow, slowest, .. } =
            self.plan.temper;
        let takes = if rng.f64() < slow { slowest.mul_f64(rng.f64()) } else { Duration::ZERO };
        if calm {
            return (takes / 8, Mood::Take);
        }
        if let Some(dead) = self.plan.temper.dead.filter(|dead| self.is_dead(dead)) {
            return if dead.hangs { (Duration::ZERO, Mood::Hang) } else { (Duration::ZERO, Mood::Fail) };
        }
        let after = rng.bool().then(|| slowest.mul_f64(rng.f64()));
        let moods = [
            (fails, Mood::Fail),
            (panics, Mood::Panic),
            (miscounts, Mood::Miscount),
            (loses_reply, Mood::LoseReply),
            (busy, Mood::Busy(after)),
            (partial, Mood::Partial(rng.f64())),
            (hangs, Mood::Hang),
        ];
        let drawn = moods.into_iter().find(|(odds, _)| rng.f64() < *odds);
        (takes, drawn.map_or(Mood::Take, |(_, mood)| mood))
    }

    fn is_dead(&self, dead: &Dead) -> bool {
        dead.flaps.is_none_or(|period| (self.born.elapsed().as_nanos() / period.as_nanos()).is_multiple_of(2))
    }

    fn is_poison(&self, nth: usize) -> bool {
        let one_in = self.plan.temper.poison_one_in;
        one_in > 0 && Rng::with_seed(self.poison ^ nth as u64).u64(0..one_in) == 0
    }

    /// One outcome a record. A sink keeps order by the contract: what follows a record that it did not take, in the
    /// order of the subscription, it does not take either.
    fn outcomes<'a>(&self, delivery: &'a Delivery, nths: &[usize], taking: f64) -> Outcomes {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left: BTreeSet<&str> = BTreeSet::new();
        let mut answer = |record: &'a Record, nth: usize| {
            let key = match self.plan.ordering {
                Ordering::PerShard => Some(""),
                Ordering::PerKey { .. } => Some(&*record.partition_key),
                _ => None,
            };
            if key.is_some_and(|key| left.contains(key)) {
                return Outcome::Retry;
            }
            if self.is_poison(nth) {
                return Outcome::rejected("poison");
            }
            if rng.f64() < taking {
                return Outcome::Delivered;
            }
            left.extend(key);
            if rng.bool() { Outcome::Retry } else { Outcome::busy(None) }
        };
        delivery.records().zip(nths).map(|(record, nth)| answer(record, *nth)).collect()
    }
}

impl fmt::Debug for TemperedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemperedSink").field("of", &self.plan.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for TemperedSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let (nths, epoch) = {
            let mut state = self.model.state();
            (state.begin(self.of, delivery), state.epoch(self.of, delivery.shard()))
        };
        let call = Call { sink: self, delivery, nths };
        let nths = &call.nths;
        let (takes, mood) = self.mood();
        sleep(takes).await;
        let failed = |how| self.model.state().failed(self.of, (delivery.shard(), epoch), nths, how);
        let outcomes = match mood {
            Mood::Fail => {
                failed("an error");
                return Err(Error::transient("failed on purpose"));
            }
            Mood::Panic => {
                failed("a panic");
                // Unwinds without the message that a test would print.
                resume_unwind(Box::new("panicked on purpose"));
            }
            Mood::Miscount => {
                failed("too few outcomes");
                return Ok(Outcomes::delivered(nths.len() - 1));
            }
            Mood::LoseReply => {
                let sound: Vec<usize> = nths.iter().copied().filter(|nth| !self.is_poison(*nth)).collect();
                self.model.state().taken(self.of, &sound);
                failed("taken, but the answer is lost");
                return Err(Error::transient("the answer was lost on purpose"));
            }
            Mood::Hang => {
                self.model.line(format_args!("{} hangs with {nths:?}", self.plan.name));
                return std::future::pending().await;
            }
            Mood::Busy(after) => Outcomes::all(nths.len(), Outcome::busy(after)),
            Mood::Partial(taking) => self.outcomes(delivery, nths, taking),
            Mood::Take => self.outcomes(delivery, nths, 1.0),
        };
        self.model.state().answered(self.of, (delivery.shard(), epoch), nths, &outcomes);
        Ok(outcomes)
    }
}

/// Where a subscription's dead letters go; it fails at times, too.
#[derive(Clone)]
pub(super) struct Letters {
    of: usize,
    model: Model,
    rng: Arc<Mutex<Rng>>,
}

impl Letters {
    pub(super) fn new(of: usize, model: &Model, rng: &mut Rng) -> Self {
        Self { of, model: model.clone(), rng: Arc::new(Mutex::new(rng.fork())) }
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letters").field("of", &self.of).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Letters {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let mut state = self.model.state();
        let nths = state.dead_letters(self.of, delivery);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_calm() && rng.u8(..5) == 0 {
            return Err(Error::transient("the dead letters failed on purpose"));
        }
        let one_in = if state.is_calm() || rng.bool() { u8::MAX } else { 3 };
        let mut store = |nth: &usize| {
            if one_in != u8::MAX && rng.u8(..one_in) == 0 {
                return Outcome::Retry;
            }
            state.buried(self.of, *nth);
            Outcome::Delivered
        };
        Ok(nths.iter().map(&mut store).collect())
    }
}
