//! Binary mode: the payload is the body, and the attributes are headers.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::{Malformed, Message, Parsed};
use super::attributes::{Attributes, Came};
use super::payload::{OCTETS, Payload};

/// What the names of attributes begin with.
const PREFIX: &str = "ce-";

pub(super) fn write(attributes: &Attributes<'_>, payload: &Payload<'_>, body: Bytes) -> Message {
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes());
        (name.expect("the names of attributes are lower case letters"), encoded(value))
    };
    let content_type = HeaderValue::from_str(payload.content_type.unwrap_or(OCTETS));
    let content_type = content_type.expect("a content type was checked when the sink was built");
    let headers = attributes.iter().map(header).chain([(CONTENT_TYPE, content_type)]).collect();
    Message { headers, body }
}

/// A value as a header carries it (HTTP protocol binding, 3.1.3.2): percent-encoded where it is not visible ASCII, and where
/// it is a quote or a percent sign.
fn encoded(value: &str) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'%';
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(text).expect("visible ASCII is a header value")
}

/// The other way: quotes around it and backslashes in it are undone, and then percent signs, once.
fn decoded(value: &HeaderValue) -> Option<String> {
    let bytes = value.as_bytes();
    let unquoted = match bytes.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        None => Cow::Borrowed(bytes),
        Some(inner) => {
            let mut escaped = false;
            Cow::Owned(
                inner
                    .iter()
                    .copied()
                    .filter(|byte| {
                        escaped = *byte == b'\\' && !escaped;
                        !escaped
                    })
                    .collect::<Vec<u8>>(),
            )
        }
    };
    let mut text = Vec::with_capacity(unquoted.len());
    let mut rest = &*unquoted;
    while let Some((first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, hex(0).zip(hex(1))) {
            (b'%', Some((high, low))) => {
                text.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                text.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(text).ok()
}

/// The record of a request in binary mode.
pub(in super::super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Parsed, Malformed> {
    let mut came = Came::default();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        let value = decoded(value)
            .ok_or(Malformed::Header("of an attribute", "is no UTF-8 when its percent signs are undone"))?;
        came.set(name, value.into());
    }
    came.record(body.clone())
}
