//! A payload, and what it is: JSON, or anything.

use serde_json::value::RawValue;

use crate::JSON;

/// The content type of what may be anything.
pub(super) const OCTETS: &str = "application/octet-stream";

/// A payload with its content type; none for no payload.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    pub(super) content_type: Option<&'a str>,
    pub(super) bytes: &'a [u8],
    /// The payload as a JSON value, where it is one and its type says so.
    pub(super) json: Option<&'a RawValue>,
}

impl<'a> Payload<'a> {
    /// Looks at a payload whose content type may be known.
    pub(super) fn of(bytes: &'a [u8], content_type: Option<&'a str>) -> Self {
        let may_be_json = content_type.is_none_or(is_json);
        let json: Option<&RawValue> = may_be_json.then(|| serde_json::from_slice(bytes).ok()).flatten();
        let looked_at = if json.is_some() { JSON } else { OCTETS };
        let content_type = content_type.or_else(|| (!bytes.is_empty()).then_some(looked_at));
        // An event whose data is null has none for many who read it, and an empty payload is not the same.
        let json = json.filter(|json| json.get() != "null");
        Self { content_type, bytes, json }
    }

    /// The payload as text, where its content type says that it is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        let is_text = self.content_type.is_some_and(|kind| essence(kind).starts_with("text/"));
        is_text.then(|| std::str::from_utf8(self.bytes).ok()).flatten()
    }
}

/// Whether data of a content type is JSON.
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
