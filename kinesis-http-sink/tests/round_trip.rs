//! Both ends together over a real socket: what one sends is what a callback gets, and what a callback says comes back.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use axum::Router;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use kinesis_core::{Delivery, Outcome, Record, SequenceNumber, Sink, StreamId};
use kinesis_http_sink::{Event, HttpSink, Receiver, ReceiverService};
use support::delivery;
use tokio::sync::mpsc;
use tower::ServiceExt;

const ORIGINAL: &str = include_str!("../../tests/data/original.json");

/// Serves the receiver and returns its URL.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn outcome(receiver: Receiver, record: &Delivery) -> Result<Outcome, String> {
    let sink = HttpSink::builder(&serve(receiver.router()).await).ask_again([]).build().unwrap();
    let outcomes = sink.deliver(record).await.map_err(|error| error.to_string())?;
    Ok(outcomes.get(0).unwrap().clone())
}

/// The status and the body of the answer to a request.
async fn reply(service: ReceiverService, request: Request<Full<Bytes>>) -> (u16, String) {
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/").header("content-type", "application/json; charset=utf-8").body(Full::new(body.into())).unwrap()
}

fn taking() -> Receiver {
    Receiver::new().fallback(|_| async {})
}

#[tokio::test]
async fn a_callback_gets_the_record_that_was_sent() {
    let (events, mut received) = mpsc::unbounded_channel::<Event>();
    let receiver = Receiver::new().on("member-registered", move |event| {
        let events = events.clone();
        async move { events.send(event) }
    });
    let sink = HttpSink::new(&serve(receiver.router()).await).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
    let number: SequenceNumber = "49569625073747986051284015760176917265900404709609439234".parse().unwrap();
    let payloads: [&[u8]; 3] = [b"we are streaming events", b"{\"quoted\":\"\\n\"}", &[0, 159, 146, 150]];
    for (n, payload) in payloads.into_iter().enumerate() {
        let record = Record::new(number.with_sub(n as u64), "member-registered", payload).with_arrived_at(at);
        let delivery = Delivery::new(StreamId::new("s"), "shardId-000000000000", "x", vec![record.clone()]);
        assert!(sink.deliver(&delivery).await.unwrap().all_delivered());
        let event = received.recv().await.unwrap();
        assert_eq!(event.channel, *"member-registered");
        assert_eq!(event.sequence_number, record.sequence_number);
        assert_eq!(event.data, payload);
        assert_eq!(event.arrived_at, Some(at));
        assert_eq!(event.id, Some(delivery.id()));
        if n == 0 {
            assert_eq!(event.body, ORIGINAL);
        }
    }
}

#[tokio::test]
async fn a_callback_decides_the_outcome() {
    let one = delivery([("c", "x")]);
    let on = |says: fn() -> Outcome| Receiver::new().on("c", move |_| async move { says() });
    assert_eq!(outcome(on(|| Outcome::Delivered), &one).await, Ok(Outcome::Delivered));
    let pause = Some(Duration::from_secs(2));
    let busy = outcome(on(|| Outcome::busy(Some(Duration::from_millis(1001)))), &one).await;
    assert_eq!(busy, Ok(Outcome::busy(pause)), "a fraction of a second is rounded up");
    assert_eq!(outcome(on(|| Outcome::busy(None)), &one).await, Ok(Outcome::busy(None)));
    let rejected = outcome(on(|| Outcome::rejected("no such member")), &one).await;
    assert!(
        matches!(&rejected, Ok(Outcome::Rejected { reason }) if reason.contains("422") && reason.contains("no such member")),
        "{rejected:?}"
    );
    let reason = outcome(on(|| Outcome::Retry), &one).await.unwrap_err();
    assert!(reason.contains("answered 500"), "{reason}");
}

