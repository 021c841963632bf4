//! What goes wrong between two machines: every fault has its outcome, and none of them hangs.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::time::Duration;

use kinesis_core::{ErrorKind, Outcome, Sink};
use kinesis_http_sink::{Client, HttpSink};
use support::{Answer, SHORT, Server, delivery, one};
use tokio::time::Instant;

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn sink(server: &Server) -> HttpSink {
    HttpSink::new(&server.url()).unwrap()
}

/// A sink that gives up soon, for servers that never get to the end.
fn hasty(server: &Server) -> HttpSink {
    HttpSink::builder(&server.url()).timeout(SHORT).build().unwrap()
}

async fn server(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |_| answer()).await
}

/// Delivers one record, and returns the sentence and all causes of the failure.
async fn failure(sink: &HttpSink) -> String {
    let started = Instant::now();
    let error = sink.deliver(&one()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    // Far less than the usual timeout, far more than a busy machine needs.
    assert!(started.elapsed() < SHORT * 25, "{error} took {:?}", started.elapsed());
    error.chain()
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_names_url_cause_and_way_out() {
    let url = {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/events", gone.local_addr().unwrap())
    };
    let sink = HttpSink::new(&format!("{url}?key=s3cret")).unwrap();
    let reason = failure(&sink).await;
    assert!(reason.starts_with(&format!("{url}?… refused the connection; is the subscriber running")), "{reason}");
    assert!(reason.contains("Connection refused") && !reason.contains("s3cret"), "{reason}");
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_tried_again() {
    // A label of more than 63 characters is refused by the resolver itself: no name server is asked.
    let host = "x".repeat(70);
    let sink = HttpSink::builder(&format!("http://{host}/")).timeout(SHORT).build().unwrap();
    let reason = failure(&sink).await;
    assert!(reason.contains("could not be connected to; is the address right?"), "{reason}");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_given_up_in_time() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let deaf = socket.listen(1).unwrap();
    let address = deaf.local_addr().unwrap();
    // Nobody accepts: once the queue is full, the system leaves a new connection without an answer.
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(SHORT / 2, tokio::net::TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
    }
    let sink = HttpSink::builder(&format!("http://{address}/")).connect_timeout(SHORT / 4).build().unwrap();
    let reason = failure(&sink).await;
    assert!(
        reason.contains("could not be reached in time") && reason.contains("no connection within 50ms"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up_in_time() {
    for said in ["", OK, "HTTP/1.1 200 OK\r\nx-half: "] {
        let server = server(move || Answer::SayAndStall(said.to_owned())).await;
        let reason = failure(&hasty(&server)).await;
        assert!(reason.contains("gave no whole reply within 200ms"), "{reason}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_slow_is_given_up_in_time() {
    // A timeout that ends with the head lets a subscriber hold a request for as long as it likes.
    let stalled = server(|| Answer::SayAndStall(format!("{OK}content-length: 10\r\n\r\nhalf"))).await;
    assert!(failure(&hasty(&stalled)).await.contains("gave no whole reply within 200ms"));
    let slow = server(|| Answer::SayAndGoOn { head: format!("{OK}\r\n"), slowly: true }).await;
    assert!(failure(&hasty(&slow)).await.contains("gave no whole reply within 200ms"));
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_its_status_counts() {
    let server = server(|| Answer::SayAndGoOn { head: format!("{OK}\r\n"), slowly: false }).await;
    assert!(sink(&server).deliver(&one()).await.unwrap().all_delivered());
}

#[tokio::test]
async fn a_body_over_the_cap_costs_the_connection_and_one_at_the_cap_does_not() {
    let reply = |length: usize| format!("{OK}content-length: {length}\r\n\r\n{}", "x".repeat(length));
    for (length, connections) in [(1000, 1), (1_000_000, 2)] {
        let server = server(move || Answer::Say(reply(length))).await;
        let sink = HttpSink::builder(&server.url()).reply_cap(1000).build().unwrap();
        for _ in 0..2 {
            assert!(sink.deliver(&one()).await.unwrap().all_delivered());
        }
        assert_eq!(server.accepted(), connections, "a body of {length} bytes");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_tried_again() {
    let server = server(|| Answer::SayAndClose(format!("{OK}content-length: 10\r\n\r\nhalf"))).await;
    assert!(failure(&sink(&server)).await.contains("broke off in the middle of its reply"));
}

#[tokio::test]
async fn a_connection_that_is_reset_or_closed_is_tried_again_by_the_pipeline_alone() {
    for said in ["", OK] {
        let closing = server(move || Answer::SayAndClose(said.to_owned())).await;
        assert!(failure(&sink(&closing)).await.contains("closed the connection before it answered"));
        assert_eq!(closing.seen().len(), 1, "a new connection that fails is the attempt");
    }
    let resetting = server(|| Answer::Reset).await;
    assert!(failure(&sink(&resetting)).await.contains("closed the connection before it answered"));
    assert_eq!(resetting.seen().len(), 1);
}

#[tokio::test]
async fn what_is_not_http_is_tried_again_and_said() {
    let server = server(|| Answer::SayAndStall("220 mail.example.test ESMTP\r\n\r\n".to_owned())).await;
    assert!(failure(&sink(&server)).await.contains("answered something that is not HTTP; is the port right?"));
}

#[tokio::test]
async fn a_request_that_a_reused_connection_swallowed_is_sent_again_at_once() {
    // Counted as a failed attempt, every idle connection that a server closes costs a retry and its wait.
    for reset in [false, true] {
        let server = Server::start(move |seen| match (seen.nth, reset) {
            (0, _) => Answer::status(200),
            (_, true) => Answer::Reset,
            (_, false) => Answer::SayAndClose(String::new()),
        })
        .await;
        let sink = sink(&server);
        for _ in 0..2 {
            assert!(sink.deliver(&one()).await.unwrap().all_delivered());
        }
        let seen = server.seen();
        let places: Vec<_> = seen.iter().map(|seen| (seen.connection, seen.nth)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0)], "reset: {reset}");
        assert_eq!(seen[1].body, seen[2].body);
        assert_eq!(seen[1].header("webhook-id"), seen[2].header("webhook-id"));
    }
}

#[tokio::test]
async fn a_request_that_was_half_answered_is_not_sent_again() {
    let server = Server::start(|seen| match seen.nth {
        0 => Answer::status(200),
        _ => Answer::SayAndClose("HTTP/1.1 20".to_owned()),
    })
    .await;
    let sink = sink(&server);
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    failure(&sink).await;
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_request_is_sent_again_once_and_no_more() {
    let server = Server::start(|seen| match (seen.connection, seen.nth) {
        (0, 0) => Answer::status(200),
        _ => Answer::SayAndClose(String::new()),
    })
    .await;
    let sink = sink(&server);
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    failure(&sink).await;
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_dead_subscriber_costs_one_that_shares_its_client_nothing() {
    let client = Client::new();
    let dead = server(|| Answer::SayAndStall(String::new())).await;
    let alive = server(|| Answer::status(200)).await;
    let to = |server: &Server| HttpSink::builder(&server.url()).client(&client).build().unwrap();
    let (dead, alive) = (to(&dead), to(&alive));
    let (waiting, delivered) = (one(), one());
    tokio::select! {
        biased;
        _ = dead.deliver(&waiting) => panic!("the dead one answered"),
        outcomes = alive.deliver(&delivered) => assert!(outcomes.unwrap().all_delivered()),
    }
}

#[tokio::test]
async fn a_delivery_with_some_failures_marks_each_record() {
    let server = Server::start(|seen| match seen.text().contains("poison") {
        true => Answer::Reset,
        false => Answer::status(200),
    })
    .await;
    let mixed = delivery([("a", "1"), ("b", "poison"), ("a", "2"), ("b", "3"), ("c", "4")]);
    let outcomes: Vec<_> = sink(&server).deliver(&mixed).await.unwrap().iter().cloned().collect();
    use Outcome::{Delivered, Retry};
    let behind = Outcome::busy(Some(Duration::ZERO));
    assert_eq!(outcomes, [Delivered, Retry, Delivered, behind, Delivered]);
    assert!(server.seen().iter().all(|seen| !seen.text().contains(r#""data":"3""#)), "what waits behind is not sent");
}
