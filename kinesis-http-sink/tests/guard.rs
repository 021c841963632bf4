//! The guard on real sockets: what was refused is not connected to, however the way there is disguised.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kinesis_core::{ErrorKind, Sink};
use kinesis_http_sink::{Client, HttpSink, NetworkPolicy, Resolver};
use support::{Answer, Server, one};

/// A resolver with an answer for each time it is asked, the last one again and again.
#[derive(Clone)]
struct Told {
    answers: Arc<Mutex<Vec<Vec<&'static str>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Told {
    /// The first answer is the first one given.
    fn new<const N: usize>(answers: [&[&'static str]; N]) -> Self {
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Told {
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() };
        Ok(answer.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 7)).collect())
    }
}

/// Of this machine's addresses the one that servers listen at, and no other.
fn only_one() -> NetworkPolicy {
    NetworkPolicy::public_only().allow("127.0.0.1").unwrap()
}

async fn ok() -> Server {
    Server::start(|_| Answer::status(200)).await
}

/// A URL that leads to `server` once its host is resolved.
fn named(server: &Server) -> String {
    server.url().replace("127.0.0.1", "subscriber.test")
}

fn sink(url: &str, client: &Client, policy: NetworkPolicy) -> HttpSink {
    HttpSink::builder(url).client(client).network_policy(policy).build().unwrap()
}

