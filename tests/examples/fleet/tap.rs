//! The lease table: an embedded DynamoDB-compatible server, with a door for each worker where its writes are looked at.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dynoxide::Database;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_tests::lease_log::{LeaseLog, Write};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What changes an item.
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// The server, and what was written on it.
#[derive(Debug, Clone)]
pub(crate) struct Tap {
    server: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    log: Arc<Mutex<LeaseLog>>,
    /// Writes go on one after the other, so that they are known in the order in which the server does them.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Tap {
    /// An empty server. The leases are in this table, and pass on after `failover`.
    pub(crate) async fn start(table: &str, failover: Duration) -> Self {
        let listener = bind().await;
        let server = address(&listener);
        let database = Database::memory().expect("a database in memory can be made");
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self {
            server,
            client: Client::builder(TokioExecutor::new()).build_http(),
            log: Arc::new(Mutex::new(LeaseLog::new(table, failover))),
            turn: Arc::default(),
        }
    }

    /// The endpoint of a worker: what comes there is its own.
    pub(crate) async fn door(&self, worker: usize) -> String {
        let listener = bind().await;
        let endpoint = format!("http://{}", address(&listener));
        let tap = self.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let tap = tap.clone();
                let service = service_fn(move |request| answer(request, worker, tap.clone()));
                // A connection breaks when its worker is killed.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service),
                );
            }
        });
        endpoint
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, LeaseLog> {
        self.log.lock().expect("nothing panics while it holds the lock")
    }

    /// Has the server do it; a write is taken down before anybody hears of it.
    async fn pass_on(
        &self,
        worker: usize,
        operation: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, String> {
        let writes = WRITES.contains(&operation);
        let body: Value = if writes { serde_json::from_slice(request.body()).unwrap_or_default() } else { Value::Null };
        let _turn = if writes { Some(self.turn.lock().await) } else { None };
        let at = Instant::now();
        let response = self.client.request(request.map(Full::new)).await.map_err(|error| error.to_string())?;
        let (head, reply) = response.into_parts();
        let reply = reply.collect().await.map_err(|error| error.to_string())?.to_bytes();
        if writes {
            let told: Value = serde_json::from_slice(&reply).unwrap_or_default();
            let told = if head.status.is_success() { Ok(&told) } else { Err(&told) };
            self.log().take(&Write { at, worker, operation, request: &body, reply: told });
        }
        Ok(Response::from_parts(head, reply))
    }
}

async fn answer(request: Request<Incoming>, worker: usize, tap: Tap) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    head.uri = Uri::builder()
        .scheme("http")
        .authority(tap.server.to_string())
        .path_and_query(head.uri.path_and_query().map_or("/", |path| path.as_str()))
        .build()
        .expect("an address and a path make a URI");
    // A task of its own: the server has done it even where the worker was killed before it heard of it.
    let passed = tokio::spawn(async move { tap.pass_on(worker, &operation, Request::from_parts(head, body)).await });
    let passed = passed.await.unwrap_or_else(|error| Err(error.to_string()));
    Ok(passed.map(|response| response.map(Full::new)).unwrap_or_else(|error| {
        let mut response = Response::new(Full::from(error));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn bind() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.expect("this machine has a free port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("the socket is bound")
}
