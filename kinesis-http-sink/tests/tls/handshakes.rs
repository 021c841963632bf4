//! Whom the sink talks to over TLS, and what it says where that cannot be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Version;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kinesis_core::Sink;
use kinesis_http_sink::{Client, HttpSink, NetworkPolicy, Receiver};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::server::{BOTH, GOOD, H1, H2, Server};
use crate::support::{SHORT, delivery};
use crate::{AUTHORITY, deliver, failure, sink, trusting};

/// The real receiver behind TLS, and the HTTP version of each request.
async fn receiver(alpn: &[&str]) -> (Server, Arc<Mutex<Vec<Version>>>) {
    let versions = Arc::new(Mutex::new(Vec::new()));
    let router = Receiver::new().fallback(|_| async {}).router();
    let noted = Arc::clone(&versions);
    let server = Server::start(GOOD, alpn, move |tls, _| {
        let (router, noted) = (router.clone(), Arc::clone(&noted));
        async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                noted.lock().unwrap().push(request.version());
                router.clone().oneshot(request)
            });
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
        }
    })
    .await;
    (server, versions)
}

/// A server that no request may come to.
async fn unasked(certificate: &'static str, alpn: &[&str]) -> Server {
    Server::start(certificate, alpn, |mut tls, _| async move {
        assert_eq!(crate::server::read_request(&mut tls).await, None);
    })
    .await
}

#[tokio::test]
async fn records_reach_the_receiver_over_each_version_of_http() {
    // The last server says nothing of protocols, as many old ones do.
    for (alpn, version) in
        [(H1, Version::HTTP_11), (H2, Version::HTTP_2), (BOTH, Version::HTTP_2), (&[], Version::HTTP_11)]
    {
        let (server, versions) = receiver(alpn).await;
        let sink = sink(&server.url());
        for _ in 0..3 {
            deliver(&sink).await;
        }
        assert_eq!(*versions.lock().unwrap(), [version; 3], "{alpn:?}");
        assert_eq!(server.accepted(), 1, "{alpn:?}");
    }
}

#[tokio::test]
async fn requests_side_by_side_share_one_connection_of_http2() {
    let (server, versions) = receiver(BOTH).await;
    let sink = sink(&server.url());
    deliver(&sink).await;
    let keys: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let many = delivery(keys.iter().map(|key| (key.as_str(), "data")));
    assert!(sink.deliver(&many).await.unwrap().all_delivered());
    assert_eq!(server.accepted(), 1);
    assert_eq!(*versions.lock().unwrap(), [Version::HTTP_2; 201]);
}

#[tokio::test]
async fn a_host_is_verified_by_name_and_by_address_in_any_spelling() {
    let (server, versions) = receiver(BOTH).await;
    for host in ["127.0.0.1", "127.1", "0x7f.1", "localhost", "LOCALHOST"] {
        deliver(&sink(&server.url_of(host))).await;
    }
    assert_eq!(versions.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_bad_certificate_is_refused_and_the_way_out_said() {
    let cases = [
        (
            include_str!("../certificates/expired.pem"),
            "showed a certificate that has expired; it is to be renewed there",
        ),
        (include_str!("../certificates/early.pem"), "showed a certificate that is not valid yet; is the clock right"),
        (include_str!("../certificates/elsewhere.pem"), "showed a certificate for another host"),
    ];
    for (certificate, sentence) in cases {
        let server = unasked(certificate, BOTH).await;
        let reason = failure(&sink(&server.url())).await;
        assert!(reason.starts_with(&format!("{} {sentence}", server.url())), "{reason}");
        assert!(reason.contains("invalid peer certificate"), "{reason}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_is_refused() {
    let stranger = include_str!("../certificates/stranger.pem");
    let clients = [Client::new(), Client::builder().ca_certificates(stranger).unwrap().build()];
    for client in clients {
        let server = unasked(GOOD, BOTH).await;
        let sink = HttpSink::builder(&server.url()).client(&client).build().unwrap();
        let reason = failure(&sink).await;
        assert!(reason.contains("an issuer that is not trusted here; give the client that issuer's CA"), "{reason}");
    }
}

#[tokio::test]
async fn trusted_authorities_may_be_several_and_have_to_be_readable() {
    let stranger = include_str!("../certificates/stranger.pem");
    let (server, _) = receiver(BOTH).await;
    let both = Client::builder().ca_certificates(format!("{stranger}\n{AUTHORITY}")).unwrap().build();
    deliver(&HttpSink::builder(&server.url()).client(&both).build().unwrap()).await;

    let refusal = |pem: &str| Client::builder().ca_certificates(pem).unwrap_err().to_string();
    assert!(refusal("").contains("hold none: give PEM text"));
    assert!(refusal(include_str!("../certificates/server.key")).contains("hold none"));
    assert!(refusal(&AUTHORITY[..200]).contains("cannot be read as PEM"), "{}", refusal(&AUTHORITY[..200]));
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    assert!(refusal(garbage).contains("hold one that cannot be used"), "{}", refusal(garbage));
}

#[tokio::test]
async fn http_and_https_mixed_up_are_told_apart() {
    let talkative = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", talkative.local_addr().unwrap());
    let talking = tokio::spawn(async move {
        let (tcp, _) = talkative.accept().await.unwrap();
        tcp.writable().await.unwrap();
        tcp.try_write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        tcp
    });
    let reason = failure(&sink(&url)).await;
    assert!(reason.contains("does not speak TLS; is the port right, or is the URL to begin with http://?"), "{reason}");
    talking.abort();

    let server = unasked(GOOD, BOTH).await;
    let reason = failure(&sink(&server.url().replace("https://", "http://"))).await;
    assert!(reason.contains("answered something that is not HTTP; is the port right"), "{reason}");
}

#[tokio::test]
async fn a_handshake_that_does_not_get_on_is_given_up_in_time() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", deaf.local_addr().unwrap());
    let client = Client::builder().ca_certificates(AUTHORITY).unwrap().connect_timeout(SHORT).build();
    let started = tokio::time::Instant::now();
    let reason = failure(&HttpSink::builder(&url).client(&client).build().unwrap()).await;
    assert!(reason.contains("could not be reached in time"), "{reason}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_handshake_that_breaks_off_says_so() {
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", rude.local_addr().unwrap());
    let hanging_up = tokio::spawn(async move { drop(rude.accept().await.unwrap()) });
    let reason = failure(&sink(&url)).await;
    assert!(reason.contains("broke off the TLS handshake; is the port right"), "{reason}");
    hanging_up.await.unwrap();
}

#[tokio::test]
async fn a_server_of_another_protocol_is_told_apart() {
    let server = unasked(GOOD, &["imap"]).await;
    let reason = failure(&sink(&server.url())).await;
    assert!(reason.contains("speaks neither HTTP/1.1 nor HTTP/2 over TLS"), "{reason}");
}

#[tokio::test]
async fn the_guard_stands_before_the_handshake() {
    let (server, versions) = receiver(BOTH).await;
    let strict = |host: &str| {
        HttpSink::builder(&server.url_of(host)).client(&trusting()).network_policy(NetworkPolicy::public_only()).build()
    };
    assert!(strict("127.0.0.1").unwrap_err().to_string().contains("allow its network"));
    let reason = failure(&strict("localhost").unwrap()).await;
    assert!(reason.contains("is at no address that its network policy allows"), "{reason}");
    assert_eq!((server.accepted(), versions.lock().unwrap().len()), (0, 0));
}
