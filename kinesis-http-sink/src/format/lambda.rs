//! The event of an AWS Lambda function with a Kinesis trigger: the records of a delivery, and what is said of the stream.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use kinesis_core::{Error, PartitionKey, Result, SequenceNumber};
use serde::{Deserialize, Serialize};

use super::named::Named;
use super::original::Millis;
use super::{Malformed, Parsed};

/// What stands before the records, and behind them.
pub(super) const AROUND: (&str, &str) = (r#"{"Records":["#, "]}");

/// What the event says of the stream.
#[derive(Debug, Clone)]
pub(super) struct LambdaEvent {
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    kinesis: Kinesis<'a>,
    event_source: &'static str,
    event_version: &'static str,
    #[serde(rename = "eventID")]
    event_id: &'a str,
    event_name: &'static str,
    aws_region: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kinesis<'a> {
    kinesis_schema_version: &'static str,
    partition_key: &'a str,
    sequence_number: &'a str,
    /// The place in an aggregate, which Lambda does not know: it hands out aggregates as they are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_sequence_number: Option<u64>,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_arrival_timestamp: Option<Millis>,
}

impl LambdaEvent {
    pub(super) fn new(arn: String) -> Self {
        Self { arn }
    }

    /// `arn:<partition>:kinesis:<region>:<account>:stream/<name>`.
    pub(super) fn check(&self) -> Result<()> {
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        let is_stream = |parts: &[&str]| parts[0] == "arn" && parts[2] == "kinesis" && parts[5].starts_with("stream/");
        if parts.len() == 6 && is_stream(&parts) {
            return Ok(());
        }
        let example = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        Err(Error::invalid(format!("{:?} is no ARN of a stream: write it like {example}", self.arn)))
    }

    fn region(&self) -> &str {
        self.arn.split(':').nth(3).unwrap_or_default()
    }

    pub(super) fn write(&self, record: &Named<'_>) -> Bytes {
        let sub = record.sequence_number.sub();
        let event = Written {
            kinesis: Kinesis {
                kinesis_schema_version: "1.0",
                partition_key: &record.partition_key,
                sequence_number: record.digits(),
                sub_sequence_number: (sub > 0).then_some(sub),
                data: BASE64_STANDARD.encode(&record.data),
                approximate_arrival_timestamp: record.arrived_at.and_then(Millis::of),
            },
            event_source: "aws:kinesis",
            event_version: "1.0",
            event_id: record.id(),
            event_name: "aws:kinesis:record",
            aws_region: self.region(),
            event_source_arn: &self.arn,
        };
        serde_json::to_vec(&event).expect("strings and numbers are always JSON, and memory takes every write").into()
    }
}

/// Whether a body is such an event: its first member says so, in Lambda's events as in ours.
pub(super) fn is_event(body: &[u8]) -> bool {
    let skipped = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let object = &body[skipped(body)..];
    object.strip_prefix(b"{").is_some_and(|rest| rest[skipped(rest)..].starts_with(b"\"Records\""))
}

/// The records of an event. A channel has no place in it, so that the partition key is the channel.
pub(super) fn read(body: &Bytes) -> Result<Vec<Parsed>, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body<'a> {
        #[serde(borrow)]
        records: Vec<Record<'a>>,
    }
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(rename = "eventID")]
        event_id: Option<String>,
        #[serde(borrow)]
        kinesis: Kinesis<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kinesis<'a> {
        partition_key: PartitionKey,
        sequence_number: SequenceNumber,
        #[serde(default)]
        sub_sequence_number: u64,
        #[serde(borrow)]
        data: Cow<'a, str>,
        approximate_arrival_timestamp: Option<Millis>,
    }
    let parsed: Body<'_> = serde_json::from_slice(body)?;
    let one = |Record { event_id, kinesis }: Record<'_>| {
        Ok(Parsed {
            shard: event_id.as_deref().and_then(|id| id.split_once(':')).map(|(shard, _)| shard.into()),
            id: event_id,
            channel: kinesis.partition_key.as_str().into(),
            partition_key: Some(kinesis.partition_key),
            sequence_number: kinesis.sequence_number.with_sub(kinesis.sub_sequence_number),
            data: BASE64_STANDARD.decode(kinesis.data.as_bytes())?.into(),
            arrived_at: kinesis.approximate_arrival_timestamp.map(Millis::time),
        })
    };
    parsed.records.into_iter().map(one).collect()
}