#[tokio::test]
async fn a_callback_that_fails_or_panics_gives_nothing_away() {
    let one = || post(r#"{"channel":"c","sequenceNumber":"1","data":"x"}"#);
    let fails = Receiver::new().on("c", |_| async { Err::<(), _>("the password is s3cret") });
    let panics =
        Receiver::new().on("c", |event: Event| async move { assert!(event.data.is_empty(), "the password is s3cret") });
    let panics_early = Receiver::new().on("c", |event: Event| {
        assert!(event.data.is_empty(), "the password is s3cret");
        async {}
    });
    for receiver in [fails, panics, panics_early] {
        let service = receiver.service();
        let expected = (500, r#"{"error":"the event could not be processed"}"#.to_owned());
        assert_eq!(reply(service.clone(), one()).await, expected);
        assert_eq!(reply(service, one()).await, expected, "it still answers");
    }
}

#[tokio::test]
async fn success_comes_only_after_the_callback_is_done() {
    static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let receiver = Receiver::new().on("c", |_| async {
        tokio::task::yield_now().await;
        LOG.lock().unwrap().push("called back");
    });
    assert_eq!(outcome(receiver, &delivery([("c", "x")])).await, Ok(Outcome::Delivered));
    LOG.lock().unwrap().push("delivered");
    assert_eq!(*LOG.lock().unwrap(), ["called back", "delivered"]);
}

#[tokio::test]
async fn a_channel_goes_to_its_callback_and_the_rest_to_the_fallback() {
    let answer = |status: Outcome| move |_| std::future::ready(status.clone());
    let receiver = || Receiver::new().on("a", answer(Outcome::rejected("a"))).on("b", answer(Outcome::rejected("b")));
    let body = |channel: &str| post(format!(r#"{{"channel":"{channel}","sequenceNumber":"1","data":"x"}}"#));
    let said = async |receiver: Receiver, channel| reply(receiver.service(), body(channel)).await;
    assert_eq!(said(receiver(), "b").await.1, r#"{"error":"b"}"#);
    assert_eq!(said(receiver().fallback(|_| async {}), "c").await.0, 200);
    assert_eq!(said(receiver(), "c").await, (404, r#"{"error":"nobody takes the channel \"c\""}"#.to_owned()));
    assert_eq!(said(receiver().accept_unknown(), "c").await, (202, String::new()));
}

#[tokio::test]
async fn a_malformed_body_is_refused_with_the_place() {
    let (status, error) = reply(taking().service(), post("{\"channel\":\"c\",\n  oops}")).await;
    assert_eq!(status, 400);
    assert_eq!(error, r#"{"error":"the body is no event: key must be a string at line 2 column 3"}"#);
    let (status, error) = reply(taking().service(), post(r#"{"channel":"c","sequenceNumber":"1"}"#)).await;
    assert_eq!(status, 400);
    assert!(error.contains("missing field `data` at line 1 column"), "{error}");
    let (status, _) = reply(taking().service(), post(&[b'{', 0xff][..])).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_sender_reads_why() {
    let receiver = taking().body_limit(1000);
    let huge = "x".repeat(5_000_000);
    let rejected = outcome(receiver, &delivery([("c", huge.as_str())])).await;
    let Ok(Outcome::Rejected { reason }) = &rejected else { panic!("{rejected:?}") };
    assert!(reason.contains("answered 413") && reason.contains("the body has more than 1000 bytes"), "{reason}");

    let exact = taking().body_limit(ORIGINAL.len()).service();
    assert_eq!(reply(exact, post(ORIGINAL)).await.0, 200);
}

#[tokio::test]
async fn another_method_or_content_type_is_refused() {
    let service = taking().service();
    let put = service.clone().oneshot(Request::put("/").body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.headers()["allow"], "GET, HEAD, POST");
    let typed = |value: &str| Request::post("/").header("content-type", value).body(Full::from(ORIGINAL)).unwrap();
    assert_eq!(reply(service.clone(), typed("Application/JSON ;charset=utf-8")).await.0, 200);
    let (status, error) = reply(service.clone(), typed("application/x-www-form-urlencoded")).await;
    assert_eq!(status, 415);
    assert!(error.contains("x-www-form-urlencoded") && error.contains("send application/json"), "{error}");
    let untyped = Request::post("/").body(Full::from(ORIGINAL)).unwrap();
    assert_eq!(reply(service, untyped).await.0, 415);
}

#[tokio::test]
async fn the_router_takes_its_path_and_leaves_the_others() {
    let app = Router::new()
        .route("/health", axum::routing::get(|| async { "fine" }))
        .merge(taking().path("/push/v1").router());
    let request = |path: &str| {
        Request::post(path).header("content-type", "application/json").body(axum::body::Body::from(ORIGINAL)).unwrap()
    };
    let status = async |path| app.clone().oneshot(request(path)).await.unwrap().status().as_u16();
    assert_eq!((status("/push/v1").await, status("/events").await), (200, 404));
}

#[test]
#[should_panic(expected = "the path \"events\" of a receiver must start with a slash")]
fn a_path_without_a_slash_is_a_mistake_in_the_program() {
    let _ = Receiver::new().path("events");
}

#[tokio::test]
async fn an_event_reads_its_payload_as_json() {
    let (events, mut received) = mpsc::unbounded_channel::<Event>();
    let receiver = Receiver::new().fallback(move |event: Event| {
        let events = events.clone();
        async move { events.send(event) }
    });
    let record = delivery([("c", r#"{"member":7}"#)]);
    assert_eq!(outcome(receiver, &record).await, Ok(Outcome::Delivered));
    let event = received.recv().await.unwrap();
    let payload: std::collections::BTreeMap<String, u64> = event.json().unwrap();
    assert_eq!(payload["member"], 7);
    assert!(event.json::<Vec<u8>>().is_err());
}
