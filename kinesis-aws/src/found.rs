//! The stream as the service describes it: which one it is, and what has to be said about it.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{RecordDistributionStrategy, StreamDescriptionSummary, StreamStatus};
use kinesis_core::{Error, ErrorKind, Result, StreamId};
use tokio::time::timeout;

use crate::classify::classify;
use crate::convert;
use crate::target::Target;

/// A stream that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: StreamId,
    pub(crate) arn: String,
}

/// A start that takes longer has failed: whoever waits for it wants to know why.
const START: Duration = Duration::from_secs(10);

/// Looks for a stream at the start, and not for long.
pub(crate) async fn find(client: &Client, target: &Target) -> Result<Found> {
    timeout(START, look(client, target)).await.unwrap_or_else(|_| Err(unanswered(target)))
}

/// Looks for a stream, and warns of what its readers have to know.
pub(crate) async fn look(client: &Client, target: &Target) -> Result<Found> {
    let request = client.describe_stream_summary();
    let request = request.set_stream_name(target.call_name()).set_stream_arn(target.call_arn());
    let described = request.send().await.map_err(|error| {
        let error = classify("DescribeStreamSummary", target.name(), error);
        explain(error, client, target)
    })?;
    let missing = || Error::contract(format!("the description of the stream {target} is empty"));
    let summary = described.stream_description_summary.ok_or_else(missing)?;
    check_status(&summary, target)?;
    if summary.record_distribution_strategy == Some(RecordDistributionStrategy::Auto) {
        tracing::warn!(
            stream = %target,
            "the service distributes the records of this stream by itself and ignores their partition keys: records of one \
             key come from several shards, in no order"
        );
    }
    Ok(Found { id: stream_id(target, &summary), arn: summary.stream_arn })
}

/// A stream that is being made can be waited for; one that goes cannot be read.
fn check_status(summary: &StreamDescriptionSummary, target: &Target) -> Result<()> {
    match &summary.stream_status {
        StreamStatus::Creating => Err(Error::transient(format!(
            "the stream {target} is still being created: try again when `aws kinesis wait stream-exists` is done"
        ))),
        StreamStatus::Deleting => {
            Err(Error::not_found(format!("the stream {target} is being deleted: nothing can be read of it any more")))
        }
        _ => Ok(()),
    }
}

/// Says at the start what to do about the two usual mistakes.
fn explain(error: Error, client: &Client, target: &Target) -> Error {
    let region = client.config().region().map_or("no region", AsRef::as_ref);
    let message = match error.kind() {
        ErrorKind::NotFound => format!("there is no stream {target} in {region}: check its name and the region"),
        ErrorKind::Denied => format!("the stream {target} in {region} cannot be opened: {}", error.message()),
        ErrorKind::Transient => {
            format!(
                "the stream {target} in {region} cannot be asked for now: check the network, the region and the endpoint"
            )
        }
        _ => return error,
    };
    Error::new(error.kind(), message).because(error)
}

/// Adds the account, which is the fifth part of the ARN, and the time of creation.
fn stream_id(target: &Target, summary: &StreamDescriptionSummary) -> StreamId {
    let mut id = StreamId::new(target.name().clone());
    id.account = summary.stream_arn.split(':').nth(4).filter(|part| !part.is_empty()).map(str::to_owned);
    id.created_at = convert::to_millis(&summary.stream_creation_timestamp);
    id
}

fn unanswered(target: &Target) -> Error {
    let seconds = START.as_secs();
    Error::transient(format!(
        "the stream {target} was not found within {seconds} s, because nothing answers: check the network, the region and \
         the endpoint"
    ))
}
