//! Judges a sink's answer: which records are delivered, which go again, which have had their chances. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Holds;
use crate::broken::{self, Part};
use crate::error::Result;
use crate::retry::RetryPolicy;
use crate::sink::{Delivery, Outcome, Outcomes, Rejection};

/// What becomes of the records of one attempt; numbers are places in the delivery, ascending.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) delivered: Vec<usize>,
    pub(super) rejected: Vec<(usize, Rejection)>,
    pub(super) again: Vec<usize>,
    /// Why something goes again; `None` when it only waited behind another record.
    pub(super) failure: Option<Failure>,
    /// Whether what goes again should go in halves.
    pub(super) halve: bool,
}

impl Verdict {
    /// What is not settled yet, ascending.
    pub(super) fn left(&self) -> Vec<usize> {
        let mut left: Vec<usize> =
            self.rejected.iter().map(|(nth, _)| *nth).chain(self.again.iter().copied()).collect();
        left.sort_unstable();
        left
    }
}

#[derive(Debug)]
pub(super) enum Failure {
    /// Counts as an attempt.
    Attempt { reason: String },
    /// Does not.
    Busy { after: Option<Duration> },
}

/// By what an answer is judged.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a RetryPolicy,
    pub(super) holds: Holds,
    /// Since the first attempt.
    pub(super) age: Duration,
    pub(super) halved: bool,
}

impl Judge<'_> {
    /// `attempts` are counted on for the records that failed; `failures` is how often in a row this delivery failed
    /// before.
    pub(super) fn judge(
        &self,
        delivery: &Delivery,
        answer: &Result<Outcomes>,
        attempts: &mut [u32],
        failures: u32,
    ) -> Verdict {
        match answer {
            Ok(outcomes) => self.each(delivery, outcomes, attempts),
            Err(error) => self.whole(error.chain(), attempts, failures),
        }
    }

    /// Nothing is known about any record. In company a record is not charged for it: the poison may be another one.
    fn whole(&self, reason: String, attempts: &mut [u32], failures: u32) -> Verdict {
        let mut verdict = Verdict::default();
        let alone = attempts.len() == 1 || broken::is(Part::CompanyCharged);
        for (nth, attempts) in attempts.iter_mut().enumerate() {
            *attempts += u32::from(alone);
            if self.policy.is_exhausted(*attempts, self.age) {
                verdict.rejected.push((nth, self.exhausted(&reason, *attempts + u32::from(!alone))));
            } else {
                verdict.again.push(nth);
            }
        }
        // A half that fails is halved at once; a delivery that failed for the first time may have met a passing fault.
        verdict.halve = verdict.again.len() > 1 && (self.halved || failures + 1 >= self.policy.halve_after.get());
        verdict.failure = Some(Failure::Attempt { reason });
        verdict
    }

    fn each(&self, delivery: &Delivery, outcomes: &Outcomes, attempts: &mut [u32]) -> Verdict {
        let mut verdict = Verdict::default();
        let mut held = BTreeSet::new();
        let (mut failed, mut busy) = (0usize, None::<Option<Duration>>);
        for (nth, (outcome, key)) in outcomes.iter().zip(delivery.key_hashes()).enumerate() {
            let key = match self.holds {
                Holds::Shard => Some(0),
                Holds::Key => Some(key),
                Holds::Nothing => None,
            };
            if key.is_some_and(|key| held.contains(&key)) {
                verdict.again.push(nth);
                continue;
            }
            let exhausted = match outcome {
                Outcome::Delivered => {
                    verdict.delivered.push(nth);
                    continue;
                }
                Outcome::Rejected { reason } => {
                    let rejection = Rejection::new(reason.clone(), attempts[nth] + 1);
                    verdict.rejected.push((nth, rejection));
                    continue;
                }
                Outcome::Retry => {
                    failed += 1;
                    attempts[nth] += 1;
                    self.policy.is_exhausted(attempts[nth], self.age)
                }
                Outcome::Busy { after } => {
                    // One that only waits behind another says nothing of the sink, and shortens no wait.
                    if *after != Some(Duration::ZERO) {
                        busy = busy.max(Some(*after));
                    }
                    self.age >= self.policy.max_age
                }
            };
            if exhausted {
                let last = if matches!(outcome, Outcome::Retry) { NOT_TAKEN } else { "the sink was busy" };
                verdict.rejected.push((nth, self.exhausted(last, attempts[nth])));
            } else {
                verdict.again.push(nth);
                held.extend(key.filter(|_| !broken::is(Part::HeldCharged)));
            }
        }
        verdict.failure = match (failed, busy) {
            (1.., _) => Some(Failure::Attempt { reason: format!("{NOT_TAKEN} ({failed} of {})", outcomes.len()) }),
            (0, Some(after)) => Some(Failure::Busy { after }),
            (0, None) if verdict.delivered.is_empty() && verdict.rejected.is_empty() => {
                Some(Failure::Busy { after: None })
            }
            (0, None) => None,
        };
        verdict
    }

    fn exhausted(&self, last: &str, attempts: u32) -> Rejection {
        let age = self.age.as_secs_f64();
        Rejection::new(format!("given up after {attempts} attempts in {age:.1} s: {last}"), attempts)
    }
}

const NOT_TAKEN: &str = "the sink did not take the record";

/// Which records of an answer are delivered.
pub(super) fn delivered(answer: &Result<Outcomes>) -> Vec<usize> {
    places(answer, |outcome| *outcome == Outcome::Delivered)
}

/// Which of `len` records are not.
pub(super) fn undelivered(answer: &Result<Outcomes>, len: usize) -> Vec<usize> {
    match answer {
        Ok(_) => places(answer, |outcome| *outcome != Outcome::Delivered),
        Err(_) => (0..len).collect(),
    }
}

fn places(answer: &Result<Outcomes>, wanted: impl Fn(&Outcome) -> bool) -> Vec<usize> {
    let outcomes = answer.as_ref().map(Outcomes::iter).into_iter().flatten();
    outcomes.enumerate().filter(|(_, outcome)| wanted(outcome)).map(|(nth, _)| nth).collect()
}
