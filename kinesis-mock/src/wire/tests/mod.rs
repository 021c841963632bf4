//! The wire as the real SDK sees it, on a paused clock.

mod consumers;
mod encodings;
mod faults;
mod reading;
mod resharding;
mod rubbish;
mod shards;
mod streams;
mod subscription;
mod writing;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    MetricsName, PutRecordsRequestEntry, Shard, ShardFilter, ShardFilterType, ShardIteratorType as From,
    ShardIteratorType, StartingPosition,
};

use super::{Answer, Rule, WireClient, http_client};
use crate::{Account, MemoryStream, ReadLimits, WriteLimits};

/// The ARN of the stream that most tests have.
const ORDERS: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";

fn sdk(http: &WireClient) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(10)).build())
        .http_client(http.clone())
        .build();
    Client::from_conf(config)
}

fn client(stream: &MemoryStream) -> Client {
    sdk(&http_client(stream))
}

fn first_shard(stream: &MemoryStream) -> String {
    stream.shards()[0].id.to_string()
}

async fn iterator(client: &Client, shard: &str, from: From) -> String {
    let request = client.get_shard_iterator().stream_name("orders").shard_id(shard).shard_iterator_type(from);
    request.send().await.unwrap().shard_iterator.unwrap()
}

async fn read(client: &Client, iterator: &str, limit: i32) -> GetRecordsOutput {
    client.get_records().shard_iterator(iterator).limit(limit).send().await.unwrap()
}

fn texts(output: &GetRecordsOutput) -> Vec<String> {
    output.records.iter().map(|record| String::from_utf8(record.data.as_ref().to_vec()).unwrap()).collect()
}

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> String {
    result.unwrap_err().code().expect("the service answers with a code").to_owned()
}

fn ids(shards: &[Shard]) -> Vec<&str> {
    shards.iter().map(Shard::shard_id).collect()
}

/// What a client gets of a call: its answer, or the code of the refusal.
fn coded<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> Result<T, String> {
    result.map_err(|error| error.code().expect("the service answers with a code").to_owned())
}
