//! What `HttpSink` costs beside a bare hyper-util loop that sends the same bytes to the same server.
//!
//! The server is this program again, started with an argument, so that its work is not on our processor account. Both
//! sides keep 64 requests in flight; rounds alternate, and medians are compared, because a machine drifts.

use std::hint::black_box;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_core::{Delivery, Record, SequenceNumber, Sink, StreamId};
use kinesis_http_sink::HttpSink;
use kinesis_tests::measure::{Rounds, goal_at_least, round};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const IN_FLIGHT: usize = 64;
const REQUESTS: usize = 30_000;
const ROUNDS: usize = 7;
const GOAL: f64 = 0.8;
const SERVE: &str = "serve";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().any(|argument| argument == SERVE) {
        return serve().await;
    }
    let (uri, _server) = start_server().await;
    let deliveries: Vec<Delivery> = (0..IN_FLIGHT).map(delivery).collect();
    let bodies: Vec<(String, Bytes)> = deliveries.iter().map(request_of).collect();
    println!("{IN_FLIGHT} in flight, bodies of {} bytes, {REQUESTS} requests a round", bodies[0].1.len());

    let sink = HttpSink::builder(&uri.to_string()).concurrency(IN_FLIGHT).build().expect("the URL is our own");
    let sink = Arc::new(sink);
    let bare = bare_client();
    // One round of each unmeasured: connections are made and the processor warms up.
    with_sink(&sink, &deliveries).await;
    with_bare(&bare, &uri, &bodies).await;
    let (mut sinks, mut bares) = (Rounds::of(REQUESTS), Rounds::of(REQUESTS));
    for _ in 0..ROUNDS {
        bares.push(round(with_bare(&bare, &uri, &bodies)).await);
        sinks.push(round(with_sink(&sink, &deliveries)).await);
    }
    println!("bare hyper-util  {bares}");
    println!("HttpSink         {sinks}");
    goal_at_least("http", sinks.rate() / bares.rate(), GOAL);
}

/// One record of a little JSON, which makes a body of about 300 bytes.
fn delivery(nth: usize) -> Delivery {
    let number: SequenceNumber =
        "49569625073747986051284015760176917265900404709609439234".parse().expect("digits are a sequence number");
    let data = format!(
        r#"{{"member":{nth},"name":"a name of usual length","email":"somebody@example.test","plan":"yearly","registered":true}}"#
    );
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
    let record = Record::new(number.plus(nth as u64), "member-registered", data).with_arrived_at(at);
    Delivery::new(StreamId::new("stream"), "shardId-000000000000", "bench", vec![record])
}

/// The id and the body that the sink sends for a delivery of one record.
fn request_of(delivery: &Delivery) -> (String, Bytes) {
    let entry = delivery.iter().next().expect("the delivery has a record");
    let data = String::from_utf8(entry.data.to_vec()).expect("the payload is text");
    let body = format!(
        r#"{{"channel":"{}","sequenceNumber":"{}","data":{},"approximateArrivalTimestamp":1485507652.516}}"#,
        entry.channel(),
        entry.sequence_number,
        serde_json::Value::String(data),
    );
    (entry.id(), body.into())
}

async fn with_sink(sink: &Arc<HttpSink>, deliveries: &[Delivery]) {
    let tasks: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            let (sink, delivery) = (Arc::clone(sink), delivery.clone());
            tokio::spawn(async move {
                for _ in 0..REQUESTS / IN_FLIGHT {
                    let outcomes = sink.deliver(&delivery).await.expect("the server answers");
                    assert!(outcomes.all_delivered());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no request fails");
    }
}

type Bare = Client<HttpConnector, Full<Bytes>>;

fn bare_client() -> Bare {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IN_FLIGHT).build(tcp)
}

async fn with_bare(client: &Bare, uri: &Uri, bodies: &[(String, Bytes)]) {
    let tasks: Vec<_> = bodies
        .iter()
        .map(|(id, body)| {
            let (client, uri, id, body) = (client.clone(), uri.clone(), id.clone(), body.clone());
            tokio::spawn(async move {
                for _ in 0..REQUESTS / IN_FLIGHT {
                    let request = Request::builder()
                        .method(Method::POST)
                        .uri(uri.clone())
                        .header("content-type", "application/json")
                        .header("webhook-id", &id)
                        .body(Full::new(body.clone()))
                        .expect("every part is valid");
                    let response = client.request(request).await.expect("the server answers");
                    assert_eq!(response.status(), StatusCode::OK);
                    black_box(response.into_body().collect().await.expect("the reply is whole"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no request fails");
    }
}

/// Starts this program as the server. It ends with the handle.
async fn start_server() -> (Uri, Child) {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut server = Command::new(program)
        .arg(SERVE)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program can be started again");
    let stdout = server.stdout.take().expect("the output is piped");
    let address = BufReader::new(stdout).lines().next_line().await.expect("the output can be read");
    let address = address.expect("the server prints its address first");
    let uri = format!("http://{address}/events").parse().expect("an address makes a URL");
    (uri, server)
}

/// Reads every request to its end and answers 200.
async fn serve() {
    async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
        black_box(request.into_body().collect().await?.to_bytes());
        Ok::<_, hyper::Error>(Response::new(Empty::new()))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    loop {
        let (socket, _) = listener.accept().await.expect("the listener stays open");
        socket.set_nodelay(true).expect("TCP can be told not to delay");
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer));
        tokio::spawn(connection);
    }
}
