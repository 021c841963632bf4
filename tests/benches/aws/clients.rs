//! Who reads: the loop that everybody writes over the SDK, `KinesisSource`, and a pipeline over it.

use std::future::pending;
use std::hint::black_box;
use std::num::NonZeroUsize;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream};
use kinesis_aws::{KinesisSource, WireFormat};
use kinesis_core::{BatchPolicy, Ordering, Pipeline, StartPosition, StreamSource, Subscription};
use kinesis_tests::measure::NoOp;

use super::Load;

const SHARD: &str = "shardId-000000000000";

/// A way to read a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    PlainLoop,
    /// In a format, and whether by the fast read.
    Source(WireFormat, bool),
    Pipeline,
    PlainEvents,
    Pushed,
}

/// Who reads, over one configuration.
#[derive(Debug)]
pub(crate) struct Clients {
    config: SdkConfig,
    sdk: Client,
}

impl Clients {
    pub(crate) fn new(endpoint: &str) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "bench")))
            .endpoint_url(endpoint)
            .build();
        Self { sdk: Client::new(&config), config }
    }

    /// Reads the whole stream.
    pub(crate) async fn read(&self, load: Load, way: Way) {
        let records = match way {
            Way::PlainLoop => self.plain_loop(load).await,
            Way::PlainEvents => self.plain_events(load).await,
            Way::Source(format, fast) => {
                let source = KinesisSource::builder(&self.config, load.stream).unlimited();
                read_all(&source.wire_format(format).fast_read(fast).connect().await.expect("the server is there"))
                    .await
            }
            Way::Pushed => {
                let source = KinesisSource::builder(&self.config, load.stream).consumer_arn(consumer(load));
                read_all(&source.connect().await.expect("the server is there")).await
            }
            Way::Pipeline => self.pipeline(load).await,
        };
        assert_eq!(records, load.records(), "{way:?}");
    }

    async fn plain_loop(&self, load: Load) -> usize {
        let made = self.sdk.get_shard_iterator().stream_name(load.stream).shard_id(SHARD);
        let made = made.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let (mut iterator, mut records) = (made.expect("the server is there").shard_iterator, 0);
        while let Some(next) = iterator {
            let read = self.sdk.get_records().shard_iterator(next).limit(10_000).send().await.expect("it answers");
            records += read.records.len();
            iterator = read.next_shard_iterator;
            black_box(read.records);
        }
        records
    }

    async fn plain_events(&self, load: Load) -> usize {
        let from = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().expect("it has a type");
        let subscribed = self.sdk.subscribe_to_shard().consumer_arn(consumer(load)).shard_id(SHARD);
        let mut events = subscribed.starting_position(from).send().await.expect("it answers").event_stream;
        let mut records = 0;
        while let Some(event) = events.recv().await.expect("events are well formed") {
            if let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event {
                records += event.records.len();
                black_box(event.records);
            }
        }
        records
    }

    async fn pipeline(&self, load: Load) -> usize {
        let source = KinesisSource::builder(&self.config, load.stream).unlimited();
        let subscription = Subscription::new("bench", NoOp)
            .start_at(StartPosition::TrimHorizon)
            .ordering(Ordering::per_key(8))
            .batch(BatchPolicy::of(500));
        let pipeline = Pipeline::builder("bench", source.connect().await.expect("the server is there"));
        let pipeline = pipeline.subscribe(subscription).build().expect("the configuration is valid");
        let summary = pipeline.run_until(pending()).await.expect("memory does not fail");
        summary.subscriptions["bench"].delivered as usize
    }
}

fn consumer(load: Load) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}/consumer/bench:1", load.stream)
}

async fn read_all(source: &KinesisSource) -> usize {
    let mut reader = source.open_shard(&SHARD.into(), StartPosition::TrimHorizon).await.expect("it opens");
    let most = NonZeroUsize::new(10_000).expect("10,000 is not 0");
    let mut records = 0;
    loop {
        let batch = reader.next_batch(most).await.expect("it answers");
        records += batch.records.len();
        if batch.end.is_some() {
            return records;
        }
        black_box(batch);
    }
}
