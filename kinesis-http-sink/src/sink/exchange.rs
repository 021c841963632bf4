//! One exchange: a message becomes a request, and what comes back is read whole and judged.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use kinesis_core::{Error, Outcome, Result, wall_clock};

use super::HttpSink;
use super::failure::Failure;
use super::health::{GONE, Sign};
use crate::connect::Progress;
use crate::format::Message;
use crate::reply::{self, Class, Said};
use crate::{WEBHOOK_ID, signature};

/// Room for the name of a record in the reply to a batch. A shard's name has up to 128 characters and a number of Kinesis
/// 56; a sub-number and what JSON needs are in it too.
const NAME: usize = 256;

/// A whole reply.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    said: Said,
}

/// What became of a message.
#[derive(Debug)]
pub(super) struct Posted {
    /// For all that was in it.
    pub(super) outcome: Outcome,
    pub(super) said: Said,
    /// Whether nothing else is to be sent at the moment either.
    pub(super) stops_all: bool,
}

impl Posted {
    /// Nothing is sent to the endpoint for so long.
    fn nothing(wait: Duration) -> Self {
        Self { outcome: Outcome::busy(Some(wait)), said: Said::default(), stops_all: true }
    }

    /// The record was refused, and is not asked about for so long.
    pub(super) fn refused(wait: Duration) -> Self {
        Self { stops_all: false, ..Self::nothing(wait) }
    }
}

impl HttpSink {
    /// Posts a message of so many records, once the endpoint can be asked, and waits for the whole reply. An error is an
    /// attempt that failed and why.
    pub(super) async fn post(&self, id: &str, message: &Message, records: usize) -> Result<Posted> {
        let pass = match self.health.enter().await {
            Ok(pass) => pass,
            Err(wait) => return Ok(Posted::nothing(wait)),
        };
        let failed = match tokio::time::timeout(self.timeout, self.exchange(id, message, records)).await {
            Ok(Ok(reply)) => {
                let status = reply.status;
                let (judged, sign) = self.judge(reply);
                self.counts.ended(judged.as_ref().map(|posted| &posted.outcome).map_err(drop), Some(status));
                pass.end(sign);
                return judged;
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut(self.timeout),
        };
        pass.end(Sign::Silent);
        self.counts.ended(Err(()), None);
        Err(failed.into_error(&self.endpoint))
    }

    /// What is to be said of one record that was posted: whether a refusal is final.
    pub(super) fn settled(&self, id: &str, posted: Outcome) -> Outcome {
        match posted {
            Outcome::Delivered => self.refusals.delivered(id),
            Outcome::Rejected { reason } => match self.refusals.refused(id) {
                None => return Outcome::Rejected { reason },
                Some(delay) => {
                    tracing::warn!(reason, ?delay, "refused; it will be asked again");
                    return Outcome::busy(Some(delay));
                }
            },
            _ => {}
        }
        posted
    }

    async fn exchange(&self, id: &str, message: &Message, records: usize) -> Result<Reply, Failure> {
        let answer = self.client.send(|| self.request(id, message)).await.map_err(Failure::Exchange)?;
        if answer.extensions().get::<Progress>().is_some_and(Progress::replied) {
            self.counts.reused();
        }
        let (head, body) = answer.into_parts();
        let (cap, keep) = if self.format.is_batched() {
            let cap = self.reply_cap.saturating_add(records.saturating_mul(NAME));
            (cap, cap)
        } else {
            (self.reply_cap, reply::EXCERPT)
        };
        let said = reply::drain(body, cap, keep).await.map_err(Failure::Body)?;
        Ok(Reply { status: head.status, headers: head.headers, said })
    }

    fn request(&self, id: &str, message: &Message) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.uri();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(WEBHOOK_ID, id_value(id));
        for (name, value) in &message.headers {
            headers.insert(name, value.clone());
        }
        signature::sign(&self.secrets, headers, &message.body);
        request
    }

    /// What a reply means for all that was posted, and what it says of the endpoint.
    fn judge(&self, reply: Reply) -> (Result<Posted>, Sign) {
        let answered = || format!("{} answered {}{}", self.endpoint, reply.status, reply::excerpt(&reply.said.text));
        let tried_again = |way_out: &str| Err(Error::transient(format!("{}{way_out}", answered())));
        match Class::of(reply.status) {
            Class::Conflict if !self.conflict_is_delivered => (tried_again(""), Sign::Well),
            Class::Delivered | Class::Conflict => {
                (Ok(Posted { outcome: Outcome::Delivered, said: reply.said, stops_all: false }), Sign::Well)
            }
            Class::Busy => {
                let pause = reply::retry_after(&reply.headers, wall_clock::now());
                let outcome = Outcome::busy(pause);
                (Ok(Posted { outcome, said: reply.said, stops_all: true }), Sign::Crowded { pause })
            }
            Class::Rejected => {
                let outcome = Outcome::rejected(answered());
                (Ok(Posted { outcome, said: reply.said, stops_all: false }), Sign::Well)
            }
            Class::Gone => {
                tracing::error!(reply = answered(), "the subscriber is gone: nothing more is sent until it is enabled");
                (Ok(Posted::nothing(GONE)), Sign::Gone)
            }
            Class::Unreached => (tried_again(""), Sign::Unreached),
            Class::Retry if reply.status.is_redirection() => {
                (tried_again("; redirects are not followed: give the address it leads to"), Sign::Failed)
            }
            Class::Retry => (tried_again(""), Sign::Failed),
        }
    }
}

/// The header value of a record's id. An id is plain text unless a source names its shards oddly; what a header cannot
/// carry is percent-encoded then, so that different ids stay different.
fn id_value(id: &str) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    // To the end in any case, which takes many bytes at once: nearly every id is plain.
    let id = if id.bytes().fold(true, |all, byte| all & plain(byte)) {
        Cow::Borrowed(id)
    } else {
        id.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    HeaderValue::from_str(&id).expect("visible ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_no_header_can_carry_are_percent_encoded() {
        assert_eq!(id_value("shardId-000000000000:495"), "shardId-000000000000:495");
        assert_eq!(id_value("a b\n%ü:1"), "a%20b%0A%25%C3%BC:1");
    }
}
