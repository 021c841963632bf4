//! Hostile requests cost a receiver no panic, no good request, and no more memory than in proportion to them.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::convert::Infallible;

use http_body_util::{Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, StatusCode};
use kinesis_http_sink::{Receiver, ReceiverService};
use kinesis_tests::hostile::attack;
use kinesis_tests::measure;
use tower::ServiceExt as _;

const MIB: usize = 1 << 20;

async fn status(service: &ReceiverService, content_type: &str, body: impl Into<Bytes>) -> StatusCode {
    let request = Request::post("/").header("content-type", content_type).body(Full::new(body.into())).unwrap();
    service.clone().oneshot(request).await.unwrap().status()
}

/// One test, because memory is that of the process; what looks at the peak comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_holds_whatever_comes() {
    a_body_in_frames_of_one_byte_takes_its_own_size().await;
    a_list_of_nothing_much_is_not_kept().await;
    names_as_long_as_bodies_are_not_kept().await;
    let told = attack(2000, 0).await;
    assert_eq!(told.violations, Vec::<String>::new());
    assert!(told.statuses[&200] > 100 && told.statuses[&400] > 100 && told.good > 500, "{told:?}");
}

async fn names_as_long_as_bodies_are_not_kept() {
    let service = Receiver::new().fallback(|_| async {}).service();
    let before = measure::resident();
    for nth in 0..120 {
        let id = format!("{nth}{}", "x".repeat(MIB));
        let body =
            format!(r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t","kinesissequencenumber":"{nth}"}}"#);
        assert_eq!(status(&service, "application/cloudevents+json", body).await, StatusCode::OK);
    }
    let grown = measure::resident().saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
}

async fn a_body_in_frames_of_one_byte_takes_its_own_size() {
    let service = Receiver::new().fallback(|_| async {}).service();
    let before = measure::resident_peak();
    let bytes = (0..2 * MIB).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b" "))));
    let request = Request::post("/").header("content-type", "application/json");
    let request = request.body(StreamBody::new(tokio_stream::iter(bytes))).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let grown = measure::resident_peak() - before;
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
}

async fn a_list_of_nothing_much_is_not_kept() {
    let service = Receiver::new().fallback(|_| async {}).service();
    let body = format!("[{}1]", "1,".repeat(3 * MIB));
    let before = measure::resident_peak().max(measure::resident() + body.len());
    let came = status(&service, "application/cloudevents-batch+json", body).await;
    assert_eq!(came, StatusCode::BAD_REQUEST);
    let grown = measure::resident_peak().saturating_sub(before);
    assert!(grown < 24 * MIB, "{} MiB", grown / MIB);
}
