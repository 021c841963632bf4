//! Delivery over TLS: what a handshake that fails says, and what HTTP/1.1 and HTTP/2 do with connections that die.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod frames;
mod handshakes;
mod http1;
mod http2;
mod server;
#[path = "../support/mod.rs"]
mod support;

use kinesis_core::{ErrorKind, Sink};
use kinesis_http_sink::{Client, HttpSink};

const AUTHORITY: &str = include_str!("../certificates/authority.pem");

/// A client that trusts the authority of these tests.
fn trusting() -> Client {
    Client::builder().ca_certificates(AUTHORITY).unwrap().build()
}

fn sink(url: &str) -> HttpSink {
    HttpSink::builder(url).client(&trusting()).build().unwrap()
}

/// Delivers one record.
async fn deliver(sink: &HttpSink) {
    assert!(sink.deliver(&support::one()).await.unwrap().all_delivered());
}

/// Delivers one record, and returns the sentence and all causes of the failure.
async fn failure(sink: &HttpSink) -> String {
    let error = sink.deliver(&support::one()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    error.chain()
}
