//! One exchange: a message becomes a request, and what comes back is read whole and judged.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use kinesis_core::{Error, Outcome, Result, wall_clock};

use super::HttpSink;
use super::failure::Failure;
use crate::format::Message;
use crate::reply::{self, Class};
use crate::{WEBHOOK_ID, signature};

/// A whole reply.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// Its body, or how that begins where nothing is to be read in it.
    pub(super) said: Vec<u8>,
}

impl HttpSink {
    /// Posts a message and waits for the whole reply. An error is an attempt that failed and why.
    pub(super) async fn post(&self, id: String, message: &Message) -> Result<Reply> {
        let _permit =
            self.permits.acquire().await.expect("the semaphore lives as long as the sink and is never closed");
        let failed = match tokio::time::timeout(self.timeout, self.exchange(id_value(id), message)).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut(self.timeout),
        };
        Err(failed.into_error(&self.endpoint))
    }

    async fn exchange(&self, id: HeaderValue, message: &Message) -> Result<Reply, Failure> {
        let answer = self.client.send(|| self.request(id.clone(), message)).await.map_err(Failure::Exchange)?;
        let (head, body) = answer.into_parts();
        let keep = if self.format.is_batched() { self.reply_cap } else { reply::EXCERPT };
        let said = reply::drain(body, self.reply_cap, keep).await.map_err(Failure::Body)?;
        Ok(Reply { status: head.status, headers: head.headers, said })
    }

    fn request(&self, id: HeaderValue, message: &Message) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.uri();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(WEBHOOK_ID, id);
        for (name, value) in &message.headers {
            headers.insert(name, value.clone());
        }
        signature::sign(&self.secrets, headers, &message.body);
        request
    }

    /// What a reply means for all that was posted.
    pub(super) fn judge(&self, reply: &Reply) -> Result<Outcome> {
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
