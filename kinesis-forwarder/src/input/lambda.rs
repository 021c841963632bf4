//! The Lambda event document: an array of records, read one by one however long it is.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::event::{Encoding, Fields, Parsed};
use super::gauge::Gauge;
use super::parse::Put;

/// The records of a Lambda document, each put as soon as it is read.
pub(super) struct Records<'a> {
    pub(super) outbox: &'a dyn Put,
    pub(super) gauge: &'a Gauge,
}

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"Records\" to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        loop {
            self.gauge.begin();
            let Some(parsed) = records.next_element_seed(LambdaRecord)? else { return Ok(()) };
            self.outbox.put(parsed).map_err(de::Error::custom)?;
        }
    }
}

/// One record of a Lambda document; what counts is in its `kinesis`.
struct LambdaRecord;

impl<'de> DeserializeSeed<'de> for LambdaRecord {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Parsed, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LambdaRecord {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record of a Kinesis event, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut parsed = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "kinesis" {
                parsed = Some(map.next_value_seed(KinesisPart)?);
            } else {
                map.next_value::<de::IgnoredAny>()?;
            }
        }
        parsed.ok_or_else(|| de::Error::custom("the record has no \"kinesis\": only Kinesis events can be read"))
    }
}

/// The `kinesis` of a Lambda record: fields like an event's, but the data is always base64.
pub(crate) struct KinesisPart;

impl<'de> DeserializeSeed<'de> for KinesisPart {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Parsed, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KinesisPart {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"kinesis\" to be an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut fields = Fields::with_encoding(Encoding::Base64);
        while let Some(field) = map.next_key()? {
            fields.read(field, &mut map)?;
        }
        fields.finish()
    }
}
