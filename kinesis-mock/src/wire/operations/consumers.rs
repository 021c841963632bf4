//! The operations on the registered consumers of a stream.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::account::{Consumer, MAX_CONSUMERS, Phase};
use crate::stream::ACCOUNT;
use crate::wire::codec::Timestamp;
use crate::wire::refusal::Refusal;
use crate::wire::target::{self, Target};
use crate::wire::tokens::{self, NamesToken};
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// The most consumers that may be `CREATING` at a time (API reference of `RegisterStreamConsumer`).
const MAX_CREATING: usize = 5;
/// Consumers of a page, where the request does not say (API reference of `ListStreamConsumers`).
const DEFAULT_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct RegisterStreamConsumer {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Registered {
    consumer: ListedConsumer,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedConsumer {
    consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    consumer_status: &'static str,
    consumer_creation_timestamp: Timestamp,
    /// Only a description has it.
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    stream_arn: Option<String>,
}

impl ListedConsumer {
    fn new(account: &Account, stream: &MemoryStream, consumer: &Consumer) -> Self {
        Self {
            consumer_name: consumer.name.clone(),
            consumer_arn: target::consumer_arn(account, stream, consumer),
            consumer_status: consumer.phase.status(),
            consumer_creation_timestamp: consumer.created_at.into(),
            stream_arn: None,
        }
    }
}

/// Registers a consumer; it can subscribe once it is `ACTIVE`.
pub(in crate::wire) fn register_stream_consumer(
    account: &Account,
    request: &RegisterStreamConsumer,
) -> Result<Registered, Refusal> {
    let arn = validation::required("streamARN", request.stream_arn.as_ref())?;
    let name = validation::required("consumerName", request.consumer_name.as_deref())?;
    validation::name("consumerName", name)?;
    let stream = Target::new(&None, &Some(arn.clone())).active(account)?.stream;
    let until = Instant::now() + account.transition();
    let consumer = stream.with_consumers(|consumers| {
        let of = format!("under stream {} and account {ACCOUNT}", stream.id().name);
        if consumers.get(name).is_some() {
            return Err(Refusal::in_use(format!("Consumer {name} {of} already exists.")));
        }
        if consumers.len() >= MAX_CONSUMERS {
            return Err(Refusal::limit_exceeded(format!(
                "There are {MAX_CONSUMERS} consumers {of}, which is the most: deregister one that is not used."
            )));
        }
        let creating = consumers.iter().filter(|consumer| matches!(consumer.phase, Phase::Creating { .. })).count();
        if creating >= MAX_CREATING {
            return Err(Refusal::limit_exceeded(format!(
                "There are {creating} consumers {of} in the state CREATING, which is the most: wait for one of them."
            )));
        }
        Ok(consumers.register(name, stream.now(), Phase::Creating { until }))
    })?;
    Ok(Registered { consumer: ListedConsumer::new(account, &stream, &consumer) })
}

/// A request that names a consumer: by its ARN, or by its name and the ARN of its stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct OnlyConsumer {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
}

impl OnlyConsumer {
    fn find(&self, account: &Account) -> Result<(MemoryStream, Consumer), Refusal> {
        match (&self.consumer_arn, &self.stream_arn, &self.consumer_name) {
            (Some(arn), None, None) => target::find_consumer(account, arn),
            (None, Some(_), Some(name)) => {
                let stream = Target::new(&None, &self.stream_arn).find(account)?.stream;
                let consumer = stream.with_consumers(|consumers| consumers.get(name).cloned());
                let consumer = consumer.ok_or_else(|| {
                    let stream = &stream.id().name;
                    Refusal::not_found(format!(
                        "Consumer {name} under stream {stream} and account {ACCOUNT} not found."
                    ))
                })?;
                Ok((stream, consumer))
            }
            _ => Err(Refusal::invalid_argument(
                "Either ConsumerARN alone, or StreamARN and ConsumerName together must be provided.",
            )),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ConsumerDescribed {
    consumer_description: ListedConsumer,
}

/// Says what a consumer is.
pub(in crate::wire) fn describe_stream_consumer(
    account: &Account,
    request: &OnlyConsumer,
) -> Result<ConsumerDescribed, Refusal> {
    let (stream, consumer) = request.find(account)?;
    let mut consumer_description = ListedConsumer::new(account, &stream, &consumer);
    consumer_description.stream_arn = Some(target::arn(account, &stream));
    Ok(ConsumerDescribed { consumer_description })
}

/// Deletes a consumer; its subscriptions end.
pub(in crate::wire) fn deregister_stream_consumer(account: &Account, request: &OnlyConsumer) -> Result<(), Refusal> {
    let (stream, consumer) = request.find(account)?;
    let until = Instant::now() + account.transition();
    stream.with_consumers(|consumers| consumers.deregister(&consumer.name, until));
    stream.wake();
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ListStreamConsumers {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ConsumerPage {
    consumers: Vec<ListedConsumer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Lists the consumers page by page, in the order of their names. Unlike a listing of shards, each page names the stream.
pub(in crate::wire) fn list_stream_consumers(
    account: &Account,
    request: &ListStreamConsumers,
) -> Result<ConsumerPage, Refusal> {
    validation::required("streamARN", request.stream_arn.as_ref())?;
    let page = validation::within("maxResults", request.max_results, 1..=10_000, DEFAULT_PAGE)?;
    let stream = Target::new(&None, &request.stream_arn).find(account)?.stream;
    let created = stream.id().created_at.map(Timestamp::from);
    if request.stream_creation_timestamp.is_some_and(|asked| Some(asked) != created) {
        let name = &stream.id().name;
        return Err(Refusal::not_found(format!("No stream {name} was created at the StreamCreationTimestamp.")));
    }
    let token: Option<NamesToken> = request.next_token.as_deref().map(tokens::unseal_page).transpose()?;
    if let Some(token) = &token {
        tokens::check_page_age(token.issued, stream.now())?;
    }
    let after = token.map(|token| token.after);
    stream.with_consumers(|consumers| {
        let mut left = consumers.iter().filter(|consumer| after.as_ref().is_none_or(|after| consumer.name > *after));
        let page = left.by_ref().take(page).map(|consumer| ListedConsumer::new(account, &stream, consumer));
        let consumers: Vec<ListedConsumer> = page.collect();
        let last = consumers.last().filter(|_| left.next().is_some());
        let next_token =
            last.map(|last| tokens::seal(&NamesToken { after: last.consumer_name.clone(), issued: stream.now() }));
        Ok(ConsumerPage { consumers, next_token })
    })
}
