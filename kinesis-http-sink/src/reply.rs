//! What a reply means: its status class, how long it asks to wait, and the beginning of what it says.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// A subscriber's wish to wait is followed within these bounds: less would not be a pause, and more is longer than an
/// operator would look for the cause elsewhere.
const WAIT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);

/// How many bytes of a refusal are kept for its reason; in characters it is at most as many.
pub(crate) const EXCERPT: usize = 200;

/// What a status means for the record that was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// 2xx.
    Delivered,
    /// The subscriber failed; the same request may succeed later.
    Retry,
    /// The subscriber asks for a pause.
    Busy,
    /// The subscriber refuses this request for good.
    Rejected,
    /// The subscriber says that it has the record already, or that it is at work on it.
    Conflict,
    /// What stands before the subscriber did not reach it.
    Unreached,
    /// The subscriber is not there any more, and wants nothing more.
    Gone,
}

impl Class {
    pub(crate) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Delivered,
            409 => Self::Conflict,
            410 => Self::Gone,
            429 | 503 => Self::Busy,
            502 | 504 => Self::Unreached,
            // 408 and 425 blame the moment, not the request. A redirect is not followed, and a wrong address is
            // corrected sooner or later.
            300..=399 | 408 | 425 => Self::Retry,
            // A client error blames the request, and of the server's errors these two do.
            400..=499 | 501 | 505 => Self::Rejected,
            _ => Self::Retry,
        }
    }
}

/// How long `headers` ask to wait, from `now` on: seconds or an HTTP date, between 1 s and 1 h.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(*WAIT.end(), Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.clamp(*WAIT.start(), *WAIT.end()))
}

/// What a subscriber said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// All of it, or how it begins.
    pub(crate) text: Vec<u8>,
    /// Whether there was more.
    pub(crate) is_cut: bool,
}

/// Reads `body` to its end so that the connection can be used again, and returns how it begins, in `keep` bytes at most.
///
/// Past `cap` bytes the rest is not read, and dropping it closes the connection.
pub(crate) async fn drain(mut body: Incoming, cap: usize, keep: usize) -> Result<Said, hyper::Error> {
    let mut said = Said::default();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read += data.len();
            let room = keep.saturating_sub(said.text.len()).min(data.len());
            said.text.extend_from_slice(&data[..room]);
            said.is_cut |= room < data.len();
            if read > cap {
                said.is_cut = true;
                break;
            }
        }
    }
    Ok(said)
}

/// What a subscriber said, as one printable line; empty when it said nothing.
pub(crate) fn excerpt(beginning: &[u8]) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let shown = &beginning[..beginning.len().min(EXCERPT)];
    let text: String = String::from_utf8_lossy(shown).chars().map(printable).collect();
    let cut = if shown.len() == EXCERPT { "…" } else { "" };
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}{cut}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wait(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn every_status_has_its_class() {
        let class = |status| Class::of(StatusCode::from_u16(status).unwrap());
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(class(status), Class::Delivered, "{status}");
        }
        for status in [101, 301, 302, 304, 307, 308, 408, 425, 500, 507, 599, 999] {
            assert_eq!(class(status), Class::Retry, "{status}");
        }
        for status in [429, 503] {
            assert_eq!(class(status), Class::Busy, "{status}");
        }
        for status in [400, 401, 402, 403, 404, 405, 406, 413, 415, 418, 422, 451, 501, 505] {
            assert_eq!(class(status), Class::Rejected, "{status}");
        }
        assert_eq!((class(409), class(410)), (Class::Conflict, Class::Gone));
        assert_eq!((class(502), class(504)), (Class::Unreached, Class::Unreached));
    }

    #[test]
    fn the_wait_is_read_in_seconds_and_as_a_date() {
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 7 "), Some(7));
        assert_eq!(wait("Wed, 21 Oct 2015 07:29:30 GMT"), Some(90));
    }

    #[test]
    fn the_wait_is_between_a_second_and_an_hour() {
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("86400"), Some(3600));
        assert_eq!(wait("99999999999999999999999999"), Some(3600));
        assert_eq!(wait("Wed, 21 Oct 2015 07:00:00 GMT"), Some(1));
        assert_eq!(wait("Thu, 22 Oct 2015 07:28:00 GMT"), Some(3600));
    }

    #[test]
    fn a_wait_that_cannot_be_read_is_none() {
        for value in ["", "soon", "-1", "1.5", "Wed, 99 Oct 2015 07:28:00 GMT"] {
            assert_eq!(wait(value), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn an_excerpt_is_one_printable_line() {
        assert_eq!(excerpt(b""), "");
        assert_eq!(excerpt(b" \r\n"), "");
        assert_eq!(excerpt(b"no\r\nsuch\x1b[31m \xff\n"), ": no  such [31m \u{fffd}");
        assert!(excerpt(&[b'x'; EXCERPT]).ends_with("x…"));
    }
}
