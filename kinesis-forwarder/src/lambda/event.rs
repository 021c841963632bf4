//! The event that Lambda calls with: strict, because what is not understood must be called about again and not be lost.

use std::collections::BTreeMap;
use std::fmt;

use kinesis_core::{Record, SequenceNumber, ShardId, ShardKey, StreamId};
use serde::de::{self, DeserializeSeed as _, Deserializer};

use crate::input::{KinesisPart, Parsed};

/// What `eventSource` has to be.
const SOURCE: &str = "aws:kinesis";

/// The longest description of an error, in bytes: it may hold a part of the event.
const LONGEST: usize = 500;

/// The records of an event: one shard's, as Lambda calls, though nothing here relies on that.
#[derive(Debug, Default, PartialEq)]
pub struct KinesisEvent {
    /// In the order of their numbers, as they are stored: aggregates are not unpacked.
    pub shards: BTreeMap<ShardKey, Vec<Record>>,
}

/// What is wrong with an event, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEvent(String);

impl fmt::Display for BadEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadEvent {}

impl BadEvent {
    fn at(path: &str, what: &str) -> Self {
        let mut text = match path {
            "." => format!("this is no event of a Kinesis stream: {what}"),
            path => format!("this is no event of a Kinesis stream: {path}: {what}"),
        };
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            text.truncate(end);
            text.push_str("..");
        }
        Self(text)
    }
}

#[derive(serde::Deserialize)]
struct Document {
    #[serde(rename = "Records")]
    records: Vec<Entry>,
}

/// Fields are optional so that a record of another kind is told by its source, not by what it lacks.
#[derive(serde::Deserialize)]
struct Entry {
    #[serde(rename = "eventSource")]
    source: Option<String>,
    #[serde(rename = "eventID")]
    id: Option<String>,
    #[serde(rename = "eventSourceARN")]
    arn: Option<String>,
    kinesis: Option<Kinesis>,
}

struct Kinesis(Parsed);

impl<'de> de::Deserialize<'de> for Kinesis {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        KinesisPart.deserialize(json).map(Self)
    }
}

impl KinesisEvent {
    /// Reads the JSON of an event. What it takes in memory is about what the text has, and the records' payloads.
    ///
    /// # Errors
    ///
    /// What is wrong, and at which record.
    pub fn read(json: &str) -> Result<Self, BadEvent> {
        // Where an object is wanted, an array of its fields would do as well.
        if !json.trim_start().starts_with('{') {
            return Err(BadEvent::at(".", "it is no JSON object"));
        }
        let mut reader = serde_json::Deserializer::from_str(json);
        let document: Document = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| BadEvent::at(&error.path().to_string(), &error.inner().to_string()))?;
        reader.end().map_err(|error| BadEvent::at(".", &error.to_string()))?;
        let mut event = Self::default();
        for (n, entry) in document.records.into_iter().enumerate() {
            let (shard, record) = entry.read().map_err(|what| BadEvent::at(&format!("Records[{n}]"), &what))?;
            event.shards.entry(shard).or_default().push(record);
        }
        for records in event.shards.values_mut() {
            records.sort_by_key(|record| record.sequence_number);
        }
        Ok(event)
    }
}

impl Entry {
    fn read(self) -> Result<(ShardKey, Record), String> {
        match self.source.as_deref() {
            Some(SOURCE) => {}
            Some(other) => {
                return Err(format!("eventSource is {other:?}; the function's trigger has to be a Kinesis stream"));
            }
            None => return Err(format!("there is no eventSource; of a Kinesis stream it is {SOURCE:?}")),
        }
        let Kinesis(parsed) = self.kinesis.ok_or("there is no kinesis")?;
        let number = parsed.sequence_number.ok_or("kinesis.sequenceNumber is missing")?;
        let id = self.id.ok_or("there is no eventID")?;
        let shard = shard_of(&id, number).ok_or_else(|| {
            format!("eventID is {id:?}, which is not the shard's id, a colon and the sequence number {number}")
        })?;
        let arn = self.arn.ok_or("there is no eventSourceARN")?;
        let stream = stream_of(&arn).ok_or_else(|| {
            format!("eventSourceARN is {arn:?}, not like arn:aws:kinesis:eu-west-1:123456789012:stream/orders")
        })?;
        let mut record = Record::new(number, parsed.partition_key, parsed.data);
        record.arrived_at = parsed.arrived_at;
        Ok((ShardKey::new(&stream, &shard), record))
    }
}

/// The shard in `<shard>:<sequence number>`.
fn shard_of(id: &str, number: SequenceNumber) -> Option<ShardId> {
    let (shard, digits) = id.rsplit_once(':')?;
    let same = digits.parse() == Ok(number);
    (same && !shard.is_empty()).then(|| ShardId::from(shard))
}

/// The stream of `arn:<partition>:kinesis:<region>:<account>:stream/<name>`, or of a consumer's ARN, which goes on behind.
fn stream_of(arn: &str) -> Option<StreamId> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "kinesis", _, account, resource] = parts[..] else { return None };
    let name = resource.strip_prefix("stream/")?.split('/').next().filter(|name| !name.is_empty())?;
    Some(StreamId::new(name).with_account(account))
}

#[cfg(test)]
mod tests;
