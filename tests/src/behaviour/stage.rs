//! Where a row plays: the server, its time, and the row's own stream.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::put_record::PutRecordOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ConsumerStatus, PutRecordsRequestEntry, Shard, ShardIteratorType as From, StreamDescriptionSummary, StreamStatus,
};
use tokio::time::{Instant, sleep, timeout};

use super::verdict::{Answered, Verdict};

/// The id of the first shard of a stream.
pub(super) const FIRST: &str = "shardId-000000000000";

/// The service's refusal of whoever reads or writes too much.
pub(super) const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// How late this program may be, in its own time.
const LATE: Duration = Duration::from_secs(10);

/// How long a row may take, in the server's time.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a row may take that waits for five minutes, in the server's time.
const LONG_PATIENCE: Duration = Duration::from_secs(40 * 60);

/// What is refused of a second's records is tried again so much later.
const SECOND: Duration = Duration::from_secs(1);

/// How often a row looks whether something has happened, in the server's time.
const LOOK: Duration = Duration::from_millis(50);

/// A client that repeats nothing by itself and waits for events for as long as it takes. The endpoint, or what there is
/// instead of a socket, is the caller's to add.
#[must_use]
pub fn client(connected: impl FnOnce(Builder) -> Builder) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(connected(config).build())
}

/// A server that speaks the wire.
#[derive(Debug, Clone)]
pub struct Backend {
    client: Client,
    speed: u32,
}

impl Backend {
    /// The server that this [`client`] talks to.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client, speed: 1 }
    }

    /// Says that the server's time runs so many times as fast as this program's.
    ///
    /// # Panics
    ///
    /// When it would stand still.
    #[must_use]
    pub const fn with_speed(mut self, speed: u32) -> Self {
        assert!(speed > 0, "the server's time has to run");
        self.speed = speed;
        self
    }

    /// Lets so much of the server's time pass.
    pub(super) async fn pass(&self, time: Duration) {
        sleep(time / self.speed).await;
    }

    /// How much of the server's time has passed.
    pub(super) fn since(&self, start: Instant) -> Duration {
        start.elapsed() * self.speed
    }

    /// How late what the server does may be seen: a slow machine is late by more of the server's time where that runs fast.
    pub(super) fn late(&self) -> Duration {
        LATE * self.speed
    }

    /// What came in so much of the server's time, if it came.
    pub(super) async fn at_most<T>(&self, time: Duration, what: impl Future<Output = T>) -> Option<T> {
        timeout(time / self.speed, what).await.ok()
    }

    pub(super) const fn patience(&self, slow: bool) -> Duration {
        if slow { LONG_PATIENCE } else { PATIENCE }
    }
}

/// A row's own stream on a server.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) backend: Backend,
    pub(super) client: Client,
    pub(super) name: &'static str,
}

impl Stage {
    pub(super) fn new(backend: &Backend, name: &'static str) -> Self {
        Self { backend: backend.clone(), client: backend.client.clone(), name }
    }

    /// Creates the stream and waits until it is there.
    pub(super) async fn create(&self, shards: i32) -> Verdict {
        self.client.create_stream().stream_name(self.name).shard_count(shards).send().await.of("CreateStream")?;
        self.settled().await.map(drop)
    }

    /// Waits until the last change of the stream is done.
    pub(super) async fn settled(&self) -> Verdict<StreamDescriptionSummary> {
        loop {
            let output = self.client.describe_stream_summary().stream_name(self.name).send().await;
            let summary = output.of("DescribeStreamSummary")?.stream_description_summary;
            if let Some(summary) = summary.filter(|summary| summary.stream_status == StreamStatus::Active) {
                return Ok(summary);
            }
            self.backend.pass(LOOK).await;
        }
    }

    /// All shards that the stream has, closed ones too.
    pub(super) async fn shards(&self) -> Verdict<Vec<Shard>> {
        let output = self.client.list_shards().stream_name(self.name).send().await;
        Ok(output.of("ListShards")?.shards.unwrap_or_default())
    }

    /// Splits the first of so many shards in the middle.
    pub(super) async fn split(&self, of: u128) -> Verdict {
        let middle = (u128::MAX / of / 2).to_string();
        let split = self.client.split_shard().stream_name(self.name).shard_to_split(FIRST);
        split.new_starting_hash_key(middle).send().await.of("SplitShard")?;
        self.settled().await.map(drop)
    }

    /// Puts one record on the first shard, if there are several, and waits where the shard takes no more.
    pub(super) async fn put(&self, data: impl Into<Vec<u8>>) -> Verdict<PutRecordOutput> {
        let data = Blob::new(data);
        loop {
            let put = self.client.put_record().stream_name(self.name).partition_key("k").explicit_hash_key("0");
            match put.data(data.clone()).send().await {
                Err(error) if is_throttle(error.as_service_error()) => self.backend.pass(SECOND).await,
                result => return result.of("PutRecord"),
            }
        }
    }

    /// An iterator of the first shard.
    pub(super) async fn iterator(&self, from: From) -> Verdict<String> {
        let request = self.client.get_shard_iterator().stream_name(self.name).shard_id(FIRST).shard_iterator_type(from);
        Ok(request.send().await.of("GetShardIterator")?.shard_iterator.unwrap_or_default())
    }

    /// A page of records, as soon as the shard gives one.
    pub(super) async fn read(&self, iterator: &str, limit: i32) -> Verdict<GetRecordsOutput> {
        loop {
            match self.client.get_records().shard_iterator(iterator).limit(limit).send().await {
                Err(error) if is_throttle(error.as_service_error()) => self.backend.pass(LOOK).await,
                result => return result.of("GetRecords"),
            }
        }
    }

    /// The last page of the first shard, which is closed; none where a shard goes on.
    pub(super) async fn last_page(&self) -> Verdict<Option<GetRecordsOutput>> {
        let mut next = self.iterator(From::TrimHorizon).await?;
        for _ in 0..8 {
            let page = self.read(&next, 10_000).await?;
            match page.next_shard_iterator() {
                Some(iterator) => next = iterator.to_owned(),
                None => return Ok(Some(page)),
            }
        }
        Ok(None)
    }

    /// Registers a consumer, waits until it can be used, and tells its ARN.
    pub(super) async fn register(&self) -> Verdict<String> {
        let stream = self.settled().await?.stream_arn;
        let register = self.client.register_stream_consumer().stream_arn(stream).consumer_name("app");
        let consumer = register.send().await.of("RegisterStreamConsumer")?.consumer;
        let arn = consumer.map(|consumer| consumer.consumer_arn).unwrap_or_default();
        loop {
            let output = self.client.describe_stream_consumer().consumer_arn(&arn).send().await;
            let described = output.of("DescribeStreamConsumer")?.consumer_description;
            if described.is_some_and(|consumer| consumer.consumer_status == ConsumerStatus::Active) {
                return Ok(arn);
            }
            self.backend.pass(LOOK).await;
        }
    }
}

/// Whether a call may be repeated in a while.
fn is_throttle(error: Option<&impl aws_sdk_kinesis::error::ProvideErrorMetadata>) -> bool {
    error.and_then(aws_sdk_kinesis::error::ProvideErrorMetadata::code) == Some(THROTTLED)
}

/// An entry of `PutRecords`.
pub(super) fn entry(data: &str) -> PutRecordsRequestEntry {
    let entry = PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new(data)).build();
    entry.expect("it has its key and its data")
}
