//! What a subscriber's reply does to a record, and what a delivery of several looks like on the wire.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kinesis_core::{Delivery, Outcome, Outcomes, Record, Sink, StreamId};
use kinesis_http_sink::{Client, CloudEvents, Format, HttpSink};
use support::{Answer, Seen, Server, delivery, one};

async fn answered(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Result<Outcome, String> {
    let server = Server::start(move |_| answer()).await;
    let sink = HttpSink::builder(&server.url()).ask_again([]).build().unwrap();
    let outcomes = sink.deliver(&one()).await;
    outcomes.map(|outcomes| outcomes.get(0).unwrap().clone()).map_err(|error| error.to_string())
}

fn all(outcomes: &Outcomes) -> Vec<Outcome> {
    outcomes.iter().cloned().collect()
}

#[tokio::test]
async fn the_bytes_on_the_wire_are_the_original() {
    let server = Server::start(|_| Answer::status(200)).await;
    let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
    let number = "49569625073747986051284015760176917265900404709609439234".parse().unwrap();
    let record = Record::new(number, "member-registered", "we are streaming events").with_arrived_at(at);
    let delivery = Delivery::new(StreamId::new("a-stream"), "shardId-000000000000", "x", vec![record]);
    let sink = HttpSink::builder(&format!("{}?v=1", server.url())).header("Authorization", "Bearer 5e3f").build();
    assert!(sink.unwrap().deliver(&delivery).await.unwrap().all_delivered());

    let seen = server.seen().remove(0);
    assert_eq!(seen.body, include_bytes!("../../tests/data/original.json"));
    assert!(seen.head.starts_with("POST /events?v=1 HTTP/1.1\r\n"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("authorization"), Some("Bearer 5e3f"));
    assert_eq!(seen.header("webhook-id"), Some(&*delivery.id()));
    assert_eq!(format!("http://{}/events", seen.header("host").unwrap()), server.url());
}

#[tokio::test]
async fn success_is_delivered() {
    for status in [200, 201, 202, 204] {
        assert_eq!(
            answered(move || Answer::Say(format!("HTTP/1.1 {status} Any\r\ncontent-length: 0\r\n\r\n"))).await,
            Ok(Outcome::Delivered)
        );
    }
}

#[tokio::test]
async fn a_fault_of_the_subscriber_is_tried_again_and_says_what_it_said() {
    for status in [408, 425, 500, 502, 504] {
        let reason = answered(move || Answer::with(status, "x-any: y", "out of\r\nmemory")).await.unwrap_err();
        assert!(reason.contains(&format!("/events answered {status}")), "{reason}");
        assert!(reason.ends_with(": out of  memory"), "{reason}");
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start(|_| Answer::status(200)).await;
        let location = format!("location: {}", elsewhere.url());
        let reason = answered(move || Answer::with(status, &location, "")).await.unwrap_err();
        assert!(reason.contains("redirects are not followed"), "{reason}");
        assert_eq!(elsewhere.accepted(), 0);
    }
}

#[tokio::test]
async fn a_subscriber_may_ask_for_a_pause() {
    for status in [429, 503] {
        assert_eq!(answered(move || Answer::status(status)).await, Ok(Outcome::busy(None)));
        let seven = Some(Duration::from_secs(7));
        assert_eq!(answered(move || Answer::with(status, "Retry-After: 7", "")).await, Ok(Outcome::busy(seven)));
        let hour = Some(Duration::from_secs(3600));
        let date = "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT";
        assert_eq!(answered(move || Answer::with(status, date, "")).await, Ok(Outcome::busy(hour)));
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_says_what_the_subscriber_said() {
    for status in [400, 401, 403, 404, 405, 406, 413, 415, 422, 501, 505] {
        let outcome = answered(move || Answer::with(status, "x-any: y", "no such member")).await;
        let Ok(Outcome::Rejected { reason }) = outcome else { panic!("{status}: {outcome:?}") };
        assert!(reason.contains(&format!("/events answered {status}")), "{reason}");
        assert!(reason.ends_with(": no such member"), "{reason}");
    }
}

#[tokio::test]
async fn a_refusal_is_asked_again_before_it_is_final_and_holds_its_key_alone() {
    let server = Server::start(|seen| Answer::status(if seen.text().contains("poison") { 404 } else { 200 })).await;
    let delays = [Duration::from_secs(10), Duration::from_secs(60)];
    let sink = HttpSink::builder(&server.url()).ask_again(delays).build().unwrap();
    let records = delivery([("a", "poison"), ("a", "2"), ("b", "3")]);
    for delay in delays {
        let busy = Outcome::busy(Some(delay));
        assert_eq!(all(&sink.deliver(&records).await.unwrap()), [busy.clone(), busy, Outcome::Delivered]);
        later(delay).await;
    }
    assert!(matches!(all(&sink.deliver(&records).await.unwrap())[0], Outcome::Rejected { .. }));
}

/// Passes time that nobody has to wait for: the sockets keep to the real clock.
async fn later(delay: Duration) {
    tokio::time::pause();
    tokio::time::advance(delay).await;
    tokio::time::resume();
}

/// A refused record that came again early, with a neighbour whose wait was shorter, was asked about each time: it was
/// rejected for good within a second.
#[tokio::test]
async fn a_refused_record_that_comes_again_early_is_not_asked_about() {
    let server = Server::start(|_| Answer::status(404)).await;
    for format in [Format::original(), CloudEvents::batch().into()] {
        let before = server.seen().len();
        let delays = [Duration::from_secs(10), Duration::from_secs(60)];
        let sink = HttpSink::builder(&server.url()).format(format).ask_again(delays).build().unwrap();
        for _ in 0..9 {
            let outcomes = all(&sink.deliver(&one()).await.unwrap());
            let within = delays[0] - Duration::from_secs(2)..=delays[0];
            assert!(
                matches!(outcomes[..], [Outcome::Busy { after: Some(wait) }] if within.contains(&wait)),
                "{outcomes:?}"
            );
        }
        assert_eq!(server.seen().len() - before, 1);
        later(delays[0]).await;
        assert_eq!(all(&sink.deliver(&one()).await.unwrap()), [Outcome::busy(Some(delays[1]))]);
        assert_eq!(server.seen().len() - before, 2);
    }
}

/// The longest wait is one for all of a delivery: a neighbour of a refused record waited as long as that.
#[tokio::test]
async fn nobody_waits_for_a_neighbour_that_was_refused() {
    let server = Server::start(|seen| match seen.text() {
        text if text.contains("poison") => Answer::status(404),
        text if text.contains("crowded") => Answer::with(429, "retry-after: 2", ""),
        _ => Answer::status(200),
    })
    .await;
    let sink = HttpSink::new(&server.url()).unwrap();
    let records = delivery([("a", "poison"), ("a", "1"), ("b", "crowded"), ("c", "2")]);
    let busy = Outcome::busy(Some(Duration::from_secs(2)));
    assert_eq!(all(&sink.deliver(&records).await.unwrap()), [busy.clone(), busy.clone(), busy, Outcome::Delivered]);
}

#[tokio::test]
async fn a_subscriber_that_is_gone_is_not_asked_until_it_is_enabled() {
    let server = Server::start(|seen| Answer::status(if seen.nth == 0 { 410 } else { 200 })).await;
    let sink = HttpSink::new(&server.url()).unwrap();
    for _ in 0..3 {
        let outcomes = sink.deliver(&one()).await.unwrap();
        assert!(matches!(outcomes.get(0), Some(Outcome::Busy { after: Some(_) })), "{outcomes:?}");
    }
    assert_eq!((sink.is_gone(), server.seen().len()), (true, 1));
    sink.enable();
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
}

#[tokio::test]
async fn a_pause_is_kept_by_all_deliveries_and_a_breaker_opens_for_all() {
    let busy = Server::start(|_| Answer::with(503, "Retry-After: 60", "")).await;
    let sink = HttpSink::new(&busy.url()).unwrap();
    let records = delivery([("a", "1"), ("b", "2")]);
    for _ in 0..3 {
        let outcomes = all(&sink.deliver(&one()).await.unwrap());
        assert!(matches!(outcomes[0], Outcome::Busy { after: Some(after) } if after.as_secs() >= 59), "{outcomes:?}");
        sink.deliver(&records).await.unwrap();
    }
    assert_eq!(busy.seen().len(), 1);

    let dead = Server::start(|_| Answer::Reset).await;
    let sink = HttpSink::new(&dead.url()).unwrap();
    for _ in 0..5 {
        assert!(sink.deliver(&one()).await.is_err());
    }
    let open = all(&sink.deliver(&one()).await.unwrap());
    assert!(matches!(open[0], Outcome::Busy { after: Some(after) } if after.as_secs() == 4), "{open:?}");
    let whole = HttpSink::builder(&dead.url()).without_breaker().build().unwrap();
    for _ in 0..10 {
        assert!(whole.deliver(&one()).await.is_err());
    }
}

#[tokio::test]
async fn a_token_or_a_password_goes_with_every_request() {
    let server = Server::start(|_| Answer::status(200)).await;
    let sink = || HttpSink::builder(&server.url());
    for sink in [sink().bearer("5e3f"), sink().basic("me", "pass:word")] {
        assert!(sink.build().unwrap().deliver(&one()).await.unwrap().all_delivered());
    }
    let sent: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(sent, ["Bearer 5e3f", "Basic bWU6cGFzczp3b3Jk"]);
}

#[tokio::test]
async fn a_conflict_is_tried_again_unless_it_counts_as_delivered() {
    assert!(answered(|| Answer::status(409)).await.unwrap_err().contains("answered 409 Conflict"));
    let server = Server::start(|_| Answer::status(409)).await;
    let sink = HttpSink::builder(&server.url()).conflict_is_delivered().build().unwrap();
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
}

#[tokio::test]
async fn an_empty_delivery_sends_nothing() {
    let server = Server::start(|_| Answer::status(200)).await;
    assert!(HttpSink::new(&server.url()).unwrap().deliver(&delivery([])).await.unwrap().is_empty());
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn records_of_a_key_follow_one_another_and_connections_are_reused() {
    let server = Server::start(|_| Answer::with(200, "x-any: y", "thanks")).await;
    let sink = HttpSink::builder(&server.url()).concurrency(2).build().unwrap();
    let keys = ["a", "b", "c", "d"];
    let payloads: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let records = payloads.iter().enumerate().map(|(n, data)| (keys[n % 4], data.as_str()));
    assert!(sink.deliver(&delivery(records)).await.unwrap().all_delivered());

    let bodies: Vec<serde_json::Value> =
        server.seen().iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    assert_eq!(bodies.len(), 100);
    for key in keys {
        let of_key = bodies.iter().filter(|body| body["channel"] == key);
        let order: Vec<u64> = of_key.map(|body| body["data"].as_str().unwrap().parse().unwrap()).collect();
        assert!(order.is_sorted() && order.len() == 25, "{key}: {order:?}");
    }
    assert!(server.accepted() <= 2, "{} connections for two requests in flight", server.accepted());
}

#[tokio::test]
async fn one_after_another_uses_one_connection_even_across_sinks() {
    let server = Server::start(|_| Answer::status(204)).await;
    let client = Client::new();
    for _ in 0..10 {
        let sink = HttpSink::builder(&server.url()).client(&client).build().unwrap();
        assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    }
    assert_eq!((server.accepted(), server.seen().len()), (1, 10));
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_allowed_over_all_deliveries() {
    // A server that notes how many requests it has at once, and answers each a little later.
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let noted = Arc::clone(&most);
    // Both deliveries are of the same records: one that remembers would answer 409 to what is under way already.
    let receiver = kinesis_http_sink::Receiver::new().remember(0).fallback(move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&noted));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, receiver.router()).await });
    let sink = HttpSink::builder(&url).concurrency(3).build().unwrap();
    let first = delivery(["a", "b", "c", "d", "e", "f"].map(|key| (key, "x")));
    let second = first.clone();
    let (one, two) = tokio::join!(sink.deliver(&first), sink.deliver(&second));
    assert!(one.unwrap().all_delivered() && two.unwrap().all_delivered());
    assert_eq!(most.load(Ordering::SeqCst), 3);
    serving.abort();
}

/// What waited behind a failed or a rejected record of its key was charged an attempt, though nobody had tried it; a policy
/// of one attempt gave it up without a request.
#[tokio::test]
async fn what_waits_behind_another_is_not_sent_and_that_is_no_attempt() {
    for status in [400, 500] {
        let poison = move |seen: &Seen| Answer::status(if seen.text().contains("poison") { status } else { 200 });
        let server = Server::start(poison).await;
        let sink = HttpSink::builder(&server.url()).ask_again([]).build().unwrap();
        let outcomes = sink.deliver(&delivery([("a", "poison"), ("a", "2"), ("b", "3")])).await.unwrap();
        let outcomes = all(&outcomes);
        assert!(matches!(outcomes[0], Outcome::Rejected { .. } | Outcome::Retry), "{outcomes:?}");
        assert_eq!(outcomes[1..], [Outcome::busy(Some(Duration::ZERO)), Outcome::Delivered]);
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_pause_holds_the_rest_of_the_delivery_whatever_its_key() {
    let server = Server::start(|seen| match seen.text().contains("\"2\"") {
        true => Answer::with(429, "retry-after: 9", ""),
        false => Answer::status(200),
    })
    .await;
    let sink = HttpSink::builder(&server.url()).concurrency(1).build().unwrap();
    let outcomes = sink.deliver(&delivery([("a", "1"), ("b", "2"), ("b", "3"), ("c", "4")])).await.unwrap();
    let busy = Outcome::busy(Some(Duration::from_secs(9)));
    assert_eq!(all(&outcomes), [Outcome::Delivered, busy.clone(), busy.clone(), busy]);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_first_failure_is_the_reason_when_every_record_failed() {
    let server = Server::start(|seen| Answer::with(500, "x-any: y", &seen.text()[12..13])).await;
    let sink = HttpSink::new(&server.url()).unwrap();
    let error = sink.deliver(&delivery([("a", "1"), ("b", "2"), ("a", "3")])).await.unwrap_err();
    assert!(error.to_string().ends_with("answered 500 Internal Server Error: a"), "{error}");
}
