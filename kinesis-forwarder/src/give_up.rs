//! Gives a dead subscriber up as a whole, so that not each of its records waits on its own for as long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{Delivery, Outcome, Outcomes, Result, Sink};
use tokio::time::Instant;

/// Hands records to a sink until that has failed, and done nothing else, for as long as one has patience. From then on
/// it rejects them at once, but for one try each time that long has passed again: a subscriber may come back.
#[derive(Debug)]
pub struct GiveUp<S> {
    sink: S,
    patience: Duration,
    watch: Mutex<Watch>,
}

/// What is known of the sink.
#[derive(Debug, Default)]
struct Watch {
    /// The first failure since the last sign of life.
    failing_since: Option<Instant>,
    /// When a sink that was given up gets its next try.
    next_try: Option<Instant>,
    /// The last failure.
    reason: String,
}

impl<S: Sink> GiveUp<S> {
    /// Watches `sink` and has this much patience with it.
    pub fn new(sink: S, patience: Duration) -> Self {
        Self { sink, patience, watch: Mutex::default() }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the sink is not tried now, if it is not.
    fn refusal(&self) -> Option<String> {
        let mut watch = self.watch();
        let now = Instant::now();
        if now < watch.next_try? {
            return Some(watch.reason.clone());
        }
        watch.next_try = Some(now + self.patience);
        None
    }

    /// Notes a failure, and says why the sink is given up if this was one too many.
    fn failed(&self, reason: &str) -> Option<String> {
        let mut watch = self.watch();
        let now = Instant::now();
        let down = now - *watch.failing_since.get_or_insert(now);
        if down < self.patience {
            return None;
        }
        watch.reason = format!("given up after {} s without success: {reason}", down.as_secs());
        watch.next_try = Some(now + self.patience);
        Some(watch.reason.clone())
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<Outcomes> {
        let result = self.sink.deliver(delivery).await;
        // A rejection is a sign of life too: somebody has read the record.
        let alive = |outcome: &Outcome| matches!(outcome, Outcome::Delivered | Outcome::Rejected { .. });
        let given_up = match &result {
            Err(error) => self.failed(&error.chain()),
            Ok(outcomes) if outcomes.is_empty() || outcomes.iter().any(alive) => {
                *self.watch() = Watch::default();
                None
            }
            Ok(_) => self.failed("the subscriber asks to try again later"),
        };
        match given_up {
            Some(reason) => Ok(Outcomes::all(delivery.len(), Outcome::rejected(reason))),
            None => result,
        }
    }
}

#[async_trait]
impl<S: Sink> Sink for GiveUp<S> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        match self.refusal() {
            Some(reason) => Ok(Outcomes::all(delivery.len(), Outcome::rejected(reason))),
            None => self.attempt(delivery).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::{Error, Record, SequenceNumber, StreamId};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Answers what it is told to, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Moody {
        answer: Mutex<Option<Outcome>>,
        asked: AtomicU32,
    }

    #[async_trait]
    impl Sink for Moody {
        async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match self.answer.lock().unwrap().clone() {
                Some(outcome) => Ok(Outcomes::all(delivery.len(), outcome)),
                None => Err(Error::transient("connection refused")),
            }
        }
    }

    impl Moody {
        fn answer(&self, outcome: Outcome) {
            *self.answer.lock().unwrap() = Some(outcome);
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    fn watched() -> (Arc<Moody>, GiveUp<Arc<Moody>>) {
        let sink = Arc::new(Moody::default());
        (Arc::clone(&sink), GiveUp::new(sink, PATIENCE))
    }

    async fn deliver(sink: &impl Sink) -> Result<Outcome> {
        let record = Record::new(SequenceNumber::ZERO, "k", "");
        let outcomes = sink.deliver(&Delivery::new(StreamId::new("s"), "0", "x", vec![record])).await?;
        Ok(outcomes.get(0).unwrap().clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_sink_is_given_up_and_then_not_asked_for_each_record() {
        let (sink, watched) = watched();
        assert!(deliver(&watched).await.is_err());
        tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
        assert!(deliver(&watched).await.is_err());
        tokio::time::advance(Duration::from_millis(1)).await;
        let given_up = Outcome::rejected("given up after 10 s without success: connection refused");
        for _ in 0..1000 {
            assert_eq!(deliver(&watched).await.unwrap(), given_up);
        }
        assert_eq!(sink.asked(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_comes_back_is_found_at_the_next_try() {
        let (sink, watched) = watched();
        sink.answer(Outcome::busy(None));
        assert_eq!(deliver(&watched).await.unwrap(), Outcome::busy(None));
        tokio::time::advance(PATIENCE).await;
        assert!(matches!(deliver(&watched).await.unwrap(), Outcome::Rejected { .. }));
        sink.answer(Outcome::Delivered);
        assert!(matches!(deliver(&watched).await.unwrap(), Outcome::Rejected { .. }));
        tokio::time::advance(PATIENCE).await;
        assert_eq!(deliver(&watched).await.unwrap(), Outcome::Delivered);
        assert_eq!(deliver(&watched).await.unwrap(), Outcome::Delivered);
    }

    #[tokio::test(start_paused = true)]
    async fn any_sign_of_life_starts_the_patience_anew() {
        let (sink, watched) = watched();
        for sign in [Outcome::Delivered, Outcome::rejected("no such member")] {
            sink.answer(Outcome::Retry);
            assert_eq!(deliver(&watched).await.unwrap(), Outcome::Retry);
            tokio::time::advance(PATIENCE).await;
            sink.answer(sign.clone());
            assert_eq!(deliver(&watched).await.unwrap(), sign);
        }
        sink.answer(Outcome::Retry);
        assert_eq!(deliver(&watched).await.unwrap(), Outcome::Retry);
    }
}
