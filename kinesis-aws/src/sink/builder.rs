//! What a [`KinesisSink`] is made with.

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use kinesis_core::{Error, Result};
use tokio::sync::Semaphore;

use super::KinesisSink;
use crate::target::Target;
use crate::{client, found};

/// The largest record a stream takes unless more was asked for, 1 MiB, and the most that can be asked for, 10 MiB (API
/// reference of `PutRecords` and `UpdateMaxRecordSize`).
const DEFAULT_RECORD: usize = 1 << 20;
const LARGEST_RECORD: usize = 10 << 20;
/// Requests under way at once, unless told otherwise.
const CONCURRENCY: usize = 16;

/// Makes a [`KinesisSink`]; see [`KinesisSink::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct KinesisSinkBuilder {
    config: Option<SdkConfig>,
    client: Option<Client>,
    stream: String,
    aggregate: bool,
    ordered: bool,
    max_record: usize,
    concurrency: usize,
}

impl KinesisSink {
    /// Starts a sink onto a stream, named by its name or its ARN. It has a client of its own without retries.
    pub fn builder(config: &SdkConfig, stream: impl Into<String>) -> KinesisSinkBuilder {
        KinesisSinkBuilder::new(Some(config.clone()), None, stream.into())
    }

    /// Starts a sink with a client as it is. Its retries would put records a second time, in another order: turn them off.
    pub fn builder_with(client: Client, stream: impl Into<String>) -> KinesisSinkBuilder {
        KinesisSinkBuilder::new(None, Some(client), stream.into())
    }

    /// Finds the stream with everything else at its default: `KinesisSink::builder(config, stream).connect()`.
    ///
    /// # Errors
    ///
    /// As [`KinesisSinkBuilder::connect`].
    pub async fn connect(config: &SdkConfig, stream: impl Into<String>) -> Result<Self> {
        Self::builder(config, stream).connect().await
    }
}

impl KinesisSinkBuilder {
    fn new(config: Option<SdkConfig>, client: Option<Client>, stream: String) -> Self {
        Self {
            config,
            client,
            stream,
            aggregate: false,
            ordered: true,
            max_record: DEFAULT_RECORD,
            concurrency: CONCURRENCY,
        }
    }

    /// Whether the records of a key in a delivery are put together, as the Kinesis Producer Library does: far fewer entries,
    /// and order is kept without further requests. Readers have to [unpack](crate::kpl) them. Default no.
    pub fn aggregate(mut self, aggregate: bool) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Fills requests without regard to keys: records of one key may change places when the stream refuses some of them.
    pub fn unordered(mut self) -> Self {
        self.ordered = false;
        self
    }

    /// The largest record in bytes, payload and partition key together. Default 1 MiB; up to 10 MiB where the stream was
    /// told so (`UpdateMaxRecordSize`).
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record = bytes;
        self
    }

    /// How many requests may be under way at once. Default 16.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// Finds the stream.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for a setting that cannot work, and otherwise as
    /// [`KinesisSourceBuilder::connect`](crate::KinesisSourceBuilder::connect).
    pub async fn connect(self) -> Result<KinesisSink> {
        if !(1..=LARGEST_RECORD).contains(&self.max_record) {
            let bytes = self.max_record;
            return Err(Error::invalid(format!("max_record_bytes is {bytes}, but must be from 1 to {LARGEST_RECORD}")));
        }
        if !(1..=Semaphore::MAX_PERMITS).contains(&self.concurrency) {
            return Err(Error::invalid(format!("concurrency is {}, but must be 1 at least", self.concurrency)));
        }
        let target = Target::parse(&self.stream)?;
        let client = client::of(self.config.as_ref(), self.client, &target)?;
        found::find(&client, &target).await?;
        Ok(KinesisSink {
            client,
            target,
            aggregate: self.aggregate,
            ordered: self.ordered,
            max_record: self.max_record,
            turns: Semaphore::new(self.concurrency),
        })
    }
}
