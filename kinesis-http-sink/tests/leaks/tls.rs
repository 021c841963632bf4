//! Faults of TLS and of HTTP/2, for the same table.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kinesis_http_sink::{Client, Format, HttpSink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::frames::Step::{Answer, Close, FallSilent, GoAway, Ignore, Reset};
use crate::frames::{self, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM};
use crate::server::{BOTH, GOOD, H1, Server, read_request};
use crate::{End, Fault, Subscriber};

const AUTHORITY: &str = include_str!("../certificates/authority.pem");
const EXPIRED: &str = include_str!("../certificates/expired.pem");
const ELSEWHERE: &str = include_str!("../certificates/elsewhere.pem");
/// For an exchange with a server that stalls: more than a handshake takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a subscriber behind TLS does.
pub(crate) enum Behaviour {
    /// Something else than a handshake.
    NoTls(NoTls),
    /// It shows this certificate, offers these protocols, and answers each request of HTTP/1.1.
    Http1(&'static str, &'static [&'static str]),
    /// As that, but the second request of each connection is read, and the connection closed.
    Forgets,
    Http2(frames::Script),
}

/// What is done instead of a handshake.
#[derive(Clone, Copy)]
pub(crate) enum NoTls {
    Nothing,
    HangUp,
    Http,
}

/// A server that goes with its listener.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Behaviour {
    pub(crate) async fn start(&self) -> Subscriber {
        match *self {
            Self::NoTls(does) => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("https://{}/events", listener.local_addr().unwrap());
                subscriber(Listening(tokio::spawn(without_tls(listener, does))), &url, || 0)
            }
            Self::Http1(certificate, alpn) => http1(certificate, alpn, usize::MAX).await,
            Self::Forgets => http1(GOOD, H1, 1).await,
            Self::Http2(script) => {
                let (server, seen) = frames::scripted(script).await;
                let url = server.url();
                subscriber(server, &url, move || seen.lock().unwrap().len())
            }
        }
    }
}

/// Answers so many requests of each connection, reads one more, and closes.
async fn http1(certificate: &'static str, alpn: &[&str], answered: usize) -> Subscriber {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = Server::start(certificate, alpn, move |mut tls, _| {
        let count = Arc::clone(&count);
        async move {
            for nth in 0.. {
                if read_request(&mut tls).await.is_none() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                if nth == answered {
                    return;
                }
                tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                tls.flush().await.unwrap();
            }
        }
    })
    .await;
    let url = server.url();
    subscriber(server, &url, move || counted.load(Ordering::SeqCst))
}

async fn without_tls(listener: TcpListener, does: NoTls) {
    loop {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            match does {
                NoTls::HangUp => return,
                NoTls::Nothing => {}
                NoTls::Http => tcp.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap(),
            }
            // Ends when the other side closes.
            while tcp.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        });
    }
}

fn subscriber(server: impl Any, url: &str, requests: impl Fn() -> usize + 'static) -> Subscriber {
    let client = Client::builder().ca_certificates(AUTHORITY).unwrap().build();
    let sink = HttpSink::builder(url).client(&client).timeout(PATIENCE);
    Subscriber { server: Box::new(server), requests: Box::new(requests), sink }
}

const fn fault(name: &'static str, subscriber: Behaviour, requests: usize, end: End) -> Fault {
    Fault { name, subscriber: crate::Behaviour::Tls(subscriber), format: Format::original, requests, end }
}

const fn http2(name: &'static str, script: frames::Script, requests: usize, end: End) -> Fault {
    fault(name, Behaviour::Http2(script), requests, end)
}

/// What fails before there is a connection costs no request; what the server did not look at is sent again once, at once.
pub(crate) const FAULTS: &[Fault] = &[
    fault("none, over TLS", Behaviour::Http1(GOOD, H1), 4, End::Delivered),
    fault("a handshake that stalls", Behaviour::NoTls(NoTls::Nothing), 0, End::Retry),
    fault("a handshake that breaks off", Behaviour::NoTls(NoTls::HangUp), 0, End::Retry),
    fault("HTTP where TLS is wanted", Behaviour::NoTls(NoTls::Http), 0, End::Retry),
    fault("a certificate that has expired", Behaviour::Http1(EXPIRED, BOTH), 0, End::Retry),
    fault("a certificate for another host", Behaviour::Http1(ELSEWHERE, BOTH), 0, End::Retry),
    fault("another protocol", Behaviour::Http1(GOOD, &["imap"]), 0, End::Retry),
    fault("TLS closed on reuse", Behaviour::Forgets, 6, End::Delivered),
    http2("none, over HTTP/2", |_| &[Answer], 4, End::Delivered),
    http2(
        "a GOAWAY before the second request",
        |seen| if seen.nth == 0 { &[Answer] } else { &[GoAway { seen: false, reason: NO_ERROR }, Close] },
        7,
        End::Delivered,
    ),
    http2("a GOAWAY before each request", |_| &[GoAway { seen: false, reason: NO_ERROR }, Close], 4, End::Retry),
    http2("a GOAWAY for an error", |_| &[GoAway { seen: true, reason: INTERNAL_ERROR }, Close], 2, End::Retry),
    http2("a GOAWAY without an end", |_| &[GoAway { seen: true, reason: NO_ERROR }], 2, End::Retry),
    http2("a stream that is refused", |_| &[Reset { reason: REFUSED_STREAM }], 4, End::Retry),
    http2("a stream that is reset", |_| &[Reset { reason: INTERNAL_ERROR }], 2, End::Retry),
    http2("HTTP/2 closed", |_| &[Close], 2, End::Retry),
    http2("HTTP/2 without an answer", |_| &[Ignore], 2, End::Retry),
    // It does not look at the second one, which comes on the same connection.
    http2("HTTP/2 that falls silent", |_| &[FallSilent], 1, End::Retry),
];
