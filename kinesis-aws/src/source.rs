//! The stream as a source: found once at the start, listed page by page, read shard by shard.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryOutput;
use kinesis_core::{
    Error, ErrorKind, Result, Shard, ShardId, ShardReader, SourceCaps, StartPosition, StreamId, StreamName,
    StreamSource,
};

use crate::classify::classify;
use crate::reader::KinesisReader;
use crate::{client, convert};

/// A Kinesis stream that is polled with `GetRecords`.
///
/// A position that was trimmed starts at the trim horizon, as the service has it; the first record's number tells.
/// [`Latest`](StartPosition::Latest) is pinned when a shard is opened. Should the iterator expire before the first
/// record, reading goes on from that instant, by the service's clock and rounded down to the second: a record of the
/// second before may come too, none is missed.
#[derive(Clone)]
pub struct KinesisSource {
    client: Client,
    stream: StreamId,
}

impl KinesisSource {
    /// Finds the stream, with a client of its own that retries nothing and gives every call a deadline.
    ///
    /// Timeouts set in `config` are kept; its retry settings are not used, because a retry inside the SDK would hide
    /// throttling from whoever paces the reads.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when there is no such stream, [`Denied`](ErrorKind::Denied) when the credentials
    /// are missing or do not allow it, [`Invalid`](ErrorKind::Invalid) when no region is configured, and what the call
    /// itself meets.
    pub async fn connect(config: &SdkConfig, stream: impl Into<StreamName>) -> Result<Self> {
        Self::with_client(client::for_polling(config), stream).await
    }

    /// Finds the stream with a client as it is. Turn its retries off and set an attempt timeout: the SDK has none.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn with_client(client: Client, stream: impl Into<StreamName>) -> Result<Self> {
        let name = stream.into();
        client::check_region(&client)?;
        let described = client.describe_stream_summary().stream_name(name.as_str()).send().await;
        let described =
            described.map_err(|error| explain(classify("DescribeStreamSummary", &name, error), &client, &name))?;
        Ok(Self { stream: stream_id(name, &described), client })
    }
}

#[async_trait]
impl StreamSource for KinesisSource {
    fn stream(&self) -> &StreamId {
        &self.stream
    }

    fn caps(&self) -> SourceCaps {
        // No stream keeps its records for less than a day (quotas page of the developer guide).
        SourceCaps::log().with_retains(Duration::from_secs(24 * 60 * 60))
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        let name = &self.stream.name;
        let mut shards = Vec::new();
        let mut request = self.client.list_shards().stream_name(name.as_str());
        loop {
            let page = request.send().await.map_err(|error| classify("ListShards", name, error))?;
            for shard in page.shards() {
                shards.push(convert::shard(shard)?);
            }
            match page.next_token {
                // The service refuses a token that comes with anything else.
                Some(token) => request = self.client.list_shards().next_token(token),
                None => return Ok(shards),
            }
        }
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let reader = KinesisReader::open(self.client.clone(), self.stream.name.clone(), shard.clone(), from).await?;
        Ok(Box::new(reader))
    }
}

impl fmt::Debug for KinesisSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSource").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Says at the start what to do about the two usual mistakes.
fn explain(error: Error, client: &Client, name: &StreamName) -> Error {
    let region = client.config().region().map_or("no region", AsRef::as_ref);
    let message = match error.kind() {
        ErrorKind::NotFound => format!("there is no stream {name} in {region}: check its name and the region"),
        ErrorKind::Denied => format!("the stream {name} in {region} cannot be opened: {}", error.message()),
        _ => return error,
    };
    Error::new(error.kind(), message).because(error)
}

/// Adds the account, which is the fifth part of the ARN, and the time of creation.
fn stream_id(name: StreamName, described: &DescribeStreamSummaryOutput) -> StreamId {
    let mut id = StreamId::new(name);
    if let Some(summary) = described.stream_description_summary() {
        id.account = summary.stream_arn().split(':').nth(4).filter(|part| !part.is_empty()).map(str::to_owned);
        id.created_at = convert::to_millis(summary.stream_creation_timestamp());
    }
    id
}