/// The sentence and all causes of a failed delivery.
async fn failure(sink: &HttpSink) -> String {
    let error = sink.deliver(&one()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    error.chain()
}

#[tokio::test]
async fn a_refused_name_is_not_connected_to_and_its_addresses_are_not_told() {
    let server = ok().await;
    let client = Client::builder().resolver(Told::new([&["127.0.0.1", "10.77.0.1"]])).build();
    let sink = sink(&named(&server), &client, NetworkPolicy::public_only());
    let reason = failure(&sink).await;
    assert!(reason.contains("is at no address that its network policy allows"), "{reason}");
    assert!(reason.contains("subscriber.test has no address") && reason.contains("public networks only"), "{reason}");
    assert!(!reason.contains("127.0.0.1") && !reason.contains("10.77"), "{reason}");
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn of_several_addresses_the_allowed_ones_are_used() {
    let server = ok().await;
    let client = Client::builder().resolver(Told::new([&["127.0.0.2", "::1", "127.0.0.1"]])).build();
    let sink = sink(&named(&server), &client, only_one());
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_name_that_is_bound_again_gains_nothing() {
    // The server closes each connection, so each request resolves the name anew. The second answer is another network.
    let server = Server::start(|_| {
        Answer::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned())
    })
    .await;
    let told = Told::new([&["127.0.0.1"], &["127.0.0.2"], &["::ffff:127.0.0.2"], &["127.0.0.1"]]);
    let client = Client::builder().resolver(told.clone()).build();
    let sink = sink(&named(&server), &client, only_one());
    assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    for _ in 0..2 {
        assert!(failure(&sink).await.contains("network policy allows"));
    }
    assert_eq!(server.accepted(), 1);
    assert!(sink.deliver(&one()).await.unwrap().all_delivered(), "and it comes back with the right address");
    assert_eq!(told.asked(), ["subscriber.test"; 4]);
}

#[tokio::test]
async fn a_connection_stays_with_the_address_that_was_checked() {
    let server = ok().await;
    let told = Told::new([&["127.0.0.1"], &["169.254.169.254"]]);
    let client = Client::builder().resolver(told.clone()).build();
    let sink = sink(&named(&server), &client, only_one());
    for _ in 0..5 {
        assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    }
    assert_eq!((server.accepted(), told.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_connection_of_one_policy_is_not_handed_to_a_sink_with_another() {
    let server = ok().await;
    let client = Client::builder().resolver(Told::new([&["127.0.0.1"]])).build();
    let url = named(&server);
    let open = sink(&url, &client, NetworkPolicy::private_allowed());
    let strict = sink(&url, &client, NetworkPolicy::public_only());
    assert!(open.deliver(&one()).await.unwrap().all_delivered());
    assert!(failure(&strict).await.contains("network policy allows"));
    assert!(open.deliver(&one()).await.unwrap().all_delivered());
    assert_eq!(server.seen().len(), 2);
    // Equal policies share, in whatever way they came about.
    let equal = [only_one(), only_one().allow("127.0.0.1/32").unwrap()].map(|policy| sink(&url, &client, policy));
    for sink in &equal {
        assert!(sink.deliver(&one()).await.unwrap().all_delivered());
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1]);
}

#[tokio::test]
async fn a_url_at_a_refused_address_is_refused_when_the_sink_is_built() {
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "[127.0.0.1]", "0x7f.1", "127.0.0.1.", "[::1%25lo]"] {
        let url = format!("http://{host}:3000/events?key=s3cret");
        let error = HttpSink::builder(&url).network_policy(NetworkPolicy::public_only()).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = error.to_string();
        assert!(error.contains(host) && error.contains("public networks only") && !error.contains("s3cret"), "{error}");
        assert!(HttpSink::new(&url).is_ok(), "{host}: one's own services are the usual subscribers");
    }
    let error = HttpSink::new("http://169.254.169.254/latest/meta-data").unwrap_err().to_string();
    assert!(error.contains("allow its network"), "{error}");
}

#[tokio::test]
async fn an_address_in_an_odd_spelling_is_connected_to_as_what_it_is() {
    let server = ok().await;
    // No resolver is asked: it would have another answer.
    let told = Told::new([&["127.0.0.2"]]);
    let client = Client::builder().resolver(told.clone()).build();
    for host in ["127.1", "0x7f.1", "0177.0.0.1", "2130706433", "127.0.0.1.", "[::ffff:127.0.0.1]"] {
        let sink = sink(&server.url().replace("127.0.0.1", host), &client, only_one());
        assert!(sink.deliver(&one()).await.unwrap().all_delivered(), "{host}");
    }
    assert_eq!(server.seen().len(), 6);
    assert!(told.asked().is_empty());
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let told = Told::new([&["127.0.0.1"]]);
    let client = Client::builder().resolver(told.clone()).build();
    for location in ["http://169.254.169.254/latest/meta-data", "http://metadata.test/", "//127.0.0.1/", "/elsewhere"] {
        let server = Server::start(move |_| Answer::with(307, &format!("location: {location}"), "")).await;
        let reason = failure(&sink(&named(&server), &client, only_one())).await;
        assert!(reason.contains("redirects are not followed"), "{reason}");
        assert_eq!(server.seen().len(), 1, "{location}");
    }
    assert_eq!(told.asked(), ["subscriber.test"; 4]);
}

#[tokio::test]
async fn a_name_without_an_address_and_a_resolver_that_fails_are_no_such_host() {
    struct Broken;
    #[async_trait]
    impl Resolver for Broken {
        async fn resolve(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            Err(io::Error::other("the resolver is out"))
        }
    }
    let empty = Client::builder().resolver(Told::new([&[]])).build();
    let reason = failure(&sink("http://subscriber.test/", &empty, only_one())).await;
    assert!(reason.contains("could not be connected to") && reason.contains("the name has no address"), "{reason}");
    let broken = Client::builder().resolver(Broken).build();
    let reason = failure(&sink("http://subscriber.test/", &broken, only_one())).await;
    assert!(reason.contains("could not be connected to") && reason.contains("the resolver is out"), "{reason}");
}

/// The environment of a process cannot be changed safely while it runs, so this test runs itself again with a proxy
/// in its environment, where a request would go if anything looked for one.
#[tokio::test]
async fn no_proxy_is_taken_from_the_environment() {
    const SUBSCRIBER: &str = "TEST_SUBSCRIBER_URL";
    if let Ok(url) = std::env::var(SUBSCRIBER) {
        assert!(HttpSink::new(&url).unwrap().deliver(&one()).await.unwrap().all_delivered());
        return;
    }
    let (subscriber, proxy) = (ok().await, ok().await);
    let mut again = tokio::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "no_proxy_is_taken_from_the_environment"]).env(SUBSCRIBER, subscriber.url());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, proxy.url());
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((subscriber.seen().len(), proxy.accepted()), (1, 0));
}
