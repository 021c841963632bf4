//! The sink for one subscriber: each record is one request and each reply one outcome, or each delivery where its format
//! sends it whole.

mod batch;
mod builder;
mod exchange;
mod failure;
mod health;
mod refusals;
mod status;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::HeaderMap;
use kinesis_core::{Delivery, Entry, Outcome, Outcomes, Result, Sink};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::format::{Format, Named};
use crate::signature::Secret;

pub use builder::HttpSinkBuilder;
use exchange::Posted;
use health::Health;
use refusals::Refusals;
use status::Counts;
pub use status::{BreakerState, RequestCount, SinkStatus};

/// Posts records to one URL.
///
/// Each record is a request of its own, unless the [format](HttpSinkBuilder::format) sends deliveries whole. Records of one partition key follow one another in order, each after the reply
/// to the one before; different keys are posted side by side. Once a record is not delivered, the later ones of its key
/// in the same delivery are left for the next attempt without being sent, and are not charged for this one.
///
/// # Replies
///
/// | status | outcome |
/// |---|---|
/// | 2xx | [`Delivered`](Outcome::Delivered) |
/// | 408, 425, 500, 502, 504, other 5xx | [`Retry`](Outcome::Retry) |
/// | 410 | `Busy`: [nothing more is sent](Self::is_gone) until it is [enabled](Self::enable), or the process starts anew |
/// | 3xx | `Retry`: a redirect is a failure and never followed |
/// | 429, 503 | [`Busy`](Outcome::Busy), for as long as `Retry-After` asks (seconds or a date; 1 s to 1 h); the rest of the delivery waits too |
/// | 409 | `Retry`, or `Delivered` with [`conflict_is_delivered`](HttpSinkBuilder::conflict_is_delivered) |
/// | 400, 401, 403, 404, 405, 406, 413, 415, 422, other 4xx, 501, 505 | [`Rejected`](Outcome::Rejected), with what the subscriber said, after it was [asked again](HttpSinkBuilder::ask_again) in vain |
/// | none: refused, reset, timed out, cut short, no such host | `Retry` |
///
/// # The endpoint
///
/// What a reply says of the endpoint counts for all requests to it:
///
/// - **A pause** that it asks for is kept for every record, of every shard.
/// - **The requests in flight** begin at 4, become more while all of that is used and replies come, and half as many on 429,
///   503, 502, 504 and without a reply; from 1 to [`concurrency`](HttpSinkBuilder::concurrency).
/// - **A breaker** opens when 5 requests one after another have no whole reply, or half of at least 10 within 30 s fail:
///   nothing is sent for 5 s, then one request asks, and the wait doubles up to 5 min until it is answered. It can be
///   [left out](HttpSinkBuilder::without_breaker).
///
/// What is not sent for one of these, or for a 410, is `Busy`, which is no attempt: nothing is given up because its endpoint
/// is away, unless it is away for the subscription's [`max_age`](kinesis_core::RetryPolicy::max_age), 24 h by default. With
/// [`OnReject::Halt`](kinesis_core::OnReject::Halt) the subscription stands still then, and its cursor with it.
///
/// # What a reply is
///
/// A reply counts when it is whole: one whose body breaks off or does not end in time is none, whatever its status. Of
/// a body beyond the [cap](HttpSinkBuilder::reply_cap) the rest is not read and the status counts; its connection is closed,
/// or over HTTP/2 its stream.
///
/// The reply to a batch may name those of its records that failed, as `batchItemFailures`. One that is empty, is no JSON,
/// or does not have that member is a success. One that names records in a way that is not understood, or that is cut at the
/// cap and may have named some, is none: all of the batch is tried again.
///
/// When all records of a delivery are to be tried again, [`deliver`](Sink::deliver) returns the first failure as its
/// error, so that whoever watches the pipeline reads the reason.
#[derive(Debug)]
pub struct HttpSink {
    endpoint: Endpoint,
    client: Client,
    format: Format,
    /// The keys that sign, newest first.
    secrets: Vec<Secret>,
    /// What every request carries. Holds a placeholder for the record's id, so that setting it moves nothing.
    headers: HeaderMap,
    timeout: Duration,
    reply_cap: usize,
    conflict_is_delivered: bool,
    /// The most requests in flight.
    concurrency: NonZeroUsize,
    health: Health,
    counts: Counts,
    refusals: Refusals,
}

impl HttpSink {
    /// A sink for `url` with the defaults of [`HttpSinkBuilder`].
    ///
    /// # Errors
    ///
    /// As [`HttpSinkBuilder::build`]. No connection is made yet.
    pub fn new(url: &str) -> Result<Self> {
        Self::builder(url).build()
    }

    /// A sink for `url` to configure.
    pub fn builder(url: &str) -> HttpSinkBuilder {
        HttpSinkBuilder::new(url)
    }

    /// How the endpoint is at the moment, and what the requests to it have come to so far.
    #[must_use]
    pub fn status(&self) -> SinkStatus {
        SinkStatus {
            requests: self.counts.requests(),
            reused_connections: self.counts.reused_connections(),
            ..self.health.status()
        }
    }

