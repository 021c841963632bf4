//! What a run tells of itself over HTTP: that it lives, that it gets on, and its numbers.

use std::time::Duration;

use kinesis_http_sink::Receiver;
use kinesis_mock::{Account, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::exposition::{Sample, parse};
use crate::support::{Program, Subscriber, TempFile, events, serve};

/// Nobody waits longer than this for something that has to come.
const TOO_LONG: Duration = Duration::from_secs(30);

/// The status and the body of a GET.
async fn get(at: &str, path: &str) -> (u16, String) {
    let asked = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    };
    tokio::time::timeout(TOO_LONG, asked).await.expect("it answers")
}

/// Asks until the status is `wanted`, and returns the body.
async fn until(at: &str, path: &str, wanted: u16) -> String {
    let asked = async {
        loop {
            let (status, body) = get(at, path).await;
            if status == wanted {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(TOO_LONG, asked).await.unwrap_or_else(|_| panic!("{path} becomes {wanted}"))
}

/// A subscriber that answers once its gate is open, for as long as it is.
async fn gated() -> (watch::Sender<bool>, String) {
    let (open, gate) = watch::channel(false);
    let receiver = Receiver::new().fallback(move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
        }
    });
    (open, serve(receiver).await)
}

/// The value of a number with these labels.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let has = |sample: &&Sample| {
        let is = |(label, value): &(&str, &str)| sample.1.contains(&((*label).to_owned(), (*value).to_owned()));
        sample.0 == format!("kinesis_forwarder_{name}") && labels.iter().all(is)
    };
    samples.iter().find(has).map(|sample| sample.2)
}

