//! What a [`KinesisSource`] is made with, and how it finds its stream.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use kinesis_core::Result;
use kinesis_core::limit::{Limits, ShardLimiters};

use crate::fanout::{self, FanOut};
use crate::found::{self, Found};
use crate::kpl::{Aggregates, Unpacked};
use crate::polling::Polling;
use crate::source::{KinesisSource, Shared};
use crate::target::Target;
use crate::{WireFormat, client};

/// Makes a [`KinesisSource`]; see [`KinesisSource::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct KinesisSourceBuilder {
    config: Option<SdkConfig>,
    client: Option<Client>,
    stream: String,
    limits: Option<ShardLimiters>,
    wire_format: WireFormat,
    fast_read: bool,
    aggregates: Aggregates,
    consumer: Option<Consumer>,
}

/// Who subscribes.
#[derive(Debug, Clone)]
enum Consumer {
    Named(String),
    Arn(String),
}

impl KinesisSourceBuilder {
    pub(crate) fn new(config: Option<SdkConfig>, client: Option<Client>, stream: String) -> Self {
        Self {
            config,
            client,
            stream,
            limits: Some(Limits::kinesis_shard().into()),
            wire_format: WireFormat::default(),
            fast_read: true,
            aggregates: Aggregates::default(),
            consumer: None,
        }
    }

    /// Keeps the reads of each shard within these limits. Default [`Limits::kinesis_shard`]; give it a
    /// [share](Limits::with_share) where other applications poll the same stream, or [`ShardLimiters`] that several sources
    /// over the same stream have in common.
    pub fn limits(mut self, limits: impl Into<ShardLimiters>) -> Self {
        self.limits = Some(limits.into());
        self
    }

    /// Reads as fast as the pipeline asks. Against the service that ends in throttling; a server without limits is read
    /// sooner.
    pub fn unlimited(mut self) -> Self {
        self.limits = None;
        self
    }

    /// How records travel. Default [`WireFormat::Json`].
    pub fn wire_format(mut self, format: WireFormat) -> Self {
        self.wire_format = format;
        self
    }

    /// Whether answers are read by the source itself instead of by the SDK, which takes several times as long. Default yes.
    /// What the fast way does not understand is read again the plain way.
    pub fn fast_read(mut self, fast: bool) -> Self {
        self.fast_read = fast;
        self
    }

    /// What becomes of records that were put together by the Kinesis Producer Library. Default: they are unpacked.
    pub fn aggregates(mut self, aggregates: Aggregates) -> Self {
        self.aggregates = aggregates;
        self
    }

    /// Has the service push records to the registered consumer of this name, by enhanced fan-out; it is registered if there
    /// is none. Default: shards are polled.
    ///
    /// An application needs a consumer of its own: two that share one take each other's subscriptions away.
    pub fn consumer(mut self, name: impl Into<String>) -> Self {
        self.consumer = Some(Consumer::Named(name.into()));
        self
    }

    /// Has the service push records to the registered consumer of this ARN. Registering and looking for it is left out, and
    /// so are the permissions for that.
    pub fn consumer_arn(mut self, arn: impl Into<String>) -> Self {
        self.consumer = Some(Consumer::Arn(arn.into()));
        self
    }

    /// Finds the stream, and the consumer where there is one.
    ///
    /// # Errors
    ///
    /// [`NotFound`](kinesis_core::ErrorKind::NotFound) when there is no such stream,
    /// [`Denied`](kinesis_core::ErrorKind::Denied) when credentials are missing or do not allow it,
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for a name or ARN that is none, when no region is configured or
    /// another than the ARN's, and when no further consumer can be registered, and
    /// [`Transient`](kinesis_core::ErrorKind::Transient) when the service does not answer within ten seconds.
    pub async fn connect(self) -> Result<KinesisSource> {
        let target = Target::parse(&self.stream)?;
        let client = client::of(self.config.as_ref(), self.client, &target)?;
        let Found { id, arn } = found::find(&client, &target).await?;
        let consumer = match self.consumer {
            None => None,
            Some(Consumer::Arn(arn)) => Some(arn),
            Some(Consumer::Named(name)) => Some(fanout::register(&client, target.name(), &arn, &name).await?),
        };
        let fan_out = consumer.map(|consumer| {
            let (client, stream) = (client.clone(), target.name().clone());
            Arc::new(FanOut::new(client, stream, consumer, self.fast_read, self.wire_format))
        });
        let polling = Polling {
            client,
            target,
            fast: self.fast_read,
            wire_format: self.wire_format,
            beside_fan_out: fan_out.is_some(),
        };
        Ok(KinesisSource::of(Shared {
            id,
            polling: Arc::new(polling),
            limiters: self.limits,
            aggregates: self.aggregates,
            unpacked: Unpacked::default(),
            fan_out,
            ranges: Mutex::default(),
        }))
    }
}
