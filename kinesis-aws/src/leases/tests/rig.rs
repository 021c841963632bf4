//! Stores over a server of their own, and ways to look behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::Database;
use kinesis_core::StreamId;
use tokio::net::TcpListener;

use crate::leases::item::Item;
use crate::tests::SECRET;
use crate::{CreateTable, DynamoLeaseStore, DynamoLeaseStoreBuilder};

/// Names another server than the embedded one.
const ENDPOINT_VARIABLE: &str = "KINESIS_TOOLKIT_DYNAMODB_ENDPOINT";

/// A server, and a table name that nobody else has.
pub(super) struct Server {
    pub(super) config: SdkConfig,
    pub(super) table: String,
}

impl Server {
    /// The embedded server on a port of its own; or the one that the environment names.
    pub(super) async fn start() -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        let table = format!("app-{}-{}", std::process::id(), TABLES.fetch_add(1, Ordering::Relaxed));
        let endpoint = match std::env::var(ENDPOINT_VARIABLE) {
            Ok(endpoint) => endpoint,
            Err(_) => embedded().await,
        };
        Self { config: endpoint_config(&endpoint), table }
    }

    /// A store over the server's tables, which are created.
    pub(super) fn builder(&self) -> DynamoLeaseStoreBuilder {
        DynamoLeaseStore::builder(&*self.table).config(&self.config).create_table(CreateTable::IfMissing)
    }

    pub(super) async fn many_streams(&self) -> Arc<DynamoLeaseStore> {
        Arc::new(self.builder().multi_stream(true).connect().await.unwrap())
    }

    pub(super) async fn one_stream(&self) -> Arc<DynamoLeaseStore> {
        Arc::new(self.builder().stream(&orders()).connect().await.unwrap())
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.config)
    }

    /// An item of the lease table, as it is.
    pub(super) async fn item(&self, key: &str) -> Item {
        let call = self.client().get_item().table_name(&self.table).consistent_read(true);
        let output = call.key("leaseKey", AttributeValue::S(key.into())).send().await.unwrap();
        output.item.unwrap_or_default()
    }

    pub(super) async fn put(&self, item: Item) {
        self.client().put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
    }
}

pub(super) fn orders() -> StreamId {
    StreamId::new("orders")
}

async fn embedded() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, Database::memory().unwrap()));
    endpoint
}

fn endpoint_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("id", SECRET, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}
