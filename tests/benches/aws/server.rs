//! The server: a stream for each load, and answers that are encoded once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::encode::{cbor, frame, json};
use super::{LOADS, Load};

/// The argument with which this program is the server.
pub(crate) const SERVE: &str = "serve";

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";

/// Starts the server in a process of its own; answers where it is.
pub(crate) async fn start() -> (String, Child) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program)
        .arg(SERVE)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program can be started again");
    let stdout = child.stdout.take().expect("it is piped");
    let line = BufReader::new(stdout).lines().next_line().await.expect("it can be read").expect("it says its address");
    (line, child)
}

/// Serves until it is killed.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    println!("http://{}", listener.local_addr().expect("it is bound"));
    let server = Arc::new(Server::default());
    loop {
        let (socket, _) = listener.accept().await.expect("connections come");
        socket.set_nodelay(true).expect("it is a socket");
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            // A client that is gone wants no answer.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

type Body = BoxBody<Bytes, Infallible>;

#[derive(Default)]
struct Server {
    /// What was encoded, by what it is.
    encoded: Mutex<BTreeMap<String, Bytes>>,
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let operation = header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
        let in_cbor = header("content-type") == CBOR;
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if operation == "SubscribeToShard" {
            return self.subscribe(load_of(&body));
        }
        let (content_type, bytes) = match &*operation {
            "GetRecords" => {
                let (load, call) = iterator_of(&body);
                let content_type = if in_cbor { CBOR } else { JSON };
                (content_type, self.records(load, call, in_cbor))
            }
            _ => (JSON, self.describe(&operation, load_of(&body))),
        };
        let response = Response::builder().header("content-type", content_type);
        response.body(Full::new(bytes).boxed()).expect("the header is well formed")
    }

    fn once(&self, name: String, encode: impl FnOnce() -> Vec<u8>) -> Bytes {
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        encoded.entry(name).or_insert_with(|| encode().into()).clone()
    }

    fn records(&self, load: Load, call: usize, in_cbor: bool) -> Bytes {
        self.once(format!("{} {call} {in_cbor}", load.stream), || {
            let (first, last) = (call * load.per_call, call + 1 == load.calls);
            let next = (!last).then(|| iterator(load, call + 1));
            match in_cbor {
                true => cbor(load, first, load.per_call, next.as_deref()),
                false => json(load, first, load.per_call, "NextShardIterator", next.as_deref()),
            }
        })
    }

    /// Everything in one subscription, and then its end.
    fn subscribe(&self, load: Load) -> Response<Body> {
        let events = load.records() / load.per_event;
        let initial = frame("initial-response", b"{}");
        let frames: Vec<Bytes> = (0..events)
            .map(|nth| {
                self.once(format!("{} event {nth}", load.stream), || {
                    let next = (nth + 1 < events).then_some("49600000000000000000000000");
                    let first = nth * load.per_event;
                    let payload = json(load, first, load.per_event, "ContinuationSequenceNumber", next);
                    frame("SubscribeToShardEvent", &payload).to_vec()
                })
            })
            .collect();
        let all = std::iter::once(initial).chain(frames).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        let body = StreamBody::new(tokio_stream::iter(all.collect::<Vec<_>>()));
        let response = Response::builder().header("content-type", "application/vnd.amazon.eventstream");
        response.body(BodyExt::boxed(body)).expect("the header is well formed")
    }

    fn describe(&self, operation: &str, load: Load) -> Bytes {
        let shard = json!({
            "ShardId": "shardId-000000000000",
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string()},
            "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"},
        });
        let answer = match operation {
            "ListShards" => json!({"Shards": [shard]}),
            "GetShardIterator" => json!({"ShardIterator": iterator(load, 0)}),
            _ => json!({"StreamDescriptionSummary": {
                "StreamName": load.stream,
                "StreamARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", load.stream),
                "StreamStatus": "ACTIVE",
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": 1_704_067_200,
                "EnhancedMonitoring": [],
                "OpenShardCount": 1,
            }}),
        };
        answer.to_string().into()
    }
}

fn iterator(load: Load, call: usize) -> String {
    format!("{}:{call}:{}", load.stream, "A".repeat(200))
}

/// The load whose name is in a request, in whatever encoding.
fn load_of(body: &[u8]) -> Load {
    let has = |name: &str| body.windows(name.len()).any(|part| part == name.as_bytes());
    let found = LOADS.iter().rev().find(|load| has(load.stream));
    *found.expect("a request names a stream of this server")
}

/// The load and the call that the iterator in a request names: it is the text between two quotes or two lengths.
fn iterator_of(body: &[u8]) -> (Load, usize) {
    let load = load_of(body);
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => json["ShardIterator"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let after = text.split_once(&format!("{}:", load.stream)).expect("an iterator is ours").1;
    (load, after.split(':').next().and_then(|call| call.parse().ok()).expect("an iterator is ours"))
}
