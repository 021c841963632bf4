//! How an endpoint is: whether it may be asked at the moment, and by how many requests at once.
//!
//! Every exchange begins with a [`Pass`] and ends by saying what came of it. A subscriber that asks for a pause is left alone
//! as a whole, not only for the record that it was asked with; one that fails is asked less, and then hardly at all, until it
//! answers again. What was not sent is [`Busy`](kinesis_core::Outcome::Busy), which is no attempt: no record is given up for
//! the state of its endpoint.

mod breaker;
mod concurrency;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kinesis_core::limit::{Limiter, Limits};
use tokio::time::Instant;

use breaker::Breaker;
use concurrency::{Concurrency, Slot};

use super::status::{BreakerState, SinkStatus};

/// How soon an endpoint that is gone is to be asked after: by whoever waits here, and in vain until it is enabled.
pub(super) const GONE: Duration = Duration::from_secs(60 * 60);

/// What an exchange says of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers, whatever it says of the record.
    Well,
    /// It asks for fewer requests, and perhaps for none for a time.
    Crowded { pause: Option<Duration> },
    /// It answers that it failed.
    Failed,
    /// It stands behind something that does not reach it.
    Unreached,
    /// There was no whole reply.
    Silent,
    /// It is not there any more, and wants nothing more.
    Gone,
}

/// The health of one endpoint.
#[derive(Debug)]
pub(super) struct Health {
    concurrency: Concurrency,
    rate: Option<Limiter>,
    gone: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    paused_until: Option<Instant>,
    breaker: Option<Breaker>,
}

/// Leave to send one request. Dropped without [`end`](Self::end), it says nothing of the endpoint.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    health: &'a Health,
    slot: Slot<'a>,
    is_probe: bool,
}

impl Health {
    /// An endpoint that may be asked by up to `most` requests at once and `rate` a second; with or without a breaker.
    pub(super) fn new(most: usize, rate: Option<NonZeroU32>, breaks: bool) -> Self {
        let limits = |calls_per_second| Limits {
            calls_per_second,
            bytes_per_second: std::num::NonZeroU64::MAX,
            ..Limits::kinesis_shard()
        };
        Self {
            concurrency: Concurrency::new(most),
            rate: rate.map(|rate| Limiter::new(limits(rate))),
            gone: AtomicBool::new(false),
            state: Mutex::new(State { paused_until: None, breaker: breaks.then(Breaker::new) }),
        }
    }

    /// Waits until there is room for a request. Where the endpoint is not to be asked at all, says for how long.
    ///
    /// # Cancel safety
    ///
    /// Dropping it takes no room and nothing of the rate.
    pub(super) async fn enter(&self) -> Result<Pass<'_>, Duration> {
        self.is_open()?;
        let mut slot = self.concurrency.enter().await;
        // The rate last: what it lets through is sent at once, and nobody saves up leave to send while places are taken.
        if let Some(rate) = &self.rate {
            self.is_open()?;
            rate.acquire().await;
        }
        // It may have become worse while this one waited.
        self.is_open()?;
        let mut state = self.state();
        let is_probe = match &mut state.breaker {
            Some(breaker) => breaker.enter(Instant::now())?,
            None => false,
        };
        drop(state);
        slot.begin();
        Ok(Pass { health: self, slot, is_probe })
    }

    /// Asks an endpoint again that had said that it is gone.
    pub(super) fn enable(&self) {
        self.gone.store(false, Ordering::Relaxed);
    }

    /// How it is at the moment; the requests are counted elsewhere.
    pub(super) fn status(&self) -> SinkStatus {
        let (in_flight, concurrency_limit) = self.concurrency.used();
        let now = Instant::now();
        let state = self.state();
        SinkStatus {
            in_flight,
            concurrency_limit,
            breaker: state.breaker.as_ref().map_or(BreakerState::Closed, |breaker| breaker.state(now)),
            paused_for: state.paused_until.map(|until| until.saturating_duration_since(now)).unwrap_or_default(),
            is_gone: self.is_gone(),
            requests: Vec::new(),
            reused_connections: 0,
        }
    }

    /// Whether the endpoint has said that it is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn is_open(&self) -> Result<(), Duration> {
        if self.is_gone() {
            return Err(GONE);
        }
        let now = Instant::now();
        let state = self.state();
        let pause = state.paused_until.map(|until| until.saturating_duration_since(now));
        let closed = state.breaker.as_ref().and_then(|breaker| breaker.closed_for(now));
        match pause.max(closed).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole at any time, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The exchange is over.
    pub(super) fn end(mut self, sign: Sign) {
        let now = Instant::now();
        match sign {
            Sign::Well => self.slot.went_well(),
            Sign::Crowded { .. } | Sign::Unreached | Sign::Silent => self.slot.was_crowded(now),
            Sign::Failed | Sign::Gone => {}
        }
        if sign == Sign::Gone {
            self.health.gone.store(true, Ordering::Relaxed);
        }
        let mut state = self.health.state();
        if let Sign::Crowded { pause: Some(pause) } = sign {
            state.paused_until = state.paused_until.max(Some(now + pause));
        }
        let is_probe = std::mem::take(&mut self.is_probe);
        if let Some(breaker) = &mut state.breaker {
            breaker.ended(is_probe, sign, now);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe
            && let Some(breaker) = &mut self.health.state().breaker
        {
            breaker.probe_is_lost();
        }
    }
}
