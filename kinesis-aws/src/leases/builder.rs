//! What a [`DynamoLeaseStore`] is made with, and the look at its tables before it starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use kinesis_core::observe::Silent;
use kinesis_core::{Error, Observer, Result, StreamId};

use super::calls::Table;
use super::item::LEASE_KEY;
use super::key::{self, Keys};
use super::moved::Moves;
use super::rows::{MOST_CURSORS, Rows};
use super::second::{KIND, NAME, Second};
use super::store::DynamoLeaseStore;
use super::table::{CreateTable, Shape, prepare};
use crate::client;

/// Makes a [`DynamoLeaseStore`]; see [`DynamoLeaseStore::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DynamoLeaseStoreBuilder {
    table: String,
    config: Option<SdkConfig>,
    client: Option<Client>,
    endpoint: Option<String>,
    create_table: CreateTable,
    multi_stream: bool,
    /// By the name that a stream has in keys, where it was given one.
    streams: Vec<(Option<String>, StreamId)>,
    observer: Arc<dyn Observer>,
    most_cursors: usize,
}

impl DynamoLeaseStoreBuilder {
    pub(super) fn new(application: String) -> Self {
        Self {
            table: application,
            config: None,
            client: None,
            endpoint: None,
            create_table: CreateTable::default(),
            multi_stream: false,
            streams: Vec::new(),
            observer: Arc::new(Silent),
            most_cursors: MOST_CURSORS,
        }
    }

    /// The lease table. Default: the application's name, as with the KCL. The second table has `-subscriptions` behind it.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// Takes region, credentials and endpoint from here. Default: from where the SDK looks for them (environment, profile,
    /// role).
    ///
    /// The store has a client of its own that retries nothing and gives every call a deadline of a few seconds, because a
    /// renewal that comes late is worth nothing. Timeouts set here are kept.
    pub fn config(mut self, config: &SdkConfig) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// Uses a client as it is. Give it an attempt timeout well below the pipeline's
    /// [`failover`](kinesis_core::PipelineBuilder::failover): the SDK has none. Its retries do no harm.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Where DynamoDB is, for an emulator. Default: where the SDK says, which listens to `AWS_ENDPOINT_URL_DYNAMODB`. A
    /// client that was brought has its own.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// What to do when a table is missing. Default [`CreateTable::Never`].
    pub fn create_table(mut self, create: CreateTable) -> Self {
        self.create_table = create;
        self
    }

    /// Names a stream whose leases the table has: the pipeline's `source.stream()`. A table of one stream needs it, because
    /// its keys are ids of shards alone.
    pub fn stream(mut self, stream: &StreamId) -> Self {
        self.streams.push((None, stream.clone()));
        self
    }

    /// As [`stream`](Self::stream), where a KCL application that shares the table gave the stream this name,
    /// `account:stream:epoch`, with an epoch that is not the second of the stream's creation.
    pub fn stream_named(mut self, name: impl Into<String>, stream: &StreamId) -> Self {
        self.streams.push((Some(name.into()), stream.clone()));
        self
    }

    /// Whether many streams share the table, as in the KCL's multi-stream mode: keys are `account:stream:epoch:shardId`.
    /// Default no. A table is of one kind or the other.
    pub fn multi_stream(mut self, many: bool) -> Self {
        self.multi_stream = many;
        self
    }

    /// Tells this observer what each call consumed, as [`Event::StoreConsumed`](kinesis_core::Event::StoreConsumed).
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Looks at the tables, and creates them where that was asked for.
    ///
    /// # Errors
    ///
    /// [`NotFound`](kinesis_core::ErrorKind::NotFound) for a table that is missing and may not be created,
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for one of another shape, a table of one stream without its stream, and
    /// when no region is configured, [`Denied`](kinesis_core::ErrorKind::Denied) when credentials are missing or do not
    /// allow it, [`Throttled`](kinesis_core::ErrorKind::Throttled) and
    /// [`Transient`](kinesis_core::ErrorKind::Transient) when DynamoDB does not answer, or a table is not ready in time.
    ///
    /// # Cancel safety
    ///
    /// A table that is being created stays.
    pub async fn connect(self) -> Result<DynamoLeaseStore> {
        let keys = self.keys()?;
        let client = match (self.client, self.config) {
            (Some(client), _) => client,
            (None, Some(config)) => client::for_leases(&config, self.endpoint),
            (None, None) => {
                client::for_leases(&aws_config::load_defaults(BehaviorVersion::latest()).await, self.endpoint)
            }
        };
        if client.config().region().is_none() {
            return Err(client::no_region());
        }
        let table = |name: String| Table { client: client.clone(), name, observer: Arc::clone(&self.observer) };
        let (leases, second) = (table(self.table.clone()), table(format!("{}-subscriptions", self.table)));
        prepare(&leases, &Shape { hash: LEASE_KEY, range: None }, self.create_table).await?;
        prepare(&second, &Shape { hash: KIND, range: Some(NAME) }, self.create_table).await?;
        let (second, most_cursors, moves) = (Second(second), self.most_cursors, Moves::default());
        Ok(DynamoLeaseStore::of(Rows { leases, second, keys, most_cursors, moves }))
    }

    /// Has cursors of more bytes than this in the second table.
    #[cfg(test)]
    pub(super) fn most_cursors(mut self, bytes: usize) -> Self {
        self.most_cursors = bytes;
        self
    }

    fn keys(&self) -> Result<Keys> {
        if self.multi_stream {
            let name = |(name, stream): &(Option<String>, StreamId)| {
                (name.clone().unwrap_or_else(|| key::spell(stream)), stream.clone())
            };
            return Ok(Keys::ManyStreams(self.streams.iter().map(name).collect::<BTreeMap<_, _>>()));
        }
        match &*self.streams {
            [(None, stream)] => Ok(Keys::OneStream(stream.clone())),
            [] => Err(Error::invalid(format!(
                "the keys of the lease table {} do not name a stream: name it, with stream(source.stream()), or use \
                 multi_stream(true)",
                self.table
            ))),
            _ => Err(Error::invalid(format!(
                "the lease table {} is of one stream, and it was given several or one with a name: use multi_stream(true)",
                self.table
            ))),
        }
    }
}
