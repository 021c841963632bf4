//! The SDK client that polling needs: no retries of its own, and no call without a deadline.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use kinesis_core::{Error, Result};

/// The default of the SDK, which setting the others would otherwise replace.
const CONNECT: Duration = Duration::from_millis(3100);
/// To the first byte of an answer; a poll that waits longer is dead.
const READ: Duration = Duration::from_secs(10);
/// A whole answer: one of 10 MiB is 14 MB of JSON, which takes 11 s at 10 Mbit/s.
const ATTEMPT: Duration = Duration::from_secs(15);
/// An attempt, and getting credentials before it.
const OPERATION: Duration = Duration::from_secs(20);

/// Makes a client of `config` without retries. The timeouts that `config` sets stay as they are.
pub(crate) fn for_polling(config: &SdkConfig) -> Client {
    let ours = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION);
    let timeouts = match config.timeout_config() {
        Some(theirs) => theirs.to_builder().take_unset_from(ours),
        None => ours,
    };
    let config = Builder::from(config)
        // The SDK would panic without one, and only a configuration made by hand lacks it.
        .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .build();
    Client::from_conf(config)
}

/// Refuses a client that does not know where the stream is, before it tries.
pub(crate) fn check_region(client: &Client) -> Result<()> {
    match client.config().region() {
        Some(_) => Ok(()),
        None => Err(Error::invalid("no AWS region is configured: set AWS_REGION, or a region in the profile")),
    }
}
