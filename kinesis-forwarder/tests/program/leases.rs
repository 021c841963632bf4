//! `leases`: the state of runs, looked into and changed between them.

use std::path::Path;
use std::time::Duration;

use kinesis_core::{FileStore, LeaseStore as _};
use kinesis_mock::{Account, Server};
use serde_json::{Value, json};

use crate::support::{Done, Program, Subscriber, TempFile, events};

async fn leases(state: &TempFile, args: &[&str]) -> Done {
    Program::start([&["leases"], args, &["--state", state.path()]].concat()).end().await
}

async fn run(input: &TempFile, state: &TempFile, subscriber: &Subscriber) -> Done {
    Program::start(["run", "--input", input.path(), "--state", state.path(), "--to", subscriber.url()]).end().await
}

async fn json_of(state: &TempFile, args: &[&str]) -> Value {
    let done = leases(state, &[args, &["--json"]].concat()).await;
    serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
}

#[tokio::test]
async fn a_file_is_sent_again_from_a_record_on() {
    let (input, state) = (TempFile::with("again.ndjson", events("a", 10)), TempFile::none("again.state"));
    let subscriber = Subscriber::start().await;
    assert_eq!(run(&input, &state, &subscriber).await.code, Some(0));
    let list = leases(&state, &["list"]).await;
    let path = Path::new(input.path()).canonicalize().unwrap();
    assert_eq!(list.code, Some(0), "{list:?}");
    let row = list.stdout.lines().nth(1).unwrap();
    assert!(row.starts_with(path.to_str().unwrap()) && row.contains(subscriber.url()), "{row}");
    assert!(row.ends_with("the end"), "{row}");

    let shard = "shardId-000000000000";
    let reset = ["reset", "--to", "8", "--shard", shard];
    let shown = leases(&state, &reset).await;
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(1), "nothing is done: give --yes to do it\n"), "{shown:?}");
    let step = shown.stdout.lines().nth(2).unwrap();
    let words: Vec<&str> = step.split_whitespace().collect();
    assert_eq!(words, [subscriber.url(), shard, "the", "end", "at", "8"]);
    assert!(run(&input, &state, &subscriber).await.stdout.starts_with("nothing more to do"));

    assert_eq!(leases(&state, &[&reset[..], &["--yes"]].concat()).await.code, Some(0));
    let listed = json_of(&state, &["list"]).await;
    assert_eq!(listed["leases"][0]["subscriptions"][0]["position"], json!({ "kind": "at", "number": "8" }));
    assert_eq!(run(&input, &state, &subscriber).await.code, Some(0));
    assert_eq!(subscriber.payloads().len(), 13);
    let done = json_of(&state, &["reset", "--to", "horizon", "--yes", "--subscription", subscriber.url()]).await;
    assert_eq!((&done["done"], &done["moves"][0]["to"]), (&json!(true), &json!({ "kind": "horizon" })));
    assert_eq!(run(&input, &state, &subscriber).await.code, Some(0));
    assert_eq!(subscriber.payloads().len(), 23);
}

