//! The SDK's clients: no retries of their own, and no call without a deadline.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use kinesis_core::{Error, Result};

use crate::target::Target;

/// The default of the SDK, which setting the others would otherwise replace.
const CONNECT: Duration = Duration::from_millis(3100);
/// To the first byte of an answer; a poll that waits longer is dead.
const READ: Duration = Duration::from_secs(10);
/// A whole answer: one of 10 MiB is 14 MB of JSON, which takes 11 s at 10 Mbit/s.
const ATTEMPT: Duration = Duration::from_secs(15);
/// An attempt, and getting credentials before it.
const OPERATION: Duration = Duration::from_secs(20);

/// The same four for leases. DynamoDB answers in milliseconds.
#[cfg(feature = "dynamodb")]
const LEASES: [Duration; 4] =
    [Duration::from_millis(1000), Duration::from_secs(2), Duration::from_millis(2500), Duration::from_secs(3)];

/// Makes a client of `config` without retries, in its region or else in `region`. The timeouts that `config` sets stay as
/// they are.
pub(crate) fn without_retries(config: &SdkConfig, region: Option<&str>) -> Client {
    let region = config.region().cloned().or_else(|| region.map(|region| Region::new(region.to_owned())));
    let timeouts = timeouts(config, [CONNECT, READ, ATTEMPT, OPERATION]);
    let config = Builder::from(config)
        .region(region)
        .behavior_version(behavior(config))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

/// Makes a client for leases. A write that takes longer than a third of a failover time comes too late, and blocks the next.
#[cfg(feature = "dynamodb")]
pub(crate) fn for_leases(config: &SdkConfig, endpoint: Option<String>) -> aws_sdk_dynamodb::Client {
    let timeouts = timeouts(config, LEASES);
    let mut ours = aws_sdk_dynamodb::config::Builder::from(config)
        .behavior_version(behavior(config))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        ours = ours.endpoint_url(endpoint);
    }
    aws_sdk_dynamodb::Client::from_conf(ours.build())
}

/// The timeouts of a configuration, and these where it sets none: to connect, to the first byte, of an attempt, of all.
fn timeouts(config: &SdkConfig, [connect, read, attempt, operation]: [Duration; 4]) -> TimeoutConfig {
    let ours = TimeoutConfig::builder()
        .connect_timeout(connect)
        .read_timeout(read)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation);
    match config.timeout_config() {
        Some(theirs) => theirs.to_builder().take_unset_from(ours).build(),
        None => ours.build(),
    }
}

/// The SDK would panic without one, and only a configuration made by hand lacks it.
fn behavior(config: &SdkConfig) -> BehaviorVersion {
    config.behavior_version().unwrap_or_else(BehaviorVersion::latest)
}

/// The error of a client that does not know where to look.
pub(crate) fn no_region() -> Error {
    Error::invalid("no AWS region is configured: set AWS_REGION, or a region in the profile")
}

/// The client that somebody brought, or one made of a configuration; it has to know where the stream is.
pub(crate) fn of(config: Option<&SdkConfig>, client: Option<Client>, target: &Target) -> Result<Client> {
    let client = match (client, config) {
        (Some(client), _) => client,
        (None, Some(config)) => without_retries(config, target.region()),
        (None, None) => return Err(Error::contract("a builder has a client or a configuration")),
    };
    check_region(&client, target)?;
    Ok(client)
}

/// Refuses a client that does not know where the stream is, or looks elsewhere, before it tries.
fn check_region(client: &Client, target: &Target) -> Result<()> {
    match (client.config().region(), target.region()) {
        (None, _) => Err(no_region()),
        (Some(ours), Some(theirs)) if ours.as_ref() != theirs => Err(Error::invalid(format!(
            "the stream {target} is in {theirs} by its ARN, but {ours} is configured: set AWS_REGION={theirs}"
        ))),
        _ => Ok(()),
    }
}
