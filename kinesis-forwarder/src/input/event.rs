//! The fields of one record as JSON has them, in an event or in a Lambda document, and the record they make.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kinesis_core::{PartitionKey, SequenceNumber};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Unexpected, Visitor};

/// The largest record Kinesis takes, payload and partition key together, in bytes.
pub(super) const MAX_RECORD_BYTES: usize = 10 << 20;

/// A field that means something, or [`Other`](Self::Other).
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
pub(super) enum Field {
    Channel,
    PartitionKey,
    SequenceNumber,
    Data,
    Encoding,
    ApproximateArrivalTimestamp,
    #[serde(rename = "Records")]
    Records,
    #[serde(other)]
    Other,
}

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Encoding {
    #[default]
    Text,
    Base64,
}

/// What was read of a record so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    channel: Option<String>,
    partition_key: Option<String>,
    sequence_number: Option<SequenceNumber>,
    text: Option<String>,
    decoded: Option<Vec<u8>>,
    encoding: Encoding,
    arrived_at: Option<SystemTime>,
}

/// A record before it has its place in the shard.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) partition_key: PartitionKey,
    pub(crate) data: Bytes,
    pub(crate) sequence_number: Option<SequenceNumber>,
    pub(crate) arrived_at: Option<SystemTime>,
}

impl Fields {
    /// Nothing yet of a record whose payload is written like this unless it says otherwise.
    pub(super) fn with_encoding(encoding: Encoding) -> Self {
        Self { encoding, ..Self::default() }
    }

    /// Reads the value of `field`.
    pub(super) fn read<'de, A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        match field {
            Field::Channel => self.channel = map.next_value_seed(Text("channel"))?,
            Field::PartitionKey => self.partition_key = map.next_value_seed(Text("partitionKey"))?,
            Field::SequenceNumber => {
                let text = map.next_value_seed(Text("sequenceNumber"))?;
                self.sequence_number = text.map(|text| text.parse()).transpose().map_err(de::Error::custom)?;
            }
            Field::Data => {
                self.text = map.next_value_seed(Text("data"))?;
                // As early as possible, so that an error names the line of the data itself.
                self.decode()?;
            }
            Field::Encoding => match map.next_value_seed(Text("encoding"))?.as_deref() {
                None => {}
                Some("base64") => self.encoding = Encoding::Base64,
                Some(other) => {
                    let message = format!("the encoding {other:?} is unknown: only \"base64\" is, or none for text");
                    return Err(de::Error::custom(message));
                }
            },
            Field::ApproximateArrivalTimestamp => self.arrived_at = map.next_value_seed(Timestamp)?,
            Field::Records | Field::Other => drop(map.next_value::<de::IgnoredAny>()?),
        }
        Ok(())
    }

    fn decode<E: de::Error>(&mut self) -> Result<(), E> {
        if self.encoding == Encoding::Base64
            && let Some(text) = self.text.take()
        {
            let not_base64 = |error| E::custom(format!("the data is not base64: {error}"));
            self.decoded = Some(STANDARD.decode(text).map_err(not_base64)?);
        }
        Ok(())
    }

    /// The record, once all its fields are read.
    pub(super) fn finish<E: de::Error>(mut self) -> Result<Parsed, E> {
        self.decode()?;
        let key = self.channel.or(self.partition_key);
        let key = key.ok_or_else(|| E::custom("the event has neither \"channel\" nor \"partitionKey\""))?;
        let data = self.decoded.or(self.text.map(String::into_bytes)).map(Bytes::from);
        let data = data.ok_or_else(|| E::custom("the event has no \"data\""))?;
        let size = key.len() + data.len();
        if size > MAX_RECORD_BYTES {
            return Err(E::custom(too_large(format_args!("has {size} bytes"))));
        }
        Ok(Parsed {
            partition_key: key.into(),
            data,
            sequence_number: self.sequence_number,
            arrived_at: self.arrived_at,
        })
    }
}

/// The sentence about a record that nobody could have put.
pub(super) fn too_large(how: fmt::Arguments<'_>) -> String {
    format!("the record {how}; a record has at most 10 MiB ({MAX_RECORD_BYTES} bytes), payload and key together")
}

/// Reads the string in the field of this name; null is as good as absent.
struct Text(&'static str);

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to be a string", self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads a time of arrival, in seconds after 1970; null is as good as absent.
struct Timestamp;

impl<'de> DeserializeSeed<'de> for Timestamp {
    type Value = Option<SystemTime>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Timestamp {
    type Value = Option<SystemTime>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"approximateArrivalTimestamp\" to be a number of seconds after 1970")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        at.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(seconds), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Self::Value, E> {
        Err(E::invalid_value(Unexpected::Signed(seconds), &self))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Self::Value, E> {
        // A double holds today's time to a quarter of a microsecond: rounding gives back the digits that were written.
        let micros = (seconds * 1e6).round();
        let fits = (0.0..u64::MAX as f64).contains(&micros);
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros as u64)).filter(|_| fits);
        at.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Float(seconds), &self))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
