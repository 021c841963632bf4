//! The registered consumer: found by name or registered, and waited for until it can subscribe.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::register_stream_consumer::RegisterStreamConsumerError;
use aws_sdk_kinesis::types::ConsumerStatus;
use kinesis_core::{Error, ErrorKind, Result, StreamName};
use tokio::time::Instant;

use crate::classify::classify;

/// Between two looks at a consumer that is being created: the service answers 20 a second for each stream (API reference of
/// `DescribeStreamConsumer`).
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A consumer that takes longer to be created or deleted is no longer waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The ARN of the consumer `name` of a stream, which is registered if there is none.
///
/// # Errors
///
/// [`Invalid`](ErrorKind::Invalid) when the stream has all the consumers that it may have, [`Denied`](ErrorKind::Denied)
/// when a call is not allowed, [`Transient`](ErrorKind::Transient) when it is not active in time.
pub(crate) async fn register(client: &Client, stream: &StreamName, stream_arn: &str, name: &str) -> Result<String> {
    let began = Instant::now();
    loop {
        let status = match find(client, stream, stream_arn, name).await? {
            Some((arn, ConsumerStatus::Active)) => return Ok(arn),
            Some((_, status)) => status,
            None => create(client, stream, stream_arn, name).await?,
        };
        if began.elapsed() > LONGEST_WAIT {
            let seconds = LONGEST_WAIT.as_secs();
            return Err(Error::transient(format!(
                "the consumer {name} of the stream {stream} is still {status} after {seconds} s: look at it with \
                 `aws kinesis describe-stream-consumer`"
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn find(
    client: &Client,
    stream: &StreamName,
    stream_arn: &str,
    name: &str,
) -> Result<Option<(String, ConsumerStatus)>> {
    let described = client.describe_stream_consumer().stream_arn(stream_arn).consumer_name(name).send().await;
    match described {
        Ok(output) => Ok(output.consumer_description.map(|found| (found.consumer_arn, found.consumer_status))),
        Err(error) => match classify("DescribeStreamConsumer", stream, error) {
            error if error.kind() == ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
    }
}

/// Registers it. Somebody else may do so at the same time, and one of that name may be about to go: then it is looked for
/// once more.
async fn create(client: &Client, stream: &StreamName, stream_arn: &str, name: &str) -> Result<ConsumerStatus> {
    let Err(error) = client.register_stream_consumer().stream_arn(stream_arn).consumer_name(name).send().await else {
        tracing::info!(%stream, consumer = name, "registered a consumer for enhanced fan-out");
        return Ok(ConsumerStatus::Creating);
    };
    let service = error.as_service_error();
    if service.is_some_and(RegisterStreamConsumerError::is_resource_in_use_exception) {
        return Ok(ConsumerStatus::Deleting);
    }
    let is_full = service.is_some_and(RegisterStreamConsumerError::is_limit_exceeded_exception);
    let error = classify("RegisterStreamConsumer", stream, error);
    Err(match is_full {
        // The same code stands for too many registered and for too many calls; its text tells.
        true => Error::invalid(format!(
            "the consumer {name} cannot be registered: {}. Use one of those registered, deregister one, or poll",
            error.message()
        ))
        .because(error),
        false => error,
    })
}
