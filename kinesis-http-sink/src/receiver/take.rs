//! Events are taken: each by the callback of its channel, once, and as many at a time as there is room for.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use kinesis_core::Outcome;
use serde::Serialize;

use super::refusal::Refusal;
use super::seen::Met;
use super::{Event, Receiver};

/// When to come again to a channel that is full: its calls take milliseconds, mostly.
const FULL: Duration = Duration::from_secs(1);

impl Receiver {
    /// Takes an event, unless it was taken before.
    pub(super) async fn take(&self, event: Event) -> Result<StatusCode, Refusal> {
        let visit = match self.seen.meet(&event) {
            Met::New(visit) => visit,
            Met::Taken => return Ok(StatusCode::OK),
            Met::UnderWay => return Err(Refusal::new(StatusCode::CONFLICT, "the event is being taken already")),
        };
        let status = self.dispatch(event).await?;
        visit.taken();
        Ok(status)
    }

    /// Takes the events of a batch in order, and names those that failed. What comes behind one of these in its key was
    /// not tried.
    pub(super) async fn take_all(&self, events: Vec<Event>) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            batch_item_failures: Vec<Failure>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Failure {
            item_identifier: String,
        }
        let mut failed = Vec::new();
        let mut held_keys = HashSet::new();
        for event in events {
            let id = event.id.clone().unwrap_or_else(|| event.sequence_number.to_string());
            let key = event.partition_key.clone();
            if held_keys.contains(&key) || self.take(event).await.is_err() {
                failed.push(Failure { item_identifier: id });
                held_keys.insert(key);
            }
        }
        serde_json::to_string(&Reply { batch_item_failures: failed }).expect("a list of strings is always JSON")
    }

    /// Runs the callback of the event's channel.
    async fn dispatch(&self, event: Event) -> Result<StatusCode, Refusal> {
        let (channel, sequence_number) = (event.channel.clone(), event.sequence_number);
        let Some(taker) = self.channels.taker(&channel) else {
            return match self.accept_unknown {
                true => Ok(StatusCode::ACCEPTED),
                false => Err(Refusal::new(StatusCode::NOT_FOUND, format!("nobody takes the channel {channel:?}"))),
            };
        };
        let room = taker.room.as_ref().map(tokio::sync::Semaphore::try_acquire).transpose();
        let Ok(_room) = room else { return Err(Refusal::full(FULL)) };
        // A callback that panics leaves nothing of ours half-done: it owns its event.
        let outcome = AssertUnwindSafe(async { (taker.callback)(event).await }).catch_unwind().await;
        let failed = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the event could not be processed");
        let refusal = match outcome {
            Ok(Outcome::Delivered) => return Ok(StatusCode::OK),
            Ok(Outcome::Busy { after }) => Refusal::busy(after),
            Ok(Outcome::Rejected { reason }) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, reason),
            Ok(_) => failed(),
            Err(_) => {
                tracing::error!(%channel, %sequence_number, "the callback panicked");
                return Err(failed());
            }
        };
        tracing::warn!(%channel, %sequence_number, ?refusal, "the callback did not take the event");
        Err(refusal)
    }
}
