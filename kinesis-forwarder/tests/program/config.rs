//! `run --config`, `config check`, and what a run tells over HTTP.

use std::time::Duration;

use kinesis_http_sink::Receiver;
use kinesis_mock::{Account, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::support::{Program, Subscriber, TempFile, events, serve};

/// Nobody waits longer than this for something that has to come.
const TOO_LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_example_has_every_field_and_can_run() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/forwarder.example.toml");
    let done = Program::start(["config", "check", example]).end().await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    for part in [
        "reads the stream arn:aws:kinesis:eu-west-1:123456789012:stream/orders, pushed to the consumer forwarder",
        "keeps in the table orders-forwarder how far each subscriber is, at http://127.0.0.1:8000",
        "serves /healthz, /readyz and /metrics at 127.0.0.1:9090",
        "audit    http://127.0.0.1:3000/events  paid, placed   cloud-events-batch; unsigned",
        "welcome  http://127.0.0.1:3001/events  every channel  lambda-event",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    // Each field that a mistake would list is in the example, said or commented out.
    let text = std::fs::read_to_string(example).unwrap();
    for (section, fields) in [("source", ""), ("state", ""), ("server", ""), ("subscribers", "[[subscribers]]")] {
        let head = if fields.is_empty() { format!("[{section}]") } else { fields.to_owned() };
        let wrong = TempFile::with(&format!("fields-{section}.toml"), format!("{head}\nqqq = 1\n"));
        let done = Program::start(["config", "check", wrong.path()]).end().await;
        let line = done.stderr.lines().find(|line| line.contains("there is no such field")).expect(section);
        let (_, known) = line.split_once("there are ").expect(line);
        for field in known.split(", ") {
            assert!(text.contains(&format!("{field} = ")), "{section}.{field} is not in the example");
        }
    }
}

#[tokio::test]
async fn a_check_tells_every_mistake_and_a_run_does_not_start() {
    let text = "[source]\ninput = \"-\"\n[[subscribers]]\nname = \"a\"\nurl = \"nonsense\"\nrate = 0\n";
    let file = TempFile::with("wrong.toml", text);
    let done = Program::start(["config", "check", file.path()]).end().await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
    let lines: Vec<_> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(
        lines[0].starts_with(&format!("{}:5:7: subscribers[0].url: the URL \"nonsense\"", file.path())),
        "{done:?}"
    );
    assert!(lines[1].starts_with(&format!("{}:6:8: subscribers[0].rate: is 0", file.path())), "{done:?}");
    let done = Program::start(["run", "--config", file.path()]).end().await;
    assert_eq!((done.code, done.stderr.lines().count()), (Some(2), 2), "{done:?}");
}

#[tokio::test]
async fn a_file_and_a_flag_make_a_run() {
    let subscriber = Subscriber::start().await;
    let input = TempFile::with("config-input.ndjson", [events("a", 3), events("b", 2)].concat());
    let text = format!(
        "[source]\nstream = \"nobody-asks\"\nstart = \"horizon\"\n[[subscribers]]\nname = \"audit\"\nurl = {:?}\nchannels = [\"b\"]\n",
        subscriber.url()
    );
    let file = TempFile::with("run.toml", text);
    let done = Program::start(["run", "--config", file.path(), "--input", input.path()]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(subscriber.payloads(), ["0", "1"]);
    assert!(done.stdout.contains("\naudit "), "{done:?}");
}

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

/// A run over its standard input, with this subscriber, and where it answers.
async fn watched(name: &str, url: &str, more: &str) -> (Program, String, TempFile) {
    let text = format!(
        "[source]\ninput = \"-\"\n[server]\nlisten = \"127.0.0.1:0\"\nstalled_after = \"1.5s\"\n\
         [[subscribers]]\nname = \"slow \\\"one\\\"\"\nurl = {url:?}\ntimeout = \"1s\"\nretry = {{ max_age = \"5m\" }}\n{more}"
    );
    let file = TempFile::with(name, text);
    let mut program = Program::start(["run", "--config", file.path()]);
    let at = program.noted("/healthz, /readyz and /metrics at http://").await;
    (program, at, file)
}

#[tokio::test]
async fn a_lane_that_stands_still_makes_it_unready_until_it_gets_on() {
    let (open, gate) = watch::channel(false);
    let receiver = Receiver::new().fallback(move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
        }
    });
    let url = serve(receiver).await;
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
    let (mut program, at, _file) = watched("halted.toml", &url, "on_reject = \"halt\"\nask_again = []\n").await;
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
    let (open, gate) = watch::channel(false);
    let receiver = Receiver::new().fallback(move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
        }
    });
    let url = serve(receiver).await;
    let text = format!(
        "[source]\nstream = \"orders\"\nendpoint = {:?}\nstart = \"horizon\"\n[server]\nlisten = \"127.0.0.1:0\"\n\
         [[subscribers]]\nname = \"a\"\nurl = {url:?}\n",
        server.endpoint()
    );
    let file = TempFile::with("stream.toml", text);
    let mut program = Program::start(["run", "--config", file.path()]);
    let at = program.noted("/healthz, /readyz and /metrics at http://").await;
    until(&at, "/readyz", 200).await;
    let lanes = |samples: &[Sample], name: &str| {
        let name = format!("kinesis_forwarder_{name}");
        let shard =
            |sample: &Sample| sample.1.iter().find(|(label, _)| label == "shard").map(|(_, shard)| shard.clone());
        samples.iter().filter(|sample| sample.0 == name).filter_map(shard).collect::<Vec<_>>()
    };
    let shards: Vec<String> = stream.shards().iter().map(|shard| shard.id.to_string()).collect();
    let in_flight =
        |samples: &[Sample]| samples.iter().any(|(name, _, n)| name == "kinesis_forwarder_inflight" && *n > 0.0);
    let samples = loop {
        let samples = parse(&get(&at, "/metrics").await.1);
        if in_flight(&samples) && lanes(&samples, "lane_queue") == shards {
            break samples;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(lanes(&samples, "lane_halted"), shards);
    program.signal("INT").await;
    assert_eq!(until(&at, "/readyz", 503).await, "stopping\n");
    assert_eq!(get(&at, "/healthz").await, (200, "stopping\n".to_owned()));
    open.send(true).unwrap();
    let done = program.end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// A sample's name, its labels and its value.
type Sample = (String, Vec<(String, String)>, f64);

/// Reads the text format of Prometheus strictly: each sample is of the family whose HELP and TYPE stand before it.
fn parse(text: &str) -> Vec<Sample> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    };
    let (mut family, mut kind, mut seen, mut samples) = (String::new(), String::new(), Vec::new(), Vec::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(is_name(&family) && !seen.contains(&family), "{line}");
            seen.push(family.clone());
            continue;
        }
        if let Some(kind_of) = line.strip_prefix("# TYPE ") {
            let (name, is) = kind_of.split_once(' ').unwrap();
            assert!(name == family && ["counter", "gauge", "histogram"].contains(&is), "{line}");
            kind = is.to_owned();
            continue;
        }
        let (named, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) =
            named.split_once('{').map_or((named, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
        let of = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
        assert!(
            is_name(name) && of.is_empty() || kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&of),
            "{line}"
        );
        let mut rest = labels;
        let mut read = Vec::new();
        while !rest.is_empty() {
            let (label, quoted) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (mut value, mut chars, mut end) = (String::new(), quoted.char_indices(), None);
            while let Some((nth, c)) = chars.next() {
                match c {
                    '"' => {
                        end = Some(nth + 1);
                        break;
                    }
                    '\\' => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    c => value.push(c),
                }
            }
            read.push((label.to_owned(), value));
            rest = &quoted[end.unwrap()..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        samples.push((name.to_owned(), read, value.parse().unwrap()));
    }
    samples
}

#[tokio::test]
async fn the_numbers_of_a_run_are_told_as_prometheus_reads_them() {
    let mut subscriber = Subscriber::start().await;
    let (mut program, at, _file) = watched("metrics.toml", subscriber.url(), "parallel = 1\n").await;
    until(&at, "/readyz", 200).await;
    let line =
        |n: usize| format!("{{\"channel\":\"a\",\"data\":\"{n}\",\"approximateArrivalTimestamp\":1485507652.516}}\n");
    program.write(&(0..5).map(line).collect::<String>()).await;
    subscriber.has(5).await;
    let value = |samples: &[Sample], name: &str, labels: &[(&str, &str)]| {
        let has = |sample: &&Sample| {
            let is = |(label, value): &(&str, &str)| sample.1.contains(&((*label).to_owned(), (*value).to_owned()));
            sample.0 == format!("kinesis_forwarder_{name}") && labels.iter().all(is)
        };
        samples.iter().find(has).map(|sample| sample.2)
    };
    let sub = ("sub", "slow \"one\"");
    // The reply to the last of them may be on its way.
    let samples = loop {
        let (status, text) = get(&at, "/metrics").await;
        assert_eq!(status, 200);
        let samples = parse(&text);
        if value(&samples, "event_age_seconds_count", &[sub]) == Some(5.0) {
            break samples;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
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