/// Follows the stream until the subscriber has so many records more, and then stops.
async fn follow(args: &[&str], subscriber: &mut Subscriber, more: usize) {
    let wanted = subscriber.bodies().len() + more;
    let program = Program::start(args);
    subscriber.has(wanted).await;
    program.signal("TERM").await;
    let done = program.end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[tokio::test]
async fn a_stream_is_sent_again_from_the_horizon_a_record_and_the_tip() {
    let account = Account::new();
    let stream = account.create("orders", 1);
    let server = Server::start(&account).await.unwrap();
    let state = TempFile::none("again-stream.state");
    let mut subscriber = Subscriber::start().await;
    let (endpoint, url) = (server.endpoint(), subscriber.url().to_owned());
    let run = ["run", "--stream", "orders", "--endpoint", &endpoint, "--state", state.path(), "--to", &url];
    let from_start = [&run[..], &["--start", "horizon"]].concat();
    let numbers: Vec<_> = (0..5).map(|n| stream.put("key", n.to_string()).unwrap().1.to_string()).collect();
    follow(&from_start, &mut subscriber, 5).await;
    let listed = json_of(&state, &["list"]).await;
    let place = json!({ "kind": "after", "number": numbers[4] });
    assert_eq!(listed["leases"][0]["subscriptions"][0]["position"], place);
    for (to, more) in [("horizon", 5), (&*numbers[3], 2)] {
        assert_eq!(leases(&state, &["reset", "--to", to, "--yes", "--stream", "orders"]).await.code, Some(0), "{to}");
        follow(&run, &mut subscriber, more).await;
    }
    assert_eq!(subscriber.payloads().len(), 12);

    assert_eq!(leases(&state, &["reset", "--to", "tip", "--yes"]).await.code, Some(0));
    stream.put("key", "missed").unwrap();
    let program = Program::start(run);
    // When it has found the tip nobody tells.
    while tokio::time::timeout(Duration::from_millis(100), subscriber.has(13)).await.is_err() {
        stream.put("key", "new").unwrap();
    }
    program.signal("TERM").await;
    assert_eq!(program.end().await.code, Some(0));
    assert!(!subscriber.payloads().contains(&"missed".to_owned()));
}

#[tokio::test]
async fn what_a_killed_run_held_is_shown_and_let_go() {
    let (input, state) = (TempFile::with("held.ndjson", events("a", 20_000)), TempFile::none("held.state"));
    let mut subscriber = Subscriber::start().await;
    let program = Program::start(["run", "--input", input.path(), "--state", state.path(), "--to", subscriber.url()]);
    subscriber.has(1).await;
    let in_use = leases(&state, &["list"]).await;
    assert_eq!(in_use.code, Some(2), "{in_use:?}");
    assert!(in_use.stderr.contains("is in use by another process"), "{in_use:?}");
    program.signal("KILL").await;
    program.end().await;
    let owner = json_of(&state, &["list"]).await["leases"][0]["owner"].clone();
    assert!(owner.as_str().unwrap().starts_with("kinesis-forwarder-"), "{owner}");
    assert_eq!(leases(&state, &["release"]).await.code, Some(1));
    let released = leases(&state, &["release", "--yes"]).await;
    assert_eq!(released.code, Some(0), "{released:?}");
    assert!(released.stdout.contains(owner.as_str().unwrap()), "{released:?}");
    assert_eq!(json_of(&state, &["list"]).await["leases"][0]["owner"], Value::Null);
    assert_eq!(leases(&state, &["release"]).await.stdout, "no lease is held\n");
    let store = FileStore::open_existing(state.path(), "kinesis-forwarder").unwrap();
    assert_eq!(store.list().await.unwrap().len(), 1, "a look makes nothing");
}

#[tokio::test]
async fn what_cannot_be_done_is_told_in_one_line() {
    let (input, state) = (TempFile::with("cannot.ndjson", events("a", 1)), TempFile::none("cannot.state"));
    let subscriber = Subscriber::start().await;
    let missing = leases(&state, &["list"]).await;
    assert!(missing.stderr.starts_with("error: there is no state file ") && missing.code == Some(2), "{missing:?}");
    assert!(!Path::new(state.path()).exists());
    assert_eq!(run(&input, &state, &subscriber).await.code, Some(0));
    for (args, says) in [
        (&["reset", "--to", "tip", "--yes"][..], "error: a file has no tip"),
        (&["reset", "--to", "2026-01-31T12:00:00Z", "--yes"], "error: a file cannot be read from a time on"),
        (&["reset", "--to", "0", "--yes"], "error: 0 is no place in a file"),
        (
            &["reset", "--to", "sometime"],
            "error: invalid value 'sometime' for '--to <WHERE>': write horizon, tip, a time",
        ),
        (&["reset", "--to", "horizon", "--subscription", "x"], "error: stream "),
    ] {
        let done = leases(&state, args).await;
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.lines().count()), (Some(2), "", 1), "{done:?}");
        assert!(done.stderr.starts_with(says), "{says}: {done:?}");
    }
}
