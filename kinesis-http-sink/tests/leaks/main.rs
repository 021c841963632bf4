//! Every fault of a subscriber in one table: how often it is asked, what it comes to, and that nothing is left behind of it.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

#[cfg(feature = "tls")]
#[path = "../tls/frames.rs"]
mod frames;
#[cfg(feature = "tls")]
#[path = "../tls/server.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use kinesis_core::{Delivery, Outcome, Sink};
use kinesis_http_sink::{CloudEvents, Format, HttpSink, HttpSinkBuilder};
use support::{Answer, SHORT, Seen, Server, delivery};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

/// What a delivery of two records comes to.
#[derive(Debug, PartialEq)]
enum End {
    Delivered,
    Retry,
    Busy,
    Rejected,
}

/// What a subscriber does.
enum Behaviour {
    /// It answers requests over TCP.
    Plain(fn(&Seen) -> Answer),
    #[cfg(feature = "tls")]
    Tls(tls::Behaviour),
}

/// A subscriber at work: whoever has it, how many requests it had, and a sink for it.
struct Subscriber {
    server: Box<dyn Any>,
    requests: Box<dyn Fn() -> usize>,
    sink: HttpSinkBuilder,
}

impl Behaviour {
    async fn start(&self) -> Subscriber {
        match self {
            Self::Plain(answer) => {
                let server = Arc::new(Server::start(*answer).await);
                let sink = HttpSink::builder(&server.url()).timeout(SHORT);
                let counted = Arc::clone(&server);
                Subscriber { server: Box::new(server), requests: Box::new(move || counted.seen().len()), sink }
            }
            #[cfg(feature = "tls")]
            Self::Tls(behaviour) => behaviour.start().await,
        }
    }
}

/// A subscriber's fault, and what is expected of it.
struct Fault {
    name: &'static str,
    subscriber: Behaviour,
    format: fn() -> Format,
    /// Requests for two deliveries, of two records of one key each.
    requests: usize,
    end: End,
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

const fn fault(name: &'static str, answer: fn(&Seen) -> Answer, requests: usize, end: End) -> Fault {
    Fault { name, subscriber: Behaviour::Plain(answer), format: Format::original, requests, end }
}

/// Where the first record fails, it is alone: the other one of its key waits behind it.
const FAULTS: &[Fault] = &[
    fault("none", |_| Answer::status(200), 4, End::Delivered),
    fault("a slow head", |_| Answer::SayAndStall(format!("{OK}x-half: ")), 2, End::Retry),
    fault("a slow body", |_| Answer::SayAndGoOn { head: format!("{OK}\r\n"), slowly: true }, 2, End::Retry),
    fault("an endless body", |_| Answer::SayAndGoOn { head: format!("{OK}\r\n"), slowly: false }, 4, End::Delivered),
    fault("half a body", |_| Answer::SayAndClose(format!("{OK}content-length: 10\r\n\r\nhalf")), 2, End::Retry),
    fault("half a head", |_| Answer::SayAndClose(OK.to_owned()), 2, End::Retry),
    fault("a reset", |_| Answer::Reset, 2, End::Retry),
    // The first request of a connection is answered; the second is swallowed and sent again on one that is not kept.
    fault("close on reuse", |seen| if seen.nth == 0 { Answer::status(200) } else { Answer::Reset }, 6, End::Delivered),
    fault("a redirect", |_| Answer::with(307, "location: http://127.0.0.1:1/", ""), 2, End::Retry),
    fault("429 in seconds", |_| Answer::with(429, "retry-after: 600", ""), 1, End::Busy),
    fault("503 at a date", |_| Answer::with(503, "retry-after: Fri, 31 Dec 9999 23:59:59 GMT", ""), 1, End::Busy),
    fault("410", |_| Answer::status(410), 1, End::Busy),
    fault("413", |_| Answer::status(413), 2, End::Rejected),
    // The pipeline tries halves of what failed as a whole.
    Fault {
        format: || CloudEvents::batch().into(),
        ..fault(
            "413 for a batch",
            |seen| Answer::status(if seen.text().matches("specversion").count() > 1 { 413 } else { 200 }),
            2,
            End::Retry,
        )
    },
    fault("many headers", |_| Answer::Say(format!("{OK}{}\r\n", "x-a: b\r\n".repeat(200))), 2, End::Retry),
    fault("a huge header", |_| Answer::Say(format!("{OK}x-a: {}\r\n\r\n", "b".repeat(1 << 20))), 2, End::Retry),
    fault("no HTTP", |_| Answer::SayAndClose("220 mail.example.test ESMTP\r\n\r\n".to_owned()), 2, End::Retry),
];

async fn end(sink: &HttpSink, delivery: &Delivery) -> End {
    let delivered = timeout(Duration::from_secs(10), sink.deliver(delivery)).await;
    match delivered.expect("none hangs") {
        Err(error) if error.retry_after().is_some() => End::Busy,
        Err(_) => End::Retry,
        Ok(outcomes) => match outcomes.get(0).unwrap() {
            Outcome::Delivered => End::Delivered,
            Outcome::Busy { .. } => End::Busy,
            Outcome::Rejected { .. } => End::Rejected,
            _ => End::Retry,
        },
    }
}

#[tokio::test]
async fn every_fault_costs_what_it_must_and_leaves_nothing_behind() {
    let pair = delivery([("key", "1"), ("key", "2")]);
    #[cfg(feature = "tls")]
    let faults = FAULTS.iter().chain(tls::FAULTS);
    #[cfg(not(feature = "tls"))]
    let faults = FAULTS.iter();
    for Fault { name, subscriber, format, requests, end: expected } in faults {
        let before = Handle::current().metrics().num_alive_tasks();
        let Subscriber { server, requests: seen, sink } = subscriber.start().await;
        let sink = sink.format(format()).ask_again([]).without_breaker().build().unwrap();
        for _ in 0..2 {
            assert_eq!(end(&sink, &pair).await, *expected, "{name}");
        }
        assert_eq!(seen(), *requests, "{name}");
        drop((sink, server, seen));
        // The tasks of both ends of each connection: one that is left keeps the other one.
        let left = || Handle::current().metrics().num_alive_tasks().saturating_sub(before);
        for _ in 0..500 {
            if left() == 0 {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(left(), 0, "{name} leaves tasks behind");
    }
}
