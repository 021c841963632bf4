//! `run --config` and `config check`.

use crate::support::{Program, Subscriber, TempFile, events};

#[tokio::test]
async fn the_example_can_run() {
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
