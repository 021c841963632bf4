//! What is sent, and the two that send it: sinks, and a bare hyper-util loop.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kinesis_core::{Delivery, Record, SequenceNumber, Sink, StreamId};
use kinesis_http_sink::HttpSink;

/// How many requests are under way at any time.
pub(crate) const IN_FLIGHT: usize = 64;

/// So many different records are sent again and again: few enough to be in the processor's cache, as one that was just read
/// from a stream is.
pub(crate) const RECORDS: usize = 1_000;

/// A delivery of so many records of a little JSON, each of which makes a body of about 300 bytes.
pub(crate) fn delivery(first: usize, records: usize) -> Delivery {
    let records = (first..first + records).map(record).collect();
    Delivery::new(StreamId::new("stream"), "shardId-000000000000", "bench", records)
}

fn record(nth: usize) -> Record {
    let number: SequenceNumber =
        "49569625073747986051284015760176917265900404709609439234".parse().expect("digits are a sequence number");
    let data = format!(
        r#"{{"member":{nth},"name":"a name of usual length","email":"somebody@example.test","plan":"yearly","registered":true}}"#
    );
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
    Record::new(number.plus(nth as u64), "member-registered", data).with_arrived_at(at)
}

/// The id and the body that a sink sends for a delivery of one record.
pub(crate) fn request_of(delivery: &Delivery) -> (String, Bytes) {
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

/// Sends so many requests, each delivery to every sink before the next one.
pub(crate) async fn with_sinks(sinks: &Arc<[HttpSink]>, deliveries: &Arc<[Delivery]>, requests: usize) {
    in_flight(requests, |next| {
        let (sinks, deliveries) = (Arc::clone(sinks), Arc::clone(deliveries));
        async move {
            while let Some(nth) = next() {
                let delivery = &deliveries[nth / sinks.len() % deliveries.len()];
                let outcomes = sinks[nth % sinks.len()].deliver(delivery).await.expect("the server answers");
                assert!(outcomes.all_delivered());
            }
        }
    })
    .await;
}

/// The bare client.
pub(crate) type Bare = Client<HttpConnector, Full<Bytes>>;

/// A client with nothing around it.
pub(crate) fn bare_client() -> Bare {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IN_FLIGHT).build(tcp)
}

/// Sends so many requests that were written before.
pub(crate) async fn with_bare(client: &Bare, uri: &Uri, bodies: &Arc<[(String, Bytes)]>, requests: usize) {
    in_flight(requests, |next| {
        let (client, uri, bodies) = (client.clone(), uri.clone(), Arc::clone(bodies));
        async move {
            while let Some(nth) = next() {
                let (id, body) = &bodies[nth % bodies.len()];
                let request = Request::builder()
                    .method(Method::POST)
                    .uri(uri.clone())
                    .header("content-type", "application/json")
                    .header("webhook-id", id)
                    .body(Full::new(body.clone()))
                    .expect("every part is valid");
                let response = client.request(request).await.expect("the server answers");
                assert_eq!(response.status(), StatusCode::OK);
                black_box(response.into_body().collect().await.expect("the reply is whole"));
            }
        }
    })
    .await;
}

/// Runs as many senders as may be in flight, which take one number after the other.
async fn in_flight<F>(requests: usize, sender: impl Fn(Box<dyn Fn() -> Option<usize> + Send + Sync>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let taken = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let taken = Arc::clone(&taken);
            let next = move || Some(taken.fetch_add(1, Ordering::Relaxed)).filter(|nth| *nth < requests);
            tokio::spawn(sender(Box::new(next)))
        })
        .collect();
    for sender in senders {
        sender.await.expect("no request fails");
    }
}
