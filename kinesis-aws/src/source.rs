//! The stream as a source: listed page by page, and read shard by shard, polled or pushed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use kinesis_core::limit::{LimiterStatus, ShardLimiters};
use kinesis_core::{
    Error, ErrorKind, HashRange, Result, Shard, ShardId, ShardReader, SourceCaps, StartPosition, StreamId, StreamSource,
};

use crate::builder::KinesisSourceBuilder;
use crate::classify::classify;
use crate::convert;
use crate::cursor::Cursor;
use crate::fanout::{FanOut, FanOutReader};
use crate::found::{self, Found};
use crate::kpl::{Aggregates, Unpacked};
use crate::polling::Polling;
use crate::reader::{KinesisReader, Poller};

/// The variable that names the stream, for [`KinesisSource::from_env`].
pub const STREAM_NAME_VARIABLE: &str = "KINESIS_STREAM_NAME";

/// A Kinesis stream, polled with `GetRecords` or pushed by enhanced fan-out.
///
/// A position that was trimmed starts at the trim horizon, as the service has it; the first record's number tells.
/// [`Latest`](StartPosition::Latest) is pinned when a shard is opened. Should the iterator expire before the first
/// record, reading goes on from that instant, by the service's clock and rounded down to the second: a record of the
/// second before may come too, none is missed.
#[derive(Clone)]
pub struct KinesisSource {
    shared: Arc<Shared>,
}

/// What a source is made of.
pub(crate) struct Shared {
    pub(crate) id: StreamId,
    pub(crate) polling: Arc<Polling>,
    pub(crate) limiters: Option<ShardLimiters>,
    pub(crate) aggregates: Aggregates,
    pub(crate) unpacked: Unpacked,
    /// Who subscribes, where records are pushed.
    pub(crate) fan_out: Option<Arc<FanOut>>,
    /// The hash keys of the shards that were listed.
    pub(crate) ranges: Mutex<BTreeMap<ShardId, HashRange>>,
}

impl KinesisSource {
    /// Starts a source over a stream, named by its name or its ARN. Only the ARN reaches into another account.
    ///
    /// The source has a client of its own that retries nothing and gives every call a deadline. Timeouts set in `config`
    /// are kept; its retry settings are not used, because a retry inside the SDK would hide throttling from whoever paces
    /// the reads.
    pub fn builder(config: &SdkConfig, stream: impl Into<String>) -> KinesisSourceBuilder {
        KinesisSourceBuilder::new(Some(config.clone()), None, stream.into())
    }

    /// Starts a source with a client as it is. Turn its retries off and set an attempt timeout: the SDK has none.
    pub fn builder_with(client: Client, stream: impl Into<String>) -> KinesisSourceBuilder {
        KinesisSourceBuilder::new(None, Some(client), stream.into())
    }

    /// Finds the stream with everything else at its default: `KinesisSource::builder(config, stream).connect()`.
    ///
    /// # Errors
    ///
    /// As [`KinesisSourceBuilder::connect`].
    pub async fn connect(config: &SdkConfig, stream: impl Into<String>) -> Result<Self> {
        Self::builder(config, stream).connect().await
    }

    /// Finds the stream that `KINESIS_STREAM_NAME` names, by name or ARN; region, credentials and endpoint
    /// (`AWS_ENDPOINT_URL_KINESIS`) come from where the SDK looks for them.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when the variable is not set, and as [`KinesisSourceBuilder::connect`].
    pub async fn from_env() -> Result<Self> {
        let stream = std::env::var(STREAM_NAME_VARIABLE).map_err(|error| {
            Error::invalid(format!("{STREAM_NAME_VARIABLE} names no stream: set it to a name or an ARN")).because(error)
        })?;
        Self::connect(&aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await, stream).await
    }

    pub(crate) fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// What unpacking aggregates has met so far.
    #[must_use]
    pub fn unpacked(&self) -> Unpacked {
        self.shared.unpacked.clone()
    }

    /// Asks for all shards of the stream that was found, not of another one of its name.
    async fn list(&self) -> Result<Vec<Shard>> {
        let Polling { client, target, .. } = &*self.shared.polling;
        let created_at = self.shared.id.created_at.map(Into::into);
        let request = client.list_shards().set_stream_name(target.call_name()).set_stream_arn(target.call_arn());
        let mut request = request.set_stream_creation_timestamp(created_at);
        let mut shards = Vec::new();
        loop {
            let page = request.send().await.map_err(|error| classify("ListShards", target.name(), error))?;
            for shard in page.shards() {
                shards.push(convert::shard(shard)?);
            }
            match page.next_token {
                // The service refuses a token that comes with anything else.
                Some(token) => request = client.list_shards().next_token(token),
                None => return Ok(shards),
            }
        }
    }

    /// Whether a stream that is not found has made room for another one of its name.
    async fn explain(&self, error: Error) -> Error {
        let Polling { client, target, .. } = &*self.shared.polling;
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        match found::look(client, target).await {
            Ok(Found { id: now, .. }) if now.created_at != self.shared.id.created_at => Error::permanent(format!(
                "the stream {target} was deleted and another one of its name created: what was read and where reading \
                 stopped belong to the old one. Start again to read the new one from its beginning"
            ))
            .because(error),
            _ => error,
        }
    }

    fn cursor(&self, shard: &ShardId, from: StartPosition) -> Cursor {
        let range = self.shared.ranges.lock().unwrap_or_else(PoisonError::into_inner).get(shard).copied();
        Cursor::new(from, self.shared.aggregates.unpacker(shard, range, from, &self.shared.unpacked))
    }
}

#[async_trait]
impl StreamSource for KinesisSource {
    fn stream(&self) -> &StreamId {
        &self.shared.id
    }

    fn caps(&self) -> SourceCaps {
        // No stream keeps its records for less than a day (quotas page of the developer guide).
        SourceCaps::log().with_retains(Duration::from_secs(24 * 60 * 60)).with_parks(self.shared.fan_out.is_some())
    }

    fn limiter(&self, shard: &ShardId) -> Option<LimiterStatus> {
        self.shared.limiters.as_ref().map(|limiters| limiters.reading(shard).status())
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        if let Some(limiters) = &self.shared.limiters {
            limiters.listing().acquire().await;
        }
        let shards = match self.list().await {
            Ok(shards) => shards,
            Err(error) => return Err(self.explain(error).await),
        };
        if let Some(limiters) = &self.shared.limiters {
            limiters.keep_listed(&shards);
        }
        let ranges = shards.iter().filter_map(|shard| Some((shard.id.clone(), shard.hash_range?))).collect();
        *self.shared.ranges.lock().unwrap_or_else(PoisonError::into_inner) = ranges;
        Ok(shards)
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let cursor = self.cursor(shard, from);
        let limiter = self.shared.limiters.as_ref().map(|limiters| limiters.reading(shard));
        let poller = Poller::new(Arc::clone(&self.shared.polling), shard.clone(), limiter);
        // The first reader of a shard is pushed to; others are there to catch up, and poll.
        if let Some(fan_out) = &self.shared.fan_out
            && let Some(taken) = fan_out.take(shard)
        {
            let reader = FanOutReader::open(Arc::clone(fan_out), taken, poller, from, cursor);
            return Ok(Box::new(reader.await?));
        }
        if let Some(limiters) = &self.shared.limiters {
            limiters.opening(shard).acquire().await;
        }
        Ok(Box::new(KinesisReader::open(poller, from, cursor).await?))
    }
}

impl fmt::Debug for KinesisSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSource").field("stream", &self.shared.id).finish_non_exhaustive()
    }
}
