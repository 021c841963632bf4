//! Every reply but success: a status and one sentence that gives nothing internal away.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::JSON;

/// A request that was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    headers: HeaderMap,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(JSON))]);
        Self { status, error: error.into(), headers }
    }

    /// Anything but POST.
    pub(super) fn method() -> Self {
        let mut refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "send events with POST");
        refusal.headers.insert(ALLOW, HeaderValue::from_static("POST"));
        refusal
    }

    /// The callback asks for a pause.
    pub(super) fn busy(after: Option<Duration>) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy: try again later");
        if let Some(after) = after {
            // Rounded up: coming back too early is worse than a little late.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            refusal.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        refusal
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let body = serde_json::json!({ "error": self.error }).to_string();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
