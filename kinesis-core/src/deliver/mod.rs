//! Delivers one batch until every record of it is settled: attempts, waits, halving, and what becomes of the rejected.
//!
//! This room knows neither lease nor feed nor lane. Whoever calls it learns through [`Report`]s which records are
//! settled, and when the rest has to wait.

mod attempt;
mod history;
mod line;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broken::{self, Part};
use crate::error::Result;
use crate::observe::{Event, Observer};
use crate::pipeline::OnReject;
use crate::retry::RetryPolicy;
use crate::signal::Signal;
use crate::sink::{Delivery, Outcomes, Rejection, Sink};

pub(crate) use history::History;

use line::{Lines, Work};
use verdict::{Failure, Judge, Verdict};

/// What a record that is not delivered holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Everything behind it.
    Shard,
    /// What is behind it of the same key.
    Key,
    /// Nothing.
    Nothing,
}

/// How a subscription's records are delivered.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) retry: RetryPolicy,
    pub(crate) on_reject: OnReject,
    pub(crate) holds: Holds,
    /// One permit an attempt, retries included: a sink never sees more at once than the subscription allows.
    pub(crate) turns: Semaphore,
    /// Calls back what waits, for another attempt or for a turn: somebody needs its memory, or nothing new may begin.
    pub(crate) recall: Signal,
    pub(crate) observer: Arc<dyn Observer>,
    /// Jitter is drawn from this and the record's place, so that a run can be replayed whatever order tasks run in.
    pub(crate) seed: u64,
}

/// How records were settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Delivered,
    DeadLettered,
    Skipped,
}

/// What the caller has to know while a delivery goes on.
#[derive(Debug)]
pub(crate) enum Report {
    /// These records are done for good.
    Settled(Delivery, Settled),
    /// The first attempt failed: these records have to wait, and hold what is behind them.
    Waiting(Delivery),
    /// An attempt failed; what the sink said.
    Failed(String),
    /// These records were called back unsettled, with what each has been through where it was tried. Nothing more comes.
    Returned(Delivery, Vec<Option<History>>),
    /// A record was rejected that may not be passed over. Nothing more comes.
    Halted(String),
}

/// Delivers `delivery`; returns when every record is settled, called back, or the subscription halted. `history` is of a
/// delivery of one record that was called back before.
///
/// # Cancel safety
///
/// Dropping it leaves the records that were not reported as settled undelivered, or delivered and unknown.
pub(crate) async fn deliver(
    terms: &Terms,
    delivery: Delivery,
    history: Option<History>,
    mut report: impl FnMut(Report) + Send,
) {
    let calls = terms.recall.given();
    let mut tried = None;
    // Who has to wait for a turn can be called back, like whoever waits for another attempt.
    if history.is_none()
        && let Some(turn) = attempt::turn_at_once(terms)
    {
        let (started, answer) = (Instant::now(), attempt::attempt(terms, &delivery).await);
        drop(turn);
        if is_delivered(&answer) {
            observe_delivered(terms, &delivery, started.elapsed());
            return report(Report::Settled(delivery, Settled::Delivered));
        }
        tried = Some((started, answer));
    }
    // Most deliveries have ended by now: what the others need besides is kept out of their tasks.
    Box::pin(go_on(terms, Lines::new(delivery, history), history, tried, calls, report)).await;
}

type Tried = (Instant, Result<Outcomes>);

fn is_delivered(answer: &Result<Outcomes>) -> bool {
    matches!(answer, Ok(outcomes) if outcomes.all_delivered())
}

