//! Makes a sink of a closure that takes one record.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use super::{Delivery, Outcome, Outcomes, Sink};
use crate::error::{BoxError, Result};
use crate::record::Record;

/// Makes a sink of `f`, called for each record of a delivery in turn.
///
/// The closure returns nothing, a `Result` (an error means "try again") or an [`Outcome`] of its own. Once a record is
/// not delivered, the later ones of its partition key are left for the next attempt without being tried.
///
/// ```
/// use kinesis_core::{Outcome, handler};
/// let print = handler(|record| async move { println!("{record:?}") });
/// let parse = handler(|record| async move { std::str::from_utf8(&record.data).map(|text| println!("{text}")) });
/// let judge = handler(|record| async move {
///     if record.data.is_empty() { Outcome::rejected("the payload is empty") } else { Outcome::Delivered }
/// });
/// # let _ = (print, parse, judge);
/// ```
pub fn handler<F, Fut>(f: F) -> HandlerSink<F>
where
    F: Fn(Record) -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: IntoOutcome,
{
    HandlerSink { f }
}

/// A sink made of a closure by [`handler`].
pub struct HandlerSink<F> {
    f: F,
}

impl<F> fmt::Debug for HandlerSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerSink")
    }
}

#[async_trait]
impl<F, Fut> Sink for HandlerSink<F>
where
    F: Fn(Record) -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: IntoOutcome,
{
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let mut outcomes = Outcomes::delivered(delivery.len());
        let mut held: Vec<&Record> = Vec::new();
        for (nth, record) in delivery.records().enumerate() {
            let outcome = if held.iter().any(|before| before.partition_key == record.partition_key) {
                Outcome::Retry
            } else {
                (self.f)(record.clone()).await.into_outcome()
            };
            if outcome != Outcome::Delivered {
                held.push(record);
                outcomes.mark(nth, outcome);
            }
        }
        Ok(outcomes)
    }
}

/// What a handler's closure may return.
pub trait IntoOutcome: Send {
    /// The outcome it stands for.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Delivered
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl<T: IntoOutcome, E: Into<BoxError> + Send> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => {
                let error: BoxError = error.into();
                tracing::debug!(%error, "the handler failed");
                Outcome::Retry
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;
    use crate::shard::StreamId;
    use std::sync::Mutex;

    #[tokio::test]
    async fn a_failed_record_holds_the_rest_of_its_key_and_nobody_else() {
        static TRIED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let sink = handler(|record| async move {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            let failed = text == "a1";
            TRIED.lock().unwrap().push(text);
            if failed { Err("no") } else { Ok(()) }
        });
        let put = |n, key: &str, data: &'static str| Record::new(SequenceNumber::from(n), key, data);
        let records = vec![put(1u64, "a", "a1"), put(2, "b", "b1"), put(3, "a", "a2"), put(4, "b", "b2")];
        let delivery = Delivery::new(StreamId::new("s"), "0", "x", records);
        let outcomes: Vec<_> = sink.deliver(&delivery).await.unwrap().iter().cloned().collect();
        assert_eq!(outcomes, [Outcome::Retry, Outcome::Delivered, Outcome::Retry, Outcome::Delivered]);
        assert_eq!(*TRIED.lock().unwrap(), ["a1", "b1", "b2"]);
    }
}
