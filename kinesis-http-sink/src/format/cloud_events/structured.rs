//! Structured and batched mode: an event is a JSON object, and a batch a list of them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::json::{put_base64, put_member, put_name};
use super::super::{Malformed, Parsed};
use super::attributes::{Attributes, Came};
use super::payload::{Payload, is_json};

/// Room for an event: its payload in base64, and attributes of usual length.
pub(super) const fn room(payload: usize) -> usize {
    payload + payload / 3 + 768
}

/// Writes an event behind what is there.
pub(super) fn write(json: &mut Vec<u8>, attributes: &Attributes<'_>, payload: &Payload<'_>) {
    json.push(b'{');
    for (name, value) in attributes.iter() {
        put_member(json, name, value);
    }
    if let Some(content_type) = payload.content_type {
        put_member(json, "datacontenttype", content_type);
    }
    if let Some(data) = payload.json {
        put_name(json, "data");
        json.extend_from_slice(data.get().as_bytes());
    } else if let Some(text) = payload.text() {
        put_member(json, "data", text);
    } else if !payload.bytes.is_empty() {
        put_base64(json, "data_base64", payload.bytes);
    }
    json.push(b'}');
}

/// What an event has beside its attributes.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
}

/// The record of a request in structured mode.
pub(in super::super) fn read(body: &Bytes) -> Result<Parsed, Malformed> {
    read_event(body, serde_json::from_slice(body)?)
}

/// The records of a batch.
pub(in super::super) fn read_batch(body: &Bytes) -> Result<Vec<Parsed>, Malformed> {
    let mut events = serde_json::Deserializer::from_slice(body);
    let read = List(body).deserialize(&mut events)?;
    events.end()?;
    read
}

/// Reads each event of a list as it comes to it, so that a list of nothing much is refused at its first element and not kept:
/// `Ok(Err(_))` is a list whose event is wrong.
struct List<'a>(&'a Bytes);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Result<Vec<Parsed>, Malformed>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Result<Vec<Parsed>, Malformed>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = list.next_element::<&RawValue>()? {
            match read_event(self.0, event) {
                Ok(event) => events.push(event),
                Err(malformed) => {
                    while list.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(malformed));
                }
            }
        }
        Ok(Ok(events))
    }
}

fn read_event(body: &Bytes, event: &RawValue) -> Result<Parsed, Malformed> {
    let came: Came<'_> = serde_json::from_str(event.get())?;
    let Data { datacontenttype, data, data_base64 } = serde_json::from_str(event.get())?;
    let data = match (data, data_base64) {
        (Some(_), Some(_)) => return Err(Malformed::Field("data_base64", "may not stand beside `data`")),
        (None, Some(text)) => BASE64_STANDARD.decode(text.as_bytes())?.into(),
        (None, None) => Bytes::new(),
        (Some(data), None) => match (datacontenttype.as_deref().is_none_or(is_json), data.get().starts_with('"')) {
            // A string that stands for a text of another type is that text.
            (false, true) => serde_json::from_str::<String>(data.get())?.into(),
            // JSON comes as it was written, byte for byte.
            _ => body.slice_ref(data.get().as_bytes()),
        },
    };
    came.record(data)
}
