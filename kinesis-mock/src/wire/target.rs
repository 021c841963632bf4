//! The stream or consumer that a request names, by name or ARN.

use std::time::SystemTime;

use kinesis_core::ShardId;

use super::refusal::Refusal;
use crate::account::{Consumer, Entry, Phase};
use crate::stream::ACCOUNT;
use crate::{Account, MemoryStream};

/// The two members by which most operations name their stream. One is enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    name: Option<&'a str>,
    arn: Option<&'a str>,
}

impl<'a> Target<'a> {
    pub(super) fn new(name: &'a Option<String>, arn: &'a Option<String>) -> Self {
        Self { name: name.as_deref(), arn: arn.as_deref() }
    }

    /// The stream, whatever its status.
    pub(super) fn find(self, account: &Account) -> Result<Entry, Refusal> {
        let of_arn = self.arn.map(|arn| arn.rsplit_once('/').map_or(arn, |(_, name)| name));
        let name = match (self.name, of_arn) {
            (Some(name), Some(other)) if name != other => {
                return Err(Refusal::invalid_argument(format!(
                    "StreamName {name} and StreamARN {} name different streams.",
                    self.arn.unwrap_or_default()
                )));
            }
            (name, of_arn) => name.or(of_arn),
        };
        let name = name.ok_or_else(|| Refusal::invalid_argument("Either StreamName or StreamARN must be provided."))?;
        account.entry(name).ok_or_else(|| unknown(name))
    }

    /// The stream, once there is something to read and write.
    pub(super) fn ready(self, account: &Account) -> Result<MemoryStream, Refusal> {
        let entry = self.find(account)?;
        match entry.phase {
            Phase::Creating { .. } => Err(unknown(&entry.stream.id().name)),
            _ => Ok(entry.stream),
        }
    }

    /// The stream, when nothing is being done to it.
    pub(super) fn active(self, account: &Account) -> Result<Entry, Refusal> {
        let entry = self.find(account)?;
        match entry.phase.is_active() {
            true => Ok(entry),
            false => Err(Refusal::in_use(format!(
                "Stream {} under account {ACCOUNT} not ACTIVE, instead in state {}",
                entry.stream.id().name,
                entry.phase.status()
            ))),
        }
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::not_found(format!("Stream {name} under account {ACCOUNT} not found."))
}

pub(super) fn unknown_shard(stream: &MemoryStream, shard: &ShardId) -> Refusal {
    let name = &stream.id().name;
    Refusal::not_found(format!("Shard {shard} in stream {name} under account {ACCOUNT} does not exist"))
}

/// The ARN of a stream.
pub(super) fn arn(account: &Account, stream: &MemoryStream) -> String {
    format!("arn:aws:kinesis:{}:{ACCOUNT}:stream/{}", account.region(), stream.id().name)
}

/// The ARN of a consumer: its creation time tells it from one of the same name before.
pub(super) fn consumer_arn(account: &Account, stream: &MemoryStream, consumer: &Consumer) -> String {
    format!("{}/consumer/{}:{}", arn(account, stream), consumer.name, created_second(consumer))
}

/// The consumer of an ARN and its stream.
pub(super) fn find_consumer(account: &Account, arn: &str) -> Result<(MemoryStream, Consumer), Refusal> {
    let unknown = || Refusal::not_found(format!("Consumer {arn} under account {ACCOUNT} not found."));
    let (stream, consumer) = arn.split_once("/consumer/").ok_or_else(|| {
        Refusal::invalid_argument(format!(
            "ConsumerARN {arn} is not of the form arn:aws:kinesis:REGION:ACCOUNT:stream/NAME/consumer/NAME:TIME"
        ))
    })?;
    let stream = Target { name: None, arn: Some(stream) }.find(account)?.stream;
    let (name, second) = consumer.rsplit_once(':').ok_or_else(unknown)?;
    let found = stream.with_consumers(|consumers| consumers.get(name).cloned());
    let found = found.filter(|found| created_second(found).to_string() == second).ok_or_else(unknown)?;
    Ok((stream, found))
}

fn created_second(consumer: &Consumer) -> u64 {
    consumer.created_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
