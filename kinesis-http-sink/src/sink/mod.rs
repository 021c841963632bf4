//! The sink for one subscriber: each record is one request, and each reply one outcome.

mod builder;
mod failure;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use kinesis_core::{Delivery, Entry, Error, Outcome, Outcomes, Result, Sink, wall_clock};
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::reply::{self, Class};
use crate::{WEBHOOK_ID, original};

pub use builder::HttpSinkBuilder;
use failure::Failure;

/// Posts records to one URL.
///
/// Each record is a request of its own. Records of one partition key follow one another in order, each after the reply
/// to the one before; different keys are posted side by side. Once a record is not delivered, the later ones of its key
/// in the same delivery are left for the next attempt without being sent.
///
/// # Replies
///
/// | status | outcome |
/// |---|---|
/// | 2xx | [`Delivered`](Outcome::Delivered) |
/// | 408, 425, 500, 502, 504, other 5xx | [`Retry`](Outcome::Retry) |
/// | 3xx | `Retry`: a redirect is a failure and never followed |
/// | 429, 503 | [`Busy`](Outcome::Busy), for as long as `Retry-After` asks (seconds or a date; 1 s to 1 h); the rest of the delivery waits too |
/// | 409 | `Retry`, or `Delivered` with [`conflict_is_delivered`](HttpSinkBuilder::conflict_is_delivered) |
/// | 400, 401, 403, 404, 405, 406, 410, 413, 415, 422, other 4xx, 501, 505 | [`Rejected`](Outcome::Rejected), with what the subscriber said |
/// | none: refused, reset, timed out, cut short, no such host | `Retry` |
///
/// A reply counts when it is whole: one whose body breaks off or does not end in time is none, whatever its status. Of
/// a body beyond the [cap](HttpSinkBuilder::reply_cap) the rest is not read, the connection is closed, and the status
/// counts.
///
/// When all records of a delivery are to be tried again, [`deliver`](Sink::deliver) returns the first failure as its
/// error, so that whoever watches the pipeline reads the reason.
#[derive(Debug)]
pub struct HttpSink {
    endpoint: Endpoint,
    client: Client,
    /// What every request carries. Holds a placeholder for the record's id, so that setting it moves nothing.
    headers: HeaderMap,
    timeout: Duration,
    reply_cap: usize,
    conflict_is_delivered: bool,
    concurrency: NonZeroUsize,
    /// Requests in flight over all deliveries of this sink.
    permits: Semaphore,
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

    /// Posts one record. An error is an attempt that failed and why.
    async fn post(&self, entry: &Entry<'_>) -> Result<Outcome> {
        let _permit =
            self.permits.acquire().await.expect("the semaphore lives as long as the sink and is never closed");
        let exchange = tokio::time::timeout(self.timeout, self.exchange(entry));
        let failed = match exchange.await {
            Ok(Ok(reply)) => return self.judge(&reply),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut(self.timeout),
        };
        Err(failed.into_error(&self.endpoint))
    }

    /// One request and the whole of its reply.
    async fn exchange(&self, entry: &Entry<'_>) -> Result<Reply, Failure> {
        let id = id_value(entry.id());
        let answer = self.client.send(|| self.request(entry, id.clone())).await.map_err(Failure::Exchange)?;
        let (head, body) = answer.into_parts();
        let said = reply::drain(body, self.reply_cap).await.map_err(Failure::Body)?;
        Ok(Reply { status: head.status, headers: head.headers, said })
    }

    fn request(&self, entry: &Entry<'_>, id: HeaderValue) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(original::encode(entry.channel(), entry)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.uri();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(WEBHOOK_ID, id);
        request
    }