/// Asks for the numbers until they are such.
async fn numbers(at: &str, wanted: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
    let asked = async {
        loop {
            let (status, text) = get(at, "/metrics").await;
            assert_eq!(status, 200);
            let samples = parse(&text);
            if wanted(&samples) {
                return samples;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TOO_LONG, asked).await.expect("the numbers become what is wanted")
}

/// A run of a configuration, and where it answers.
async fn running(name: &str, text: String) -> (Program, String, TempFile) {
    let file = TempFile::with(name, text);
    let mut program = Program::start(["run", "--config", file.path()]);
    let at = program.noted("/healthz, /readyz and /metrics at http://").await;
    (program, at, file)
}

/// A run over the stream `orders` of this server, from its horizon on, with the subscriber `a`.
async fn streaming(name: &str, server: &Server, url: &str) -> (Program, String, TempFile) {
    let text = format!(
        "[source]\nstream = \"orders\"\nendpoint = {:?}\nstart = \"horizon\"\n[server]\nlisten = \"127.0.0.1:0\"\n\
         [[subscribers]]\nname = \"a\"\nurl = {url:?}\n",
        server.endpoint()
    );
    let (program, at, file) = running(name, text).await;
    until(&at, "/readyz", 200).await;
    (program, at, file)
}

/// A run over its standard input, with this subscriber, and where it answers.
async fn watched(name: &str, url: &str, more: &str) -> (Program, String, TempFile) {
    let text = format!(
        "[source]\ninput = \"-\"\n[server]\nlisten = \"127.0.0.1:0\"\nstalled_after = \"1.5s\"\n\
         [[subscribers]]\nname = \"slow \\\"one\\\"\"\nurl = {url:?}\ntimeout = \"1s\"\nretry = {{ max_age = \"5m\" }}\n{more}"
    );
    running(name, text).await
}

#[tokio::test]
async fn a_lane_that_stands_still_makes_it_unready_until_it_gets_on() {
    let (open, url) = gated().await;
    let (mut program, at, _file) = watched("ready.toml", &url, "").await;
    assert_eq!(until(&at, "/readyz", 200).await, "ready\n");
    program.write(&events("a", 3)).await;
    let why = until(&at, "/readyz", 503).await;
    assert!(why.starts_with("slow \"one\" has stood still on "), "{why}");
    assert_eq!(get(&at, "/healthz").await, (200, "running\n".to_owned()));
    open.send(true).unwrap();
    assert_eq!(until(&at, "/readyz", 200).await, "ready\n");
    let done = program.end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[tokio::test]
async fn a_subscriber_that_has_halted_is_named() {
    let url = serve(Receiver::new().on("other", |_| async {})).await;
    let well = Subscriber::start().await;
    // One that has nobody else to post to ends.
    let more = format!(
        "on_reject = \"halt\"\nask_again = []\n[[subscribers]]\nname = \"well\"\nurl = {:?}\ntimeout = \"1s\"\n",
        well.url()
    );
    let (mut program, at, _file) = watched("halted.toml", &url, &more).await;
    program.write(&events("a", 1)).await;
    let why = loop {
        let why = until(&at, "/readyz", 503).await;
        if why != "starting\n" {
            break why;
        }
    };
    assert!(why.starts_with("slow \"one\" has halted on "), "{why}");
    program.signal("INT").await;
    assert_eq!(program.end().await.code, Some(1));
}

#[tokio::test]
async fn a_stream_has_lanes_and_a_run_that_stops_is_not_ready() {
    let account = Account::new();
    let stream = account.create("orders", 2);
    let server = Server::start(&account).await.unwrap();
    stream.put_all((0..20).map(|n| (format!("key-{n}"), n.to_string()))).unwrap();
    let (open, url) = gated().await;
    let (program, at, _file) = streaming("stream.toml", &server, &url).await;
    let lanes = |samples: &[Sample], name: &str| {
        let name = format!("kinesis_forwarder_{name}");
        let shard =
            |sample: &Sample| sample.1.iter().find(|(label, _)| label == "shard").map(|(_, shard)| shard.clone());
        samples.iter().filter(|sample| sample.0 == name).filter_map(shard).collect::<Vec<_>>()
    };
    let shards: Vec<String> = stream.shards().iter().map(|shard| shard.id.to_string()).collect();
    let in_flight =
        |samples: &[Sample]| samples.iter().any(|(name, _, n)| name == "kinesis_forwarder_inflight" && *n > 0.0);
    let samples = numbers(&at, |samples| in_flight(samples) && lanes(samples, "lane_queue") == shards).await;
    assert_eq!(lanes(&samples, "lane_halted"), shards);
    program.signal("INT").await;
    assert_eq!(until(&at, "/readyz", 503).await, "stopping\n");
    assert_eq!(get(&at, "/healthz").await, (200, "stopping\n".to_owned()));
    open.send(true).unwrap();
    let done = program.end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[tokio::test]
async fn the_lag_of_a_lane_grows_while_its_subscriber_takes_nothing_and_falls_when_it_does() {
    let account = Account::new();
    let stream = account.create("orders", 1);
    let server = Server::start(&account).await.unwrap();
    let (open, url) = gated().await;
    open.send(true).unwrap();
    let (program, at, _file) = streaming("lag.toml", &server, &url).await;
    let shard = stream.shards()[0].id.to_string();
    let lag = |samples: &[Sample]| value(samples, "lane_lag_ms", &[("sub", "a"), ("shard", &shard)]);
    let delivered = |n: f64| move |samples: &[Sample]| value(samples, "event_age_seconds_count", &[]) == Some(n);
    stream.put("key", "0").unwrap();
    numbers(&at, |samples| delivered(1.0)(samples) && lag(samples) == Some(0.0)).await;
    open.send(false).unwrap();
    stream.put("key", "1").unwrap();
    // It is behind, and further with every look.
    let mut last = 0.0;
    for _ in 0..3 {
        last = lag(&numbers(&at, |samples| lag(samples) > Some(last)).await).unwrap();
    }
    assert!(last >= 1.0, "{last} ms");
    open.send(true).unwrap();
    numbers(&at, |samples| delivered(2.0)(samples) && lag(samples) == Some(0.0)).await;
    program.signal("INT").await;
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn the_numbers_of_a_run_are_told_as_prometheus_reads_them() {
    let mut subscriber = Subscriber::start().await;
    let (mut program, at, _file) = watched("metrics.toml", subscriber.url(), "parallel = 1\nconcurrency = 1\n").await;
    until(&at, "/readyz", 200).await;
    let line =
        |n: usize| format!("{{\"channel\":\"a\",\"data\":\"{n}\",\"approximateArrivalTimestamp\":1485507652.516}}\n");
    program.write(&(0..5).map(line).collect::<String>()).await;
    subscriber.has(5).await;
    let sub = ("sub", "slow \"one\"");
    // The reply to the last of them may be on its way.
    let samples = numbers(&at, |samples| value(samples, "event_age_seconds_count", &[sub]) == Some(5.0)).await;
    let delivered = [sub, ("outcome", "delivered"), ("code_class", "2xx")];
    for (name, labels, expected) in [
        ("records_read_total", &[][..], 5.0),
        ("deliveries_total", &delivered, 5.0),
        ("conn_reused_total", &[sub], 4.0),
        ("concurrency_limit", &[sub], 1.0),
        ("breaker_state", &[sub], 0.0),
        ("paused_seconds", &[sub], 0.0),
        ("dead_letters", &[sub], 0.0),
        ("events_lost_total", &[sub], 0.0),
        ("gaps_total", &[sub], 0.0),
        ("event_age_seconds_bucket", &[sub, ("le", "86400")], 0.0),
        ("event_age_seconds_bucket", &[sub, ("le", "+Inf")], 5.0),
    ] {
        assert_eq!(value(&samples, name, labels), Some(expected), "{name} {labels:?}: {samples:#?}");
    }
    for name in ["inflight", "lane_queue", "lane_halted", "delivery_seconds_sum"] {
        assert!(value(&samples, name, &[sub]).is_some(), "{name}: {samples:#?}");
    }
    program.signal("TERM").await;
    let done = program.end().await;
    assert!(done.stderr.contains("finishing"), "{done:?}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_before_anything_runs() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let args = ["run", "--input", "-", "--to", "http://127.0.0.1:9/", "--listen", &address];
    let done = Program::start(args).end().await;
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.starts_with(&format!("error: cannot listen on {address} for health and metrics")), "{done:?}");
}
