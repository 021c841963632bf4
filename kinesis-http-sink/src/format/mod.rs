//! How records travel: what a request says of them, written for a sink and read again for a receiver.
//!
//! Each format has a file of its own, with both directions. [`Format`] chooses one for a sink, [`Written`] keeps what
//! several sinks of one format send, and [`read`](read()) finds out which format a request has.

mod cloud_events;
mod json;
mod lambda;
mod named;
mod original;
mod read;
mod rfc3339;
#[cfg(test)]
mod tests;
mod written;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use kinesis_core::{Delivery, Result};

pub use cloud_events::CloudEvents;
use lambda::LambdaEvent;
pub(crate) use named::Named;
pub(crate) use read::{Carried, Malformed, Parsed, read};
use written::Written;

use crate::JSON;

/// How the records of a sink are written into its requests.
///
/// Clones share what they have written: a record that several sinks of one format send is written once. Without a format
/// of its own, a sink sends the [original JSON](Self::original).
///
/// ```
/// use kinesis_http_sink::{CloudEvents, Format, HttpSink};
///
/// let events = Format::from(CloudEvents::structured().type_prefix("com.example"));
/// let audit = HttpSink::builder("http://127.0.0.1:3000/events").format(events.clone()).build()?;
/// let billing = HttpSink::builder("http://127.0.0.1:3001/events").format(events).build()?;
/// # Ok::<(), kinesis_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Format {
    kind: Kind,
    written: Arc<Written>,
}

#[derive(Debug, Clone)]
enum Kind {
    Original,
    CloudEvents(CloudEvents),
    LambdaEvent(LambdaEvent),
}

/// What a request says: its body, and the headers that are not the same for every request of the format.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Format {
    fn new(kind: Kind) -> Self {
        Self { kind, written: Arc::default() }
    }

    /// One record a request, in the JSON that the [crate's documentation](crate) shows.
    #[must_use]
    pub fn original() -> Self {
        // Sinks that name no format share one all the same.
        static SHARED: Mutex<Weak<Written>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let written = shared.upgrade().unwrap_or_default();
        *shared = Arc::downgrade(&written);
        Self { kind: Kind::Original, written }
    }

    /// A whole delivery a request, as the event that an AWS Lambda function with a Kinesis trigger is given. A function's
    /// handler can so be tried, or moved, behind HTTP.
    ///
    /// `stream_arn` is what the event says of the stream, such as `arn:aws:kinesis:eu-west-1:123456789012:stream/orders`.
    /// A reply with `batchItemFailures` counts as it does in Lambda: the lowest of the numbers failed, and all behind it. The
    /// lowest alone is charged an attempt; where nothing is before it, the delivery is halved until one fails alone.
    #[must_use]
    pub fn lambda_event(stream_arn: impl Into<String>) -> Self {
        Self::new(Kind::LambdaEvent(LambdaEvent::new(stream_arn.into())))
    }

    /// Says what is wrong with its settings.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.kind {
            Kind::Original => Ok(()),
            Kind::CloudEvents(events) => events.check(),
            Kind::LambdaEvent(event) => event.check(),
        }
    }

    /// The content type of requests whose message does not name another.
    pub(crate) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match &self.kind {
            Kind::Original | Kind::LambdaEvent(_) => JSON,
            Kind::CloudEvents(events) => events.content_type(),
        })
    }

    /// Whether a request holds a whole delivery.
    pub(crate) fn is_batched(&self) -> bool {
        match &self.kind {
            Kind::Original => false,
            Kind::CloudEvents(events) => events.is_batched(),
            Kind::LambdaEvent(_) => true,
        }
    }

    /// Whether a record that failed fails all behind it, in whatever key: so Lambda counts.
    pub(crate) fn fails_all_behind(&self) -> bool {
        matches!(self.kind, Kind::LambdaEvent(_))
    }

    /// What is sent of one record of a delivery.
    pub(crate) fn message(&self, delivery: &Delivery, record: &Named<'_>) -> Message {
        let write = || match &self.kind {
            Kind::Original => Message::of(original::encode(record)),
            Kind::CloudEvents(events) => events.write(delivery, record),
            Kind::LambdaEvent(event) => Message::of(event.write(record)),
        };
        // What nobody else sends need not be kept.
        match self.is_shared() {
            true => self.written.get_or(delivery, record, write),
            false => write(),
        }
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.written) > 1
    }

    /// What is sent of a whole delivery.
    pub(crate) fn batch(&self, delivery: &Delivery) -> Message {
        let (begin, end) = match &self.kind {
            Kind::LambdaEvent(_) => lambda::AROUND,
            _ => ("[", "]"),
        };
        // What nobody else sends is written where it is sent.
        let events = match &self.kind {
            Kind::CloudEvents(events) if !self.is_shared() => Some((events, events.source_of(delivery))),
            _ => None,
        };
        // At once: a list that grows is copied again and again.
        let mut body = Vec::with_capacity(delivery.records().map(CloudEvents::room).sum());
        body.extend_from_slice(begin.as_bytes());
        for (nth, entry) in delivery.iter().enumerate() {
            if nth > 0 {
                body.push(b',');
            }
            let record = Named::of(delivery, entry);
            match &events {
                Some((events, source)) => events.append(&mut body, source, &record),
                None => body.extend_from_slice(&self.message(delivery, &record).body),
            }
        }
        body.extend_from_slice(end.as_bytes());
        Message::of(body.into())
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::original()
    }
}

impl From<CloudEvents> for Format {
    fn from(events: CloudEvents) -> Self {
        Self::new(Kind::CloudEvents(events))
    }
}

impl Message {
    fn of(body: Bytes) -> Self {
        Self { headers: Vec::new(), body }
    }
}
