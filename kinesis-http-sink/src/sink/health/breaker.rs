//! The breaker: an endpoint that fails and fails is left alone, and asked by one request at a time whether it is well again.

use std::time::Duration;

use tokio::time::Instant;

use super::super::status::BreakerState;
use super::Sign;

/// The breaker opens when half of the replies of this long were failures,
const WINDOW: Duration = Duration::from_secs(30);
/// of at least so many,
const ENOUGH: u32 = 10;
/// or when so many requests one after another had no reply at all.
const SILENT: u32 = 5;
/// It stays open so long at first, doubled each time that it was in vain, up to the longest.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// While one request asks whether the endpoint is well, others wait so long before they look again.
const PROBED: Duration = Duration::from_secs(1);
/// The window moves on in steps of a tenth.
const STEPS: usize = 10;

/// The state of a breaker. Pure: it is given the time, and neither waits nor reads a clock.
#[derive(Debug)]
pub(super) struct Breaker {
    stand: Stand,
    /// Replies and failures, step by step.
    window: [(u32, u32); STEPS],
    /// When the first step of all began, and how many have gone by.
    began: Option<Instant>,
    step: u64,
    silent: u32,
    open_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Closed,
    Open {
        until: Instant,
    },
    /// One request is under way to ask.
    Probed,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { stand: Stand::Closed, window: [(0, 0); STEPS], began: None, step: 0, silent: 0, open_for: FIRST }
    }

    /// How long nothing is to be sent; none where something may.
    pub(super) fn closed_for(&self, now: Instant) -> Option<Duration> {
        match self.stand {
            Stand::Closed => None,
            Stand::Open { until } => Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero()),
            Stand::Probed => Some(PROBED),
        }
    }

    /// What it does. Once its wait is over, the next request asks.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.stand {
            Stand::Closed => BreakerState::Closed,
            Stand::Open { until } if until > now => BreakerState::Open,
            Stand::Open { .. } | Stand::Probed => BreakerState::Probing,
        }
    }

    /// Lets a request through, and says whether it is the one that asks.
    pub(super) fn enter(&mut self, now: Instant) -> Result<bool, Duration> {
        if let Some(wait) = self.closed_for(now) {
            return Err(wait);
        }
        let is_probe = self.stand != Stand::Closed;
        if is_probe {
            self.stand = Stand::Probed;
        }
        Ok(is_probe)
    }

    /// A request is over.
    pub(super) fn ended(&mut self, is_probe: bool, sign: Sign, now: Instant) {
        let is_failure = match sign {
            Sign::Well | Sign::Gone => false,
            Sign::Failed | Sign::Unreached | Sign::Silent => true,
            // Who asks for a pause is alive, and gets it otherwise.
            Sign::Crowded { .. } => {
                if is_probe {
                    self.close();
                }
                return;
            }
        };
        match (is_probe, self.stand) {
            (true, _) if is_failure => {
                self.open_for = (self.open_for * 2).min(LONGEST);
                self.open(now);
            }
            (true, _) => self.close(),
            // What began before it opened says nothing new.
            (false, Stand::Open { .. } | Stand::Probed) => {}
            (false, Stand::Closed) => {
                self.count(is_failure, now);
                self.silent = if sign == Sign::Silent { self.silent + 1 } else { 0 };
                let (replies, failures) =
                    self.window.iter().fold((0, 0), |(all, failed), step| (all + step.0, failed + step.1));
                if self.silent >= SILENT || replies >= ENOUGH && failures * 2 >= replies {
                    self.open(now);
                }
            }
        }
    }

    /// The request that asked was given up before its reply: the next one asks.
    pub(super) fn probe_is_lost(&mut self) {
        if let (Stand::Probed, Some(began)) = (self.stand, self.began) {
            self.stand = Stand::Open { until: began };
        }
    }

    fn open(&mut self, now: Instant) {
        self.stand = Stand::Open { until: now + self.open_for };
    }

    fn close(&mut self) {
        *self = Self::new();
    }

    fn count(&mut self, is_failure: bool, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let length = WINDOW / STEPS as u32;
        let step = (now.saturating_duration_since(began).as_millis() / length.as_millis()) as u64;
        for gone_by in (self.step + 1..=step).take(STEPS) {
            self.window[gone_by as usize % STEPS] = (0, 0);
        }
        self.step = self.step.max(step);
        let (replies, failures) = &mut self.window[self.step as usize % STEPS];
        *replies += 1;
        *failures += u32::from(is_failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: Instant, millis: u64) -> Instant {
        now + Duration::from_millis(millis)
    }

    #[test]
    fn half_of_ten_failures_within_half_a_minute_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for nth in 0..10 {
            assert_eq!(breaker.enter(at(now, nth)), Ok(false), "{nth}");
            breaker.ended(false, if nth % 2 == 0 { Sign::Well } else { Sign::Failed }, at(now, nth));
        }
        assert_eq!(breaker.closed_for(at(now, 9)), Some(FIRST));
    }

    #[test]
    fn failures_that_lie_further_apart_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for nth in 0..100 {
            breaker.ended(false, Sign::Failed, at(now, nth * 4_000));
            assert_eq!(breaker.closed_for(at(now, nth * 4_000)), None, "{nth}");
        }
    }

    #[test]
    fn silence_opens_it_sooner_and_the_wait_doubles_until_it_answers() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        (0..5).for_each(|_| breaker.ended(false, Sign::Silent, now));
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = breaker.closed_for(now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(breaker.enter(now), Ok(true));
            assert_eq!(breaker.enter(now), Err(PROBED));
            breaker.ended(true, Sign::Unreached, now);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
        now += LONGEST;
        assert_eq!(breaker.enter(now), Ok(true));
        breaker.ended(true, Sign::Well, now);
        assert_eq!(breaker.enter(now), Ok(false));
    }

    #[test]
    fn a_request_that_asked_and_was_given_up_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        (0..5).for_each(|_| breaker.ended(false, Sign::Silent, now));
        assert_eq!(breaker.enter(now + FIRST), Ok(true));
        breaker.probe_is_lost();
        assert_eq!(breaker.enter(now + FIRST), Ok(true));
    }
}
