//! Sinks that break a rule.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use kinesis_core::{Delivery, Outcome, Outcomes, Record, Result, Sink};
use tokio::task::yield_now;

super::flaws! {
    /// What is wrong with a [`BrokenSink`].
    SinkFlaw {
        /// The last record has no outcome.
        ForgetsTheLast => "N1",
        /// No record has an outcome too.
        AnswersForNothing => "N2",
        /// A delivery that comes again is rejected.
        RejectsRepeats => "N3",
        /// Records arrive in reverse.
        ReversesOrder => "N4",
        /// The first record is left for another attempt, and those behind it are delivered.
        Overtakes => "N4",
        /// What is answered as delivered waits in memory for the next delivery.
        AnswersTooEarly => "N5",
        /// A delivery is answered as the one before it that was dropped.
        AnswersForAnother => "N6",
    }
}

/// A sink that works but for one flaw.
#[derive(Debug)]
pub struct BrokenSink<S> {
    inner: S,
    flaw: SinkFlaw,
    seen: Mutex<BTreeSet<String>>,
    waiting: Mutex<Option<Delivery>>,
    unanswered: AtomicBool,
}

impl<S> BrokenSink<S> {
    /// Breaks `inner`.
    pub fn new(inner: S, flaw: SinkFlaw) -> Self {
        Self { inner, flaw, seen: Mutex::default(), waiting: Mutex::default(), unanswered: AtomicBool::new(false) }
    }
}

#[async_trait]
impl<S: Sink> Sink for BrokenSink<S> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let len = delivery.len();
        match self.flaw {
            SinkFlaw::ForgetsTheLast => {
                let outcomes = self.inner.deliver(delivery).await?;
                Ok(outcomes.iter().take(len.saturating_sub(1)).cloned().collect())
            }
            SinkFlaw::AnswersForNothing if len == 0 => Ok(Outcomes::delivered(1)),
            SinkFlaw::RejectsRepeats => {
                let new = self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(delivery.id());
                if new { self.inner.deliver(delivery).await } else { Ok(Outcomes::all(len, Outcome::rejected("seen"))) }
            }
            SinkFlaw::ReversesOrder => {
                let mut records: Vec<Record> = delivery.records().cloned().collect();
                records.reverse();
                let mut outcomes: Vec<Outcome> =
                    self.inner.deliver(&of(delivery, records)).await?.iter().cloned().collect();
                outcomes.reverse();
                Ok(outcomes.into_iter().collect())
            }
            SinkFlaw::Overtakes if len > 1 => {
                self.inner.deliver(&of(delivery, delivery.records().skip(1).cloned().collect())).await?;
                let mut outcomes = Outcomes::delivered(len);
                outcomes.mark(0, Outcome::Retry);
                Ok(outcomes)
            }
            SinkFlaw::AnswersTooEarly => {
                let before = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).replace(delivery.clone());
                if let Some(before) = before {
                    self.inner.deliver(&before).await?;
                }
                Ok(Outcomes::delivered(len))
            }
            SinkFlaw::AnswersForAnother => {
                if self.unanswered.swap(true, Ordering::Relaxed) {
                    self.unanswered.store(false, Ordering::Relaxed);
                    return Ok(Outcomes::delivered(len));
                }
                yield_now().await;
                let outcomes = self.inner.deliver(delivery).await;
                self.unanswered.store(false, Ordering::Relaxed);
                outcomes
            }
            _ => self.inner.deliver(delivery).await,
        }
    }
}

/// The same delivery with other records.
fn of(delivery: &Delivery, records: Vec<Record>) -> Delivery {
    Delivery::new(delivery.stream().clone(), delivery.shard().clone(), delivery.subscription().clone(), records)
}
