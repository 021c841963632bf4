//! Every reply but success: a status and one sentence that gives nothing internal away.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body_util::Full;

use crate::JSON;

/// When to come again to a receiver that stops: another one takes its place until then.
const STOPPING: Duration = Duration::from_secs(5);

/// How much of an error is said, in bytes: what it is about may be as long as a body, and would come back.
const LONGEST: usize = 1024;
/// How much of that is its end, where line and column stand.
const END: usize = 128;

/// A request that was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    /// What else the reply says in its head.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error: shortened(error.into()), header: None }
    }

    /// Whoever sent it may not have been who we trust. Always the same: what is wrong helps a forger alone.
    pub(super) fn unbelieved() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "the signature is missing or wrong")
    }

    /// The body is not there in time. Where a connection has one request at a time, nothing can follow on this one: what comes
    /// next may be the rest of the body (RFC 9110, 15.5.9).
    pub(super) fn late(after: Duration, version: Version) -> Self {
        let closes = version < Version::HTTP_2;
        let header = closes.then(|| (CONNECTION, HeaderValue::from_static("close")));
        let error = format!("the body was not there within {after:?}: send it faster, or in smaller parts");
        Self { header, ..Self::new(StatusCode::REQUEST_TIMEOUT, error) }
    }

    /// All calls of a channel that may be under way are.
    pub(super) fn full(after: Duration) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self {
            status,
            error: "too many events of this channel at once: try again later".into(),
            ..Self::busy(Some(after))
        }
    }

    /// The receiver stops.
    pub(super) fn stopping() -> Self {
        Self { error: "stopping: try again later".into(), ..Self::busy(Some(STOPPING)) }
    }

    /// Anything but POST.
    pub(super) fn method() -> Self {
        let header = Some((ALLOW, HeaderValue::from_static("GET, HEAD, POST")));
        Self { header, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "send events with POST") }
    }

    /// The callback asks for a pause.
    pub(super) fn busy(after: Option<Duration>) -> Self {
        // Rounded up: coming back too early is worse than a little late.
        let seconds = |after: Duration| after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let header = after.map(|after| (RETRY_AFTER, HeaderValue::from(seconds(after))));
        Self { header, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy: try again later") }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let body = serde_json::json!({ "error": self.error }).to_string();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        response.headers_mut().extend(self.header);
        response
    }
}

/// An error without its middle, if it is long.
fn shortened(error: Cow<'static, str>) -> Cow<'static, str> {
    if error.len() <= LONGEST {
        return error;
    }
    let begin = error.floor_char_boundary(LONGEST - END);
    let end = error.ceil_char_boundary(error.len() - END);
    format!("{}…{}", &error[..begin], &error[end..]).into()
}
