//! Senders that stall: a receiver gives them up in time, and nobody else waits for them.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::CONNECTION;
use http::{Request, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kinesis_http_sink::{Receiver, ReceiverService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

const EVENT: &str = r#"{"channel":"c","sequenceNumber":"1","data":"x"}"#;

/// These parts of a body, each after a pause.
fn parts<I>(parts: I) -> BoxStream<'static, Bytes>
where
    I: IntoIterator<Item = (Duration, &'static str), IntoIter: Send + 'static>,
{
    let part = |(pause, part): (Duration, &'static str)| async move {
        sleep(pause).await;
        Bytes::from(part)
    };
    stream::iter(parts).then(part).boxed()
}

/// What a body is answered with, and when.
async fn answer(
    service: &ReceiverService,
    version: Version,
    body: BoxStream<'static, Bytes>,
) -> (StatusCode, bool, Duration, String) {
    let frames: BoxStream<'static, Result<Frame<Bytes>, Infallible>> = body.map(|part| Ok(Frame::data(part))).boxed();
    let body = StreamBody::new(frames);
    let request = Request::post("/").version(version).header("content-type", "application/json").body(body).unwrap();
    let started = Instant::now();
    let response = service.clone().oneshot(request).await.unwrap();
    let (status, took) = (response.status(), started.elapsed());
    let closes = response.headers().get(CONNECTION).is_some_and(|value| value == "close");
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, closes, took, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_or_trickles_is_given_up_in_time() {
    let service = Receiver::new().fallback(|_| async {}).service();
    let second = Duration::from_secs(1);
    let stalled = |version| answer(&service, version, parts([(second, "{")]).chain(stream::pending()).boxed());
    let expected = r#"{"error":"the body was not there within 30s: send it faster, or in smaller parts"}"#;
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let (status, closes, took, text) = stalled(version).await;
        assert_eq!((status, took.as_secs()), (StatusCode::REQUEST_TIMEOUT, 30));
        // A connection of HTTP/2 has other requests on it.
        assert_eq!((closes, text.as_str()), (version < Version::HTTP_2, expected), "{version:?}");
    }
    // The time is that of the whole body: each part would be early enough.
    let trickling = parts((0..).map(move |_| (second, " ")));
    let (status, _, took, _) = answer(&service, Version::HTTP_11, trickling).await;
    assert_eq!((status, took.as_secs()), (StatusCode::REQUEST_TIMEOUT, 30));
    // One that is slow and in time is taken.
    let slow = parts([(second * 14, &EVENT[..7]), (second * 15, &EVENT[7..])]);
    let (status, closes, took, _) = answer(&service, Version::HTTP_11, slow).await;
    assert_eq!((status, closes, took.as_secs()), (StatusCode::OK, false, 29));
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_as_that_however_slowly_it_ends() {
    let service = Receiver::new().body_limit(2).receive_timeout(Duration::from_secs(3)).service();
    let trickling = parts((0..).map(|_| (Duration::from_secs(1), "xx")));
    let (status, _, took, _) = answer(&service, Version::HTTP_11, trickling).await;
    assert_eq!((status, took.as_secs()), (StatusCode::PAYLOAD_TOO_LARGE, 3));
}

#[tokio::test(start_paused = true)]
async fn bodies_that_stall_take_no_room_from_others() {
    let service = Receiver::new().calls(1).on("c", |_| async {}).service();
    // All of each event is there but its last brace.
    let begun = || parts([(Duration::ZERO, &EVENT[..EVENT.len() - 1])]).chain(stream::pending()).boxed();
    let stalled = join_all((0..50).map(|_| answer(&service, Version::HTTP_11, begun())));
    let whole = async {
        sleep(Duration::from_secs(1)).await;
        answer(&service, Version::HTTP_11, parts([(Duration::ZERO, EVENT)])).await
    };
    let (stalled, (status, _, took, _)) = join(stalled, whole).await;
    assert_eq!((status, took.as_secs()), (StatusCode::OK, 0));
    assert!(stalled.iter().all(|(status, ..)| *status == StatusCode::REQUEST_TIMEOUT), "{stalled:?}");
}

#[tokio::test]
async fn a_connection_whose_body_stalls_is_answered_and_closed() {
    let receiver = Receiver::new().receive_timeout(Duration::from_millis(50)).fallback(|_| async {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, receiver.router()).await });
    let mut sender = TcpStream::connect(address).await.unwrap();
    let head = "POST /events HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    sender.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tokio::time::timeout(Duration::from_secs(10), sender.read_to_string(&mut reply)).await.unwrap().unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{reply}");
    assert!(reply.contains("\r\nconnection: close\r\n") && reply.ends_with("in smaller parts\"}"), "{reply}");
}
