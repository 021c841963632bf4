//! The SDK client that reads and puts: no retries of its own, and no call without a deadline.

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

/// Makes a client of `config` without retries, in its region or else in `region`. The timeouts that `config` sets stay as
/// they are.
pub(crate) fn without_retries(config: &SdkConfig, region: Option<&str>) -> Client {
    let ours = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION);
    let timeouts = match config.timeout_config() {
        Some(theirs) => theirs.to_builder().take_unset_from(ours),
        None => ours,
    };
    let region = config.region().cloned().or_else(|| region.map(|region| Region::new(region.to_owned())));
    let config = Builder::from(config)
        .region(region)
        // The SDK would panic without one, and only a configuration made by hand lacks it.
        .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .build();
    Client::from_conf(config)
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
        (None, _) => Err(Error::invalid("no AWS region is configured: set AWS_REGION, or a region in the profile")),
        (Some(ours), Some(theirs)) if ours.as_ref() != theirs => Err(Error::invalid(format!(
            "the stream {target} is in {theirs} by its ARN, but {ours} is configured: set AWS_REGION={theirs}"
        ))),
        _ => Ok(()),
    }
}
