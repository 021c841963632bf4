//! What somebody who has read a request can do with it.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use kinesis_core::Sink;
use kinesis_http_sink::{CloudEvents, HttpSink, Receiver, Secret};
use support::{Answer, Seen, Server, one};
use tower::ServiceExt;

/// A request in CloudEvents' binary mode as it was on the wire.
async fn captured() -> Seen {
    let server = Server::start(|_| Answer::status(200)).await;
    let sink = HttpSink::builder(&server.url()).format(CloudEvents::binary()).sign(secret()).build().unwrap();
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    server.seen().remove(0)
}

fn secret() -> Secret {
    Secret::from_bytes(&[1; 32]).unwrap()
}

/// The request with another value for one of its headers.
fn forged(captured: &Seen, name: &str, value: &str) -> Request<Full<Bytes>> {
    let headers = captured.head.lines().filter_map(|line| line.split_once(": "));
    let request = headers.fold(Request::post("/"), |request, (header, said)| {
        request.header(header, if header == name { value } else { said })
    });
    request.body(Full::new(captured.body.clone().into())).unwrap()
}

/// How many events are taken of these requests, which are all believed.
async fn taken(receiver: Receiver, requests: impl IntoIterator<Item = Request<Full<Bytes>>>) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = receiver.fallback(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async {}
    });
    let service = service.service();
    for request in requests {
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 200);
    }
    calls.load(Ordering::Relaxed)
}

/// Repetitions were known by the id of the event, which is a header that is not signed: one captured request could be
/// repeated under any number of ids.
#[tokio::test]
async fn a_signed_request_is_taken_once_whatever_is_written_into_its_attributes() {
    let captured = captured().await;
    let attributes = ["ce-id", "ce-channel", "ce-subject", "ce-type", "ce-source", "ce-partitionkey"];
    let requests = || attributes.map(|name| forged(&captured, name, "another"));
    assert_eq!(taken(Receiver::new().verify(secret()), requests()).await, 1);
    // Without signatures nothing is known but the event itself.
    let others = || ["one", "two", "two"].map(|id| forged(&captured, "ce-id", id));
    assert_eq!(taken(Receiver::new(), others()).await, 2);
}
