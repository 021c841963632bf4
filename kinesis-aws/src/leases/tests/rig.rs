//! Stores over a server of their own, ways to look behind them, and a connection that fails as it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use kinesis_core::{Event, Observer, StreamId};
use tokio::net::TcpListener;

use crate::leases::item::Item;
use crate::tests::sdk_config;
use crate::{CreateTable, DynamoLeaseStore, DynamoLeaseStoreBuilder};

/// Names another server than the embedded one.
const ENDPOINT_VARIABLE: &str = "KINESIS_TOOLKIT_DYNAMODB_ENDPOINT";

/// A server, a way to it, and a table name that nobody else has.
pub(super) struct Server {
    pub(super) config: SdkConfig,
    pub(super) wire: Wire,
    pub(super) table: String,
    pub(super) consumed: Arc<Consumed>,
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
        let wire = Wire { inner: SharedHttpClient::new(Builder::new().build_http()), faults: Arc::default() };
        let config = sdk_config(wire.clone()).into_builder().endpoint_url(endpoint).build();
        Self { config, wire, table, consumed: Arc::default() }
    }

    /// A store over the server's tables, which are created.
    pub(super) fn builder(&self) -> DynamoLeaseStoreBuilder {
        let observer = Arc::clone(&self.consumed) as Arc<dyn Observer>;
        let builder = DynamoLeaseStore::builder(&*self.table).config(&self.config).observer(observer);
        builder.create_table(CreateTable::IfMissing)
    }

    pub(super) async fn many_streams(&self) -> Arc<DynamoLeaseStore> {
        Arc::new(self.builder().multi_stream(true).connect().await.unwrap())
    }

    pub(super) async fn one_stream(&self) -> Arc<DynamoLeaseStore> {
        Arc::new(self.builder().stream(&orders()).connect().await.unwrap())
    }

    /// A store that has all cursors in the second table.
    pub(super) async fn apart(&self, many_streams: bool) -> Arc<DynamoLeaseStore> {
        let builder = self.builder().most_cursors(0);
        let builder = if many_streams { builder.multi_stream(true) } else { builder.stream(&orders()) };
        Arc::new(builder.connect().await.unwrap())
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

    /// How many items of cursors the second table has.
    pub(super) async fn moved(&self) -> usize {
        let call = self.client().scan().table_name(format!("{}-subscriptions", self.table)).consistent_read(true);
        let items = call.send().await.unwrap().items.unwrap_or_default();
        items.iter().filter(|item| item.contains_key("cursors")).count()
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

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Nothing goes wrong.
    None,
    /// It is done, and the answer is lost.
    LoseReply,
    /// It never arrives.
    LoseRequest,
    /// It takes this much longer.
    Slow(Duration),
    /// It is done after this time; whoever waits has given up by then.
    Late(Duration),
    /// It is refused with this code.
    Refuse(&'static str),
}

/// A connection to the server whose calls fail as they are told: the next ones of an operation, in turn.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    inner: SharedHttpClient,
    faults: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
}

impl Wire {
    /// Has the next calls of an operation fail like this.
    pub(super) fn fail(&self, operation: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults.into_iter().map(|fault| (operation, fault)));
    }

    /// Whether every fault has happened.
    pub(super) fn is_done(&self) -> bool {
        self.faults.lock().unwrap().is_empty()
    }

    fn next(&self, request: &HttpRequest) -> Fault {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let mut faults = self.faults.lock().unwrap();
        let nth = faults.iter().position(|(operation, _)| target.ends_with(&format!(".{operation}")));
        nth.and_then(|nth| faults.remove(nth)).map_or(Fault::None, |(_, fault)| fault)
    }
}

#[derive(Debug)]
struct Connection {
    wire: Wire,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let broken = || ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
        let inner = self.inner.clone();
        match self.wire.next(&request) {
            Fault::None => inner.call(request),
            Fault::LoseRequest => HttpConnectorFuture::ready(Err(broken())),
            Fault::LoseReply => HttpConnectorFuture::new(async move {
                inner.call(request).await?;
                Err(broken())
            }),
            Fault::Slow(by) => HttpConnectorFuture::new(async move {
                tokio::time::sleep(by).await;
                inner.call(request).await
            }),
            Fault::Late(after) => {
                // Nobody may be waiting any more when it is done.
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = inner.call(request).await;
                });
                HttpConnectorFuture::new(std::future::pending())
            }
            Fault::Refuse(code) => {
                let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"told to"}}"#);
                let mut response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
                response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
                HttpConnectorFuture::ready(Ok(response))
            }
        }
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(Connection { wire: self.clone(), inner })
    }
}

/// Adds up what was consumed.
#[derive(Debug, Default)]
pub(super) struct Consumed(Mutex<(usize, f64, f64)>);

impl Consumed {
    /// Calls, read units and write units since this was asked last.
    pub(super) fn take(&self) -> (usize, f64, f64) {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Consumed {
    fn on(&self, event: &Event) {
        if let Event::StoreConsumed { reads, writes } = event {
            let mut sum = self.0.lock().unwrap();
            *sum = (sum.0 + 1, sum.1 + reads, sum.2 + writes);
        }
    }
}
