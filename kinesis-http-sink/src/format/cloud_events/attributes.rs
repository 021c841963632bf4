//! The attributes of a record, written from a delivery and read from a request.

use std::borrow::Cow;

use bytes::Bytes;
use kinesis_core::StreamId;

use super::super::named::Named;
use super::super::{Malformed, Parsed, rfc3339};
use super::CloudEvents;

/// The type of an event whose subscriber set no prefix: what others give the events of their sources.
const TYPE: &str = "com.amazonaws.kinesis.record";

/// All attributes but that of the data.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    record: &'a Named<'a>,
    source: &'a str,
    kind: Cow<'a, str>,
    sequence: Cow<'a, str>,
    number: Cow<'a, str>,
    time: Option<String>,
}

impl<'a> Attributes<'a> {
    /// Those of a record; `source` is that of its delivery.
    pub(super) fn of(events: &CloudEvents, source: &'a str, record: &'a Named<'_>) -> Self {
        let kind = match &events.type_prefix {
            Some(prefix) => format!("{prefix}.{}", record.channel()).into(),
            None => TYPE.into(),
        };
        let digits = record.digits();
        let (sequence, number) = match record.sequence_number.sub() {
            0 => (padded(digits), digits.into()),
            sub => (format!("{}-{sub:010}", padded(digits)).into(), format!("{digits}.{sub}").into()),
        };
        Self { record, source, kind, sequence, number, time: record.arrived_at.and_then(rfc3339::write) }
    }

    /// Those that have a value, in the order in which they are written: an attribute may not be empty.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { record, source, kind, sequence, number, time } = self;
        let all = [
            ("specversion", "1.0"),
            ("id", record.id()),
            ("source", source),
            ("type", kind),
            ("subject", record.channel()),
            ("partitionkey", record.partition_key.as_str()),
            ("sequence", sequence),
            ("channel", record.channel()),
            ("kinesisshardid", record.shard()),
            ("kinesissequencenumber", number),
            ("time", time.as_deref().unwrap_or_default()),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// A number in as many digits as those of Kinesis have, or more.
fn padded(digits: &str) -> Cow<'_, str> {
    match 56usize.saturating_sub(digits.len()) {
        0 => digits.into(),
        zeros => ("0".repeat(zeros) + digits).into(),
    }
}

/// What is known of a stream, as an ARN.
pub(super) fn arn_of(stream: &StreamId) -> String {
    format!("arn:aws:kinesis::{}:stream/{}", stream.account.as_deref().unwrap_or_default(), stream.name)
}

/// The attributes of an event that came, by whichever way; what is needed is checked where they are turned into a record.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Came<'a> {
    #[serde(borrow)]
    pub(super) specversion: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) source: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) partitionkey: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) kinesisshardid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) kinesissequencenumber: Option<Cow<'a, str>>,
}

impl<'a> Came<'a> {
    /// Sets the attribute of this name; others are passed over.
    pub(super) fn set(&mut self, name: &str, value: Cow<'a, str>) {
        let attribute = match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.kind,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "partitionkey" => &mut self.partitionkey,
            "channel" => &mut self.channel,
            "kinesisshardid" => &mut self.kinesisshardid,
            "kinesissequencenumber" => &mut self.kinesissequencenumber,
            _ => return,
        };
        *attribute = Some(value);
    }

    /// The record of these attributes and its payload.
    pub(super) fn record(self, data: Bytes) -> Result<Parsed, Malformed> {
        let missing = |name| Malformed::Field(name, "is missing: every event of CloudEvents has it");
        if self.specversion.ok_or_else(|| missing("specversion"))? != "1.0" {
            return Err(Malformed::Field("specversion", "must be 1.0"));
        }
        let id = self.id.filter(|id| !id.is_empty()).ok_or_else(|| missing("id"))?;
        self.source.filter(|source| !source.is_empty()).ok_or_else(|| missing("source"))?;
        let kind = self.kind.filter(|kind| !kind.is_empty()).ok_or_else(|| missing("type"))?;
        let number = self.kinesissequencenumber.ok_or(Malformed::Field(
            "kinesissequencenumber",
            "is missing: only events of records of a stream are taken here",
        ))?;
        let number = number.parse();
        // Whoever sends no channel of ours says in one of these what the event is about.
        let channel = self.channel.or(self.subject).or_else(|| self.partitionkey.clone()).unwrap_or(kind);
        let time = self.time.map(|time| rfc3339::read(&time).ok_or(Malformed::Field("time", "is no time of RFC 3339")));
        Ok(Parsed {
            id: Some(id.into_owned()),
            channel: (*channel).into(),
            partition_key: self.partitionkey.map(|key| (*key).into()),
            shard: self.kinesisshardid.map(|shard| (*shard).into()),
            sequence_number: number.map_err(|_| Malformed::Field("kinesissequencenumber", "is no sequence number"))?,
            data,
            arrived_at: time.transpose()?,
        })
    }
}