/// Goes on with what was tried before: here, with this answer, or in an earlier delivery.
async fn go_on(
    terms: &Terms,
    mut lines: Lines,
    history: Option<History>,
    mut tried: Option<Tried>,
    calls: u64,
    mut report: impl FnMut(Report) + Send,
) {
    let mut rng = None;
    let mut first_tried = history.map(|history| history.first_tried);
    // What has a time to wait for waits from the beginning, and whoever brought it here knows.
    let mut waiting = history.is_some_and(|history| history.due.is_some());
    while let Some((mut line, work)) = lines.next() {
        let (started, answer) = if let Some(tried) = tried.take() {
            tried
        } else {
            // Waiting for a turn is neither an attempt nor part of a record's age.
            let ready = async {
                if let Some(due) = line.due {
                    sleep_until(due).await;
                }
                attempt::turn(terms).await
            };
            let turn = tokio::select! {
                biased;
                () = terms.recall.given_since(calls) => None,
                turn = ready => Some(turn),
            };
            let Some(_turn) = turn else {
                lines.put_back_first(line, work);
                for (delivery, histories) in lines.returned(first_tried) {
                    report(Report::Returned(delivery, histories));
                }
                return;
            };
            (Instant::now(), attempt::attempt(terms, &work.delivery).await)
        };
        line.due = None;
        let first_tried = *first_tried.get_or_insert(started);
        if is_delivered(&answer) {
            observe_delivered(terms, &work.delivery, started.elapsed());
            report(Report::Settled(work.delivery, Settled::Delivered));
            lines.put_back(line);
            continue;
        }

        let rng = rng.get_or_insert_with(|| {
            let place = work.delivery.offsets().next().unwrap_or_default();
            fastrand::Rng::with_seed(terms.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        });
        let mut work = work.with_attempts();
        let judge = Judge { policy: &terms.retry, holds: terms.holds, age: first_tried.elapsed(), halved: work.halved };
        let verdict = judge.judge(&work.delivery, &answer, &mut work.attempts, work.failures);
        tell_failure(terms, &work, &verdict, &mut report);
        if !verdict.delivered.is_empty() {
            let delivered = work.delivery.subset(&verdict.delivered);
            observe_delivered(terms, &delivered, started.elapsed());
            report(Report::Settled(delivered, Settled::Delivered));
        }
        if !std::mem::replace(&mut waiting, true) {
            report(Report::Waiting(work.delivery.subset(&verdict.left())));
        }
        if !verdict.rejected.is_empty() {
            let (nths, rejections): (Vec<usize>, Vec<Rejection>) = verdict.rejected.iter().cloned().unzip();
            let rejected = work.delivery.subset(&nths).without_neighbours();
            match dispose(terms, rejected, rejections, calls, rng, &mut report).await {
                Disposed::Settled => {}
                Disposed::Halted => return,
                Disposed::CalledBack(left) => {
                    let histories = left.iter().map(|entry| {
                        let attempts = entry.rejection().map_or(0, |rejection| rejection.attempts);
                        Some(History { attempts, failures: work.failures + 1, first_tried, due: None })
                    });
                    let histories = histories.collect();
                    report(Report::Returned(left, histories));
                }
            }
        }
        if !verdict.again.is_empty() {
            let wait = wait(terms, &work, &verdict, first_tried, rng);
            line.due = (!wait.is_zero()).then(|| Instant::now() + wait);
            work.push_rest(&verdict, &mut line);
        }
        lines.put_back_split(line, terms.holds);
    }
}

/// How long the line pauses before its next attempt.
fn wait(terms: &Terms, work: &Work, verdict: &Verdict, first_tried: Instant, rng: &mut fastrand::Rng) -> Duration {
    let wait = match &verdict.failure {
        // Only what waited behind another record is left: nothing says that the sink needs a pause.
        None => Duration::ZERO,
        Some(Failure::Busy { after: Some(after) }) => *after,
        Some(_) => terms.retry.wait(work.failures + 1, rng),
    };
    // Waiting beyond the age that is allowed would only put the end off.
    let wait = wait.min(terms.retry.max_age.saturating_sub(first_tried.elapsed()));
    if let Some(Failure::Busy { .. }) = &verdict.failure {
        terms.observer.on(&Event::SinkBusy {
            subscription: work.delivery.subscription().clone(),
            shard: work.delivery.shard().clone(),
            records: verdict.again.len(),
            wait,
        });
    }
    wait
}

fn observe_delivered(terms: &Terms, delivery: &Delivery, took: Duration) {
    terms.observer.on(&Event::Delivered {
        subscription: delivery.subscription().clone(),
        shard: delivery.shard().clone(),
        records: delivery.len(),
        took,
    });
}

fn tell_failure(terms: &Terms, work: &Work, verdict: &Verdict, report: &mut impl FnMut(Report)) {
    let Some(Failure::Attempt { reason }) = &verdict.failure else { return };
    let attempt = work.delivery.attempt();
    let records = verdict.again.len() + verdict.rejected.len();
    let (subscription, shard) = (work.delivery.subscription().clone(), work.delivery.shard().clone());
    tracing::debug!(%subscription, %shard, attempt, records, reason, "an attempt failed");
    terms.observer.on(&Event::AttemptFailed { subscription, shard, records, attempt, reason: reason.clone() });
    report(Report::Failed(reason.clone()));
}

/// What became of rejected records.
enum Disposed {
    Settled,
    Halted,
    /// These were not stored yet.
    CalledBack(Delivery),
}

/// Does with rejected records what the subscription wants. Dead letters are tried until they are stored: there is no
/// place left to give them up to, and the cursor waits.
async fn dispose(
    terms: &Terms,
    rejected: Delivery,
    rejections: Vec<Rejection>,
    calls: u64,
    rng: &mut fastrand::Rng,
    report: &mut impl FnMut(Report),
) -> Disposed {
    let reason = rejections.first().map(|rejection| rejection.reason.clone()).unwrap_or_default();
    let (subscription, shard) = (rejected.subscription().clone(), rejected.shard().clone());
    match &terms.on_reject {
        OnReject::Halt => {
            tracing::error!(%subscription, %shard, reason, "the subscription halts at a record it may not pass over");
            terms.observer.on(&Event::Halted { subscription, shard, reason: reason.clone() });
            report(Report::Halted(reason));
            return Disposed::Halted;
        }
        OnReject::Skip => {
            tracing::warn!(%subscription, %shard, records = rejected.len(), reason, "records are passed over");
            terms.observer.on(&Event::Skipped { subscription, shard, records: rejected.len(), reason });
            report(Report::Settled(rejected, Settled::Skipped));
        }
        OnReject::DeadLetter(letters) => {
            let mut left = rejected.with_rejections(rejections);
            let mut failures = 0;
            loop {
                let mut answer = attempt::guarded(letters.as_ref(), &left).await;
                if broken::is(Part::DeadLetterLost) {
                    answer = Ok(Outcomes::delivered(left.len()));
                }
                let stored = verdict::delivered(&answer);
                if !stored.is_empty() {
                    let stored = left.subset(&stored);
                    let event = Event::DeadLettered {
                        subscription: subscription.clone(),
                        shard: shard.clone(),
                        records: stored.len(),
                        reason: reason.clone(),
                    };
                    terms.observer.on(&event);
                    report(Report::Settled(stored, Settled::DeadLettered));
                }
                let rest = verdict::undelivered(&answer, left.len());
                if rest.is_empty() {
                    break;
                }
                failures += 1;
                let wait = terms.retry.wait(failures, rng);
                tracing::warn!(%subscription, %shard, records = rest.len(), ?wait, "dead letters could not be stored");
                left = left.subset(&rest);
                tokio::select! {
                    biased;
                    () = terms.recall.given_since(calls) => return Disposed::CalledBack(left),
                    () = sleep(wait) => {}
                }
            }
        }
    }
    Disposed::Settled
}

#[cfg(test)]
mod tests;