    fn judge(&self, reply: &Reply) -> Result<Outcome> {
        let answered = || format!("{} answered {}{}", self.endpoint, reply.status, reply::excerpt(&reply.said));
        match Class::of(reply.status) {
            Class::Delivered => Ok(Outcome::Delivered),
            Class::Conflict if self.conflict_is_delivered => Ok(Outcome::Delivered),
            Class::Busy => Ok(Outcome::busy(reply::retry_after(&reply.headers, wall_clock::now()))),
            // What is refused is refused for good for now. Refusals are often a mistake of the subscriber that is soon
            // mended; the place for trying them a few times more, slowly, is here.
            Class::Rejected => Ok(Outcome::rejected(answered())),
            Class::Retry if reply.status.is_redirection() => {
                let way_out = "redirects are not followed: give the address it leads to";
                Err(Error::transient(format!("{} answered {}; {way_out}", self.endpoint, reply.status)))
            }
            Class::Retry | Class::Conflict => Err(Error::transient(answered())),
        }
    }

    /// Posts records of one key, in order, until one is not delivered.
    async fn post_in_order<'a>(&self, records: Vec<(usize, Entry<'a>)>, pause: &OnceLock<Outcome>) -> Option<Held> {
        let mut records = records.into_iter();
        while let Some((nth, entry)) = records.next() {
            let outcome = match pause.get() {
                Some(busy) => Ok(busy.clone()),
                None => self.post(&entry).await,
            };
            if let Ok(Outcome::Delivered) = outcome {
                continue;
            }
            if let Ok(busy @ Outcome::Busy { .. }) = &outcome {
                pause.get_or_init(|| busy.clone());
            }
            if let Err(error) = &outcome {
                tracing::debug!(id = entry.id(), error = error.chain(), "not delivered");
            }
            return Some(Held { nth, outcome, behind: records.map(|(nth, _)| nth).collect() });
        }
        None
    }
}

/// A whole reply.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// How its body begins.
    said: Vec<u8>,
}

/// A record that was not delivered, and those of its key that wait behind it.
struct Held {
    nth: usize,
    outcome: Result<Outcome>,
    behind: Vec<usize>,
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        // Most deliveries are one record, and need no grouping.
        if let (1, Some(entry)) = (delivery.len(), delivery.iter().next()) {
            return Ok(Outcomes::all(1, self.post(&entry).await?));
        }
        let pause = OnceLock::new();
        let mut held: Vec<Held> = Vec::new();
        let mut waiting = by_key(delivery).into_iter();
        let start = |records| self.post_in_order(records, &pause);
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(self.concurrency.get()).map(start).collect();
        while let Some(stopped) = running.next().await {
            held.extend(stopped);
            running.extend(waiting.next().map(start));
        }
        // In the order of the delivery, so that the first failure does not depend on who answered first.
        held.sort_unstable_by_key(|held| held.nth);

        let mut outcomes = Outcomes::delivered(delivery.len());
        let mut first_failure = None;
        for Held { nth, outcome, behind } in held {
            let outcome = outcome.unwrap_or_else(|error| {
                first_failure.get_or_insert(error);
                Outcome::Retry
            });
            // Those behind were not sent. Where the subscriber asked for a pause, that is no attempt either.
            let rest = if matches!(outcome, Outcome::Busy { .. }) { outcome.clone() } else { Outcome::Retry };
            outcomes.mark(nth, outcome);
            for nth in behind {
                outcomes.mark(nth, rest.clone());
            }
        }
        match first_failure {
            Some(error) if outcomes.iter().all(|outcome| *outcome == Outcome::Retry) => Err(error),
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

/// The header value of a record's id. An id is plain text unless a source names its shards oddly; what a header cannot
/// carry is percent-encoded then, so that different ids stay different.
fn id_value(id: String) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    let id = if id.bytes().all(plain) {
        id
    } else {
        id.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    HeaderValue::from_maybe_shared(Bytes::from(id)).expect("visible ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_no_header_can_carry_are_percent_encoded() {
        assert_eq!(id_value("shardId-000000000000:495".to_owned()), "shardId-000000000000:495");
        assert_eq!(id_value("a b\n%ü:1".to_owned()), "a%20b%0A%25%C3%BC:1");
    }
}
