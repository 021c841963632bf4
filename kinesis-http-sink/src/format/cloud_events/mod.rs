//! CloudEvents 1.0 over HTTP: which attributes a record has, and the three ways in which they travel.

mod attributes;
mod binary;
mod payload;
mod structured;

use http::HeaderName;
use kinesis_core::{Delivery, Error, Record, Result};

use super::Message;
use super::named::Named;
use attributes::{Attributes, arn_of};
use payload::Payload;

pub(super) use binary::read as read_binary;
pub(super) use structured::{read as read_structured, read_batch};

/// The content type of one event in JSON (CloudEvents 1.0, HTTP protocol binding, 3.2).
pub(super) const STRUCTURED: &str = "application/cloudevents+json";
/// That of a list of events (3.3).
pub(super) const BATCH: &str = "application/cloudevents-batch+json";
/// What every event in headers has.
pub(super) const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// Records as CloudEvents 1.0.
///
/// | attribute | what it is |
/// |---|---|
/// | `id` | `<shard>:<number>`, with `:<sub-number>` for a record out of an aggregate: the same over retries and restarts |
/// | `source` | the stream and `/<shard>`, because numbers compare within a shard alone |
/// | `type` | [`type_prefix`](Self::type_prefix)`.<channel>`, or `com.amazonaws.kinesis.record` without a prefix |
/// | `subject` and `channel` | the channel |
/// | `time` | the time of arrival, where it is known |
/// | `datacontenttype` | [what was set](Self::data_content_type), else `application/json` for what is JSON, else `application/octet-stream` |
/// | `partitionkey` | the partition key |
/// | `sequence` | the number in 56 digits or more, with `-` and ten digits of a sub-number, so that it sorts as text |
/// | `kinesisshardid`, `kinesissequencenumber` | the shard and the number as they are |
///
/// A [`Format`](super::Format) is made of it.
#[derive(Debug, Clone)]
#[must_use]
pub struct CloudEvents {
    mode: Mode,
    source: Option<String>,
    type_prefix: Option<String>,
    data_content_type: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
    Batch,
}

impl CloudEvents {
    const fn new(mode: Mode) -> Self {
        Self { mode, source: None, type_prefix: None, data_content_type: None }
    }

    /// One record a request: the payload is the body, the attributes are headers. [Signatures](crate::HttpSinkBuilder::sign)
    /// cover the body alone, and not the attributes; those of the other modes cover both.
    pub const fn binary() -> Self {
        Self::new(Mode::Binary)
    }

    /// One record a request: a JSON object of the attributes and the payload. JSON stands in it as it was put, but for white
    /// space around it; what is no JSON stands there as base64.
    pub const fn structured() -> Self {
        Self::new(Mode::Structured)
    }

    /// A whole delivery a request: a JSON list of what [`structured`](Self::structured) sends. How many records that are is
    /// the subscription's [`BatchPolicy`](kinesis_core::BatchPolicy). Only for a subscriber that asked for it: so the
    /// specification has it.
    pub const fn batch() -> Self {
        Self::new(Mode::Batch)
    }

    /// What the attribute `source` says of the stream: a URI, such as its ARN. Default: an ARN of what is known, with
    /// nothing in the other places.
    pub fn source(mut self, uri: impl Into<String>) -> Self {
        self.source = Some(uri.into());
        self
    }

    /// What the attribute `type` begins with, before `.` and the channel: a name under a domain of yours, reversed.
    pub fn type_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.type_prefix = Some(prefix.into());
        self
    }

    /// The content type of all payloads. Default: each is looked at.
    pub fn data_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.data_content_type = Some(content_type.into());
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let refused = |what: &str, value: &str, why: &str| Err(Error::invalid(format!("the {what} {value:?} {why}")));
        let is_printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        match (&self.source, &self.type_prefix, &self.data_content_type) {
            (Some(source), ..) if !is_printable(source) => refused(
                "source of CloudEvents",
                source,
                "is no URI: write it like arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            ),
            (_, Some(prefix), _) if !is_printable(prefix) => {
                refused("type prefix of CloudEvents", prefix, "is no name: write it like com.example.orders")
            }
            (.., Some(kind)) if !is_media_type(kind) => {
                refused("content type of data", kind, "is none: write it like application/json")
            }
            _ => Ok(()),
        }
    }

    pub(super) const fn content_type(&self) -> &'static str {
        match self.mode {
            // Each payload has its own.
            Mode::Binary => payload::OCTETS,
            Mode::Structured => "application/cloudevents+json; charset=UTF-8",
            Mode::Batch => "application/cloudevents-batch+json; charset=UTF-8",
        }
    }

    pub(super) fn is_batched(&self) -> bool {
        self.mode == Mode::Batch
    }

    /// What is sent of a record; in a batch, its part of the list.
    pub(super) fn write(&self, delivery: &Delivery, record: &Named<'_>) -> Message {
        let source = self.source_of(delivery);
        if self.mode == Mode::Binary {
            let attributes = Attributes::of(self, &source, record);
            return binary::write(&attributes, &self.payload(record), record.data.clone());
        }
        let mut json = Vec::with_capacity(Self::room(record));
        self.append(&mut json, &source, record);
        Message::of(json.into())
    }

    /// Writes a record in structured mode behind what is there; `source` is that of its delivery.
    pub(super) fn append(&self, json: &mut Vec<u8>, source: &str, record: &Named<'_>) {
        structured::write(json, &Attributes::of(self, source, record), &self.payload(record));
    }

    /// How long what is written of a record may get, roughly.
    pub(super) fn room(record: &Record) -> usize {
        structured::room(record.data.len())
    }

    /// Where the records of a delivery come from: numbers compare within a shard alone.
    pub(super) fn source_of(&self, delivery: &Delivery) -> String {
        match &self.source {
            Some(stream) => format!("{stream}/{}", delivery.shard()),
            None => format!("{}/{}", arn_of(delivery.stream()), delivery.shard()),
        }
    }

    fn payload<'a>(&'a self, record: &'a Record) -> Payload<'a> {
        Payload::of(&record.data, self.data_content_type.as_deref())
    }
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let printable = text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    printable && essence.split_once('/').is_some_and(|(kind, name)| is_token(kind) && is_token(name))
}