    /// Whether the subscriber has answered 410: then nothing is sent to it, and its records wait, for `max_age` at most.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.health.is_gone()
    }

    /// Sends to a subscriber again that has answered 410. What waits for it is tried within the hour, or at once after its
    /// subscription was paused and resumed.
    pub fn enable(&self) {
        self.health.enable();
    }

    /// Posts one record. An error is an attempt that failed and why.
    async fn post_one(&self, delivery: &Delivery, entry: &Entry<'_>) -> Result<Posted> {
        let record = Named::of(delivery, *entry);
        if let Some(wait) = self.refusals.wait(record.id()) {
            return Ok(Posted::refused(wait));
        }
        let mut posted = self.post(record.id(), &self.format.message(delivery, &record), 1).await?;
        posted.outcome = self.settled(record.id(), posted.outcome);
        Ok(posted)
    }

    /// Posts records of one key, in order, until one is not delivered.
    async fn post_in_order<'a>(
        &self,
        delivery: &Delivery,
        records: Vec<(usize, Entry<'a>)>,
        pause: &OnceLock<Outcome>,
    ) -> Option<Held> {
        let mut records = records.into_iter();
        while let Some((nth, entry)) = records.next() {
            let outcome = match pause.get() {
                Some(busy) => Ok(busy.clone()),
                None => self.post_one(delivery, &entry).await.map(|posted| {
                    if posted.stops_all {
                        pause.get_or_init(|| posted.outcome.clone());
                    }
                    posted.outcome
                }),
            };
            if let Ok(Outcome::Delivered) = outcome {
                continue;
            }
            if let Err(error) = &outcome {
                tracing::debug!(id = entry.id(), error = error.chain(), "not delivered");
            }
            return Some(Held { nth, outcome, behind: records.map(|(nth, _)| nth).collect() });
        }
        None
    }
}

/// What is said of a record that has to come again because of one before it: that is no attempt.
const BEHIND: Outcome = Outcome::busy(Some(Duration::ZERO));

/// A record that was not delivered, and those of its key that wait behind it.
struct Held {
    nth: usize,
    outcome: Result<Outcome>,
    behind: Vec<usize>,
}

impl Held {
    /// The wait of one that is to wait; none in it where its length is left open.
    fn busy(&self) -> Option<Option<Duration>> {
        match &self.outcome {
            Ok(Outcome::Busy { after }) => Some(*after),
            _ => None,
        }
    }
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        if self.format.is_batched() && !delivery.is_empty() {
            return self.post_batch(delivery).await;
        }
        // Most deliveries are one record, and need no grouping.
        if let (1, Some(entry)) = (delivery.len(), delivery.iter().next()) {
            return Ok(Outcomes::all(1, self.post_one(delivery, &entry).await?.outcome));
        }
        let pause = OnceLock::new();
        let mut held: Vec<Held> = Vec::new();
        let mut waiting = by_key(delivery).into_iter();
        let start = |records| self.post_in_order(delivery, records, &pause);
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(self.concurrency.get()).map(start).collect();
        while let Some(stopped) = running.next().await {
            held.extend(stopped);
            running.extend(waiting.next().map(start));
        }
        // In the order of the delivery, so that the first failure does not depend on who answered first.
        held.sort_unstable_by_key(|held| held.nth);
        // One wait is kept for all of a delivery, and so the shortest: who comes early is not sent, and told the rest.
        let shortest = held.iter().filter_map(Held::busy).min();

        let mut outcomes = Outcomes::delivered(delivery.len());
        let mut first_failure = None;
        for Held { nth, outcome, behind } in held {
            let outcome = match (outcome, shortest) {
                (Ok(Outcome::Busy { .. }), Some(after)) => Outcome::busy(after),
                (Ok(outcome), _) => outcome,
                (Err(error), _) => {
                    first_failure.get_or_insert(error);
                    Outcome::Retry
                }
            };
            // Those behind were not sent, which is no attempt. A pause that the subscriber asked for is theirs too.
            let rest = if matches!(outcome, Outcome::Busy { .. }) { outcome.clone() } else { BEHIND };
            outcomes.mark(nth, outcome);
            for nth in behind {
                outcomes.mark(nth, rest.clone());
            }
        }
        match first_failure {
            Some(error) if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Retry) || *outcome == BEHIND) => {
                Err(error)
            }
            _ => Ok(outcomes),
        }
    }
}

/// The records of each partition key with their places in the delivery; keys in the order they first appear.
fn by_key(delivery: &Delivery) -> Vec<Vec<(usize, Entry<'_>)>> {
    let mut groups: Vec<Vec<(usize, Entry<'_>)>> = Vec::new();
    let mut group_of: HashMap<&str, usize> = HashMap::new();
    for (nth, entry) in delivery.iter().enumerate() {
        let group = *group_of.entry(entry.record().partition_key.as_str()).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push((nth, entry));
    }
    groups
}
