//! What a receiver promises: it takes only what it believes, each event once, and no more at a time than it has room for.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kinesis_core::{Delivery, Outcome, Outcomes, Record, SequenceNumber, Sink, StreamId};
use kinesis_http_sink::{CloudEvents, Event, Format, HttpSink, HttpSinkBuilder, Receiver, ReceiverService, Secret};
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

fn secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 32]).unwrap()
}

/// Records of the keys that are also their channels.
fn delivery(keys: &[&str]) -> Delivery {
    let record =
        |(nth, key): (usize, &&str)| Record::new(SequenceNumber::from(nth as u64), *key, format!("payload {nth}"));
    Delivery::new(StreamId::new("orders"), "shardId-0", "audit", keys.iter().enumerate().map(record).collect())
}

async fn serve(receiver: Receiver) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, receiver.router()).await });
    url
}

fn original(number: u32, channel: &str) -> Request<Full<Bytes>> {
    let body = format!(r#"{{"channel":"{channel}","sequenceNumber":"{number}","data":"x"}}"#);
    let request = Request::post("/").header("content-type", "application/json");
    request.header("webhook-id", format!("shardId-0:{number}")).body(Full::new(body.into())).unwrap()
}

async fn answer(service: &ReceiverService, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    service.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Full<Bytes>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn every_format_arrives_signed_and_unsigned() {
    let formats = [
        Format::original(),
        CloudEvents::binary().into(),
        CloudEvents::structured().into(),
        CloudEvents::batch().into(),
        Format::lambda_event(ARN),
    ];
    for format in formats {
        for keys in [vec![], vec![secret(2), secret(1)]] {
            let (events, mut received) = mpsc::unbounded_channel::<Event>();
            let mut receiver = Receiver::new().fallback(move |event| {
                let events = events.clone();
                async move { events.send(event) }
            });
            if !keys.is_empty() {
                receiver = receiver.verify(secret(1));
            }
            let sink = HttpSink::builder(&serve(receiver).await).format(format.clone());
            let sink = keys.into_iter().fold(sink, HttpSinkBuilder::sign).build().unwrap();
            let delivery = delivery(&["a", "b", "a"]);
            assert_eq!(sink.deliver(&delivery).await.unwrap(), Outcomes::delivered(3), "{format:?}");
            let mut came: Vec<_> = (0..3).map(|_| received.try_recv().unwrap()).collect();
            came.sort_by_key(|event| event.sequence_number);
            for (event, entry) in came.iter().zip(delivery.iter()) {
                assert_eq!((&event.data, &*event.channel), (&entry.data, entry.channel()), "{format:?}");
                assert_eq!(event.id, Some(entry.id()), "{format:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_signed_with_a_known_key_is_not_taken_nor_told_why() {
    let sink = |keys: Vec<Secret>, url: &str| {
        keys.into_iter().fold(HttpSink::builder(url).ask_again([]), HttpSinkBuilder::sign).build().unwrap()
    };
    for keys in [vec![], vec![secret(3)]] {
        let receiver = Receiver::new()
            .verify(secret(1))
            .verify(secret(2))
            .fallback(|event| async move { panic!("{event:?} was taken") as () });
        let outcomes = sink(keys, &serve(receiver).await).deliver(&delivery(&["a"])).await.unwrap();
        let Some(Outcome::Rejected { reason }) = outcomes.get(0) else { panic!("{outcomes:?}") };
        assert!(
            reason.ends_with(r#"answered 401 Unauthorized: {"error":"the signature is missing or wrong"}"#),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_event_is_taken_once_and_again_only_if_that_failed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let receiver = Receiver::new().fallback(move |_| {
        let nth = counted.fetch_add(1, Ordering::Relaxed);
        async move { if nth == 0 { Err("the database is away") } else { Ok(()) } }
    });
    let service = receiver.service();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(answer(&service, original(7, "c")).await.status().as_u16());
    }
    assert_eq!((statuses, calls.load(Ordering::Relaxed)), (vec![500, 200, 200, 200], 2));
    // The same id with other content is another event.
    assert_eq!(answer(&service, original(7, "d")).await.status(), StatusCode::OK);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_full_channel_and_an_event_under_way_are_to_come_again() {
    let go_on = Arc::new(Notify::new());
    let waiting = Arc::clone(&go_on);
    let receiver = Receiver::new().calls(1).on("slow", move |_| {
        let go_on = Arc::clone(&waiting);
        async move { go_on.notified().await }
    });
    let service = receiver.on("quick", |_| async {}).service();
    let first = tokio::spawn({
        let service = service.clone();
        async move { answer(&service, original(1, "slow")).await.status() }
    });
    tokio::task::yield_now().await;
    assert_eq!(answer(&service, original(1, "slow")).await.status(), StatusCode::CONFLICT);
    let full = answer(&service, original(2, "slow")).await;
    assert_eq!((full.status(), &full.headers()["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap()));
    assert_eq!(answer(&service, original(3, "quick")).await.status(), StatusCode::OK);
    go_on.notify_one();
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    go_on.notify_one();
    assert_eq!(answer(&service, original(2, "slow")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_receiver_that_stops_says_when_to_come_again() {
    let receiver = Receiver::new().fallback(|_| async {});
    let stop = receiver.stop();
    let service = receiver.service();
    let health = || Request::get("/").body(Full::default()).unwrap();
    assert_eq!(answer(&service, health()).await.status(), StatusCode::OK);
    stop.stop();
    for request in [original(1, "c"), health()] {
        let response = answer(&service, request).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "5");
    }
}

#[tokio::test]
async fn the_closest_callback_takes_an_event() {
    let (names, mut taken) = mpsc::unbounded_channel::<&str>();
    let say = |name: &'static str| {
        let names = names.clone();
        move |_| {
            let names = names.clone();
            async move { names.send(name) }
        }
    };
    let receiver = Receiver::new()
        .on_prefix("order-", say("order-"))
        .on_prefix("order-new-", say("order-new-"))
        .on("order-new-big", say("exact"))
        .fallback(say("fallback"));
    let service = receiver.service();
    let channels = ["order-paid", "order-new-small", "order-new-big", "member"];
    for (nth, channel) in channels.into_iter().enumerate() {
        assert_eq!(answer(&service, original(nth as u32, channel)).await.status(), StatusCode::OK);
    }
    let taken: Vec<_> = channels.iter().map(|_| taken.try_recv().unwrap()).collect();
    assert_eq!(taken, ["order-", "order-new-", "exact", "fallback"]);
}

#[tokio::test]
async fn a_payload_of_another_type_is_refused_with_what_is_wrong() {
    let receiver = Receiver::new().on_json("c", |_: u32, _| async {});
    let response = answer(&receiver.service(), original(1, "c")).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text(response).await.contains("is not the JSON that is taken here: expected value at line 1 column 1"));
}

#[tokio::test]
async fn a_batch_names_what_failed_and_what_was_behind_it_in_its_key() {
    for format in [CloudEvents::batch().into(), Format::lambda_event(ARN)] {
        let in_lambda = format!("{format:?}").contains("LambdaEvent");
        let (events, mut received) = mpsc::unbounded_channel::<Event>();
        let receiver = Receiver::new().fallback(move |event| {
            let failed = event.data == "payload 1";
            events.send(event).unwrap();
            async move { if failed { Err("not this one") } else { Ok(()) } }
        });
        let sink = HttpSink::builder(&serve(receiver).await).format(format).build().unwrap();
        let outcomes = sink.deliver(&delivery(&["a", "b", "a", "b"])).await.unwrap();
        let delivered: Vec<usize> = (0..4).filter(|nth| outcomes.get(*nth) == Some(&Outcome::Delivered)).collect();
        // Lambda counts from the lowest that failed, whatever the keys.
        assert_eq!(delivered, if in_lambda { vec![0] } else { vec![0, 2] });
        let called: Vec<_> = std::iter::from_fn(|| received.try_recv().ok()).map(|event| event.data).collect();
        assert_eq!(called, ["payload 0", "payload 1", "payload 2"]);
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_is_tried_in_halves() {
    let sink = HttpSink::builder(&serve(Receiver::new().body_limit(10).fallback(|_| async {})).await);
    let sink = sink.format(CloudEvents::batch()).ask_again([]).build().unwrap();
    let error = sink.deliver(&delivery(&["a", "b"])).await.unwrap_err().to_string();
    assert!(error.contains("413") && error.contains("its 2 records are tried in halves"), "{error}");
    let outcomes = sink.deliver(&delivery(&["a"])).await.unwrap();
    assert!(matches!(outcomes.get(0), Some(Outcome::Rejected { .. })), "{outcomes:?}");
}

#[tokio::test]
async fn an_error_is_short_and_ends_with_the_place_however_long_what_is_wrong_is() {
    let service = Receiver::new().service();
    let long = "\u{e9}".repeat(100_000);
    let unknown = text(answer(&service, original(1, &long)).await).await;
    assert!(unknown.len() < 1200 && unknown.contains("nobody takes the channel"), "{unknown}");
    let body = format!(r#"{{"channel":"c","sequenceNumber":"1","data":"x","encoding":"{long}"}}"#);
    let request = Request::post("/").header("content-type", "application/json").body(Full::new(body.into())).unwrap();
    let malformed = text(answer(&service, request).await).await;
    assert!(malformed.len() < 1200 && malformed.contains(" at line 1 column "), "{malformed}");
}
