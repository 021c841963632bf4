//! One call of a sink, made safe: a panic is a failure, a wrong answer is one too.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use super::Terms;
use crate::broken::{self, Part};
use crate::error::{Error, Result};
use crate::sink::{Delivery, Outcomes, Sink};

/// Waits until the sink may be called once more at the same time.
pub(super) async fn turn(terms: &Terms) -> SemaphorePermit<'_> {
    terms.turns.acquire().await.expect("the semaphore of turns is never closed")
}

/// A turn, if the sink may be called once more at the same time now.
pub(super) fn turn_at_once(terms: &Terms) -> Option<SemaphorePermit<'_>> {
    terms.turns.try_acquire().ok()
}

/// Calls the subscription's sink.
pub(super) async fn attempt(terms: &Terms, delivery: &Delivery) -> Result<Outcomes> {
    let span = tracing::debug_span!(
        "deliver",
        subscription = %delivery.subscription(),
        shard = %delivery.shard(),
        records = delivery.len(),
    );
    guarded(terms.sink.as_ref(), delivery).instrument(span).await
}

/// Calls `sink` and holds it to its contract.
pub(super) async fn guarded(sink: &dyn Sink, delivery: &Delivery) -> Result<Outcomes> {
    let mut call = pin!(sink.deliver(delivery));
    let answer = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(panic) => {
            let said = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "without a message".to_owned());
            Poll::Ready(Err(Error::transient(format!("the sink panicked: {said}"))))
        }
    })
    .await?;
    if broken::is(Part::MiscountBelieved) && answer.len() < delivery.len() {
        return Ok(Outcomes::delivered(delivery.len()));
    }
    if answer.len() == delivery.len() {
        Ok(answer)
    } else {
        let (got, wanted) = (answer.len(), delivery.len());
        Err(Error::contract(format!(
            "the sink answered {got} outcomes for {wanted} records; it must answer one a record"
        )))
    }
}
