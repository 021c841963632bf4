//! `run --state`: what was stopped or killed goes on where it was.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;

use kinesis_mock::{Account, Server};

use crate::support::{Done, Program, Subscriber, TempFile, events, refusing};

/// More records than are read ahead.
const MANY: usize = 20_000;

fn run(input: &TempFile, state: &TempFile, url: &str) -> Program {
    Program::start(["run", "--input", input.path(), "--state", state.path(), "--to", url])
}

fn many() -> String {
    (0..MANY).fold(String::new(), |mut text, n| {
        writeln!(text, "{{\"partitionKey\":\"key-{}\",\"data\":\"{n}\"}}", n % 50).unwrap();
        text
    })
}

fn numbers(subscriber: &Subscriber) -> Vec<usize> {
    let mut numbers: Vec<usize> = subscriber.payloads().iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// The numbers that came, each once.
fn unique(subscriber: &Subscriber) -> Vec<usize> {
    let mut unique = numbers(subscriber);
    unique.dedup();
    unique
}

/// Waits for so many different numbers.
async fn has_unique(subscriber: &mut Subscriber, count: usize) {
    while unique(subscriber).len() < count {
        subscriber.has(numbers(subscriber).len() + 1).await;
    }
}

/// Whether every number came; no assertion prints twenty thousand of them.
fn has_all(subscriber: &Subscriber) -> bool {
    unique(subscriber) == (0..MANY).collect::<Vec<_>>()
}

/// Waits until the place is stored once more, which is every second.
async fn has_been_stored(state: &TempFile) {
    let written = || std::fs::metadata(state.path()).unwrap().modified().unwrap();
    let before = written();
    while written() == before {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn append(file: &TempFile, text: &str) {
    OpenOptions::new().append(true).open(file.path()).unwrap().write_all(text.as_bytes()).unwrap();
}

fn says_nothing_more(done: &Done) -> bool {
    done.code == Some(0) && done.stdout.starts_with("nothing more to do: ")
}

#[tokio::test]
async fn a_file_that_was_stopped_goes_on_where_it_was() {
    let (input, state) = (TempFile::with("stopped.ndjson", many()), TempFile::none("stopped.state"));
    let mut first = Subscriber::start().await;
    let program = run(&input, &state, first.url());
    first.has(100).await;
    program.signal("TERM").await;
    let done = program.end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("the next run with ") && done.stdout.ends_with(" goes on from here\n"), "{done:?}");
    let before = numbers(&first).len();
    assert!(before < MANY, "it was stopped in the middle");
    let done = run(&input, &state, first.url()).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(has_all(&first));
    // What comes again is what had overtaken a record that was in flight, and the first records had not.
    let came = numbers(&first);
    assert!(came.len() - MANY < before && came[..50] == (0..50).collect::<Vec<_>>(), "{}", came.len());
    assert!(says_nothing_more(&run(&input, &state, first.url()).end().await));
    assert_eq!(numbers(&first).len(), came.len());
}

#[tokio::test]
async fn a_file_that_was_killed_goes_on_and_not_from_its_start() {
    let (input, state) = (TempFile::with("killed.ndjson", many()), TempFile::none("killed.state"));
    let (answered, mut subscriber) = Subscriber::answering_first(MANY / 2).await;
    let program = run(&input, &state, subscriber.url());
    subscriber.has(MANY / 2 + 1).await;
    // On a fast machine all were delivered before the place was stored for the first time.
    has_been_stored(&state).await;
    program.signal("KILL").await;
    let done = program.end().await;
    assert_eq!(done.code, None, "{done:?}");
    answered.send(usize::MAX).unwrap();
    let before = numbers(&subscriber).len();
    let begun = tokio::time::Instant::now();
    let done = run(&input, &state, subscriber.url()).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    // The lease of the one that was killed is not waited for.
    assert!(begun.elapsed() < std::time::Duration::from_secs(8), "{:?}", begun.elapsed());
    let repeated = numbers(&subscriber).len() - MANY;
    assert!(has_all(&subscriber) && repeated < before, "{repeated} of {before} came again");
}

#[tokio::test]
async fn what_is_appended_is_delivered_alone_and_another_file_from_its_start() {
    let (input, state) = (TempFile::with("grows.ndjson", events("a", 3)), TempFile::none("grows.state"));
    let subscriber = Subscriber::start().await;
    assert_eq!(run(&input, &state, subscriber.url()).end().await.code, Some(0));
    append(&input, &events("b", 2));
    assert_eq!(run(&input, &state, subscriber.url()).end().await.code, Some(0));
    append(&input, "{\"data\":\"broken\"}\n");
    let done = run(&input, &state, subscriber.url()).end().await;
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("grows.ndjson, line 6, column"), "{done:?}");
    assert_eq!(subscriber.payloads(), ["0", "0", "1", "1", "2"]);

    std::fs::write(input.path(), events("a", 3) + &events("b", 2) + &events("c", 1)).unwrap();
    let done = run(&input, &state, subscriber.url()).end().await;
    assert_eq!((done.code, subscriber.payloads().len()), (Some(0), 6), "{done:?}");
    assert!(says_nothing_more(&run(&input, &state, subscriber.url()).end().await));

    std::fs::write(input.path(), events("d", 4)).unwrap();
    let done = run(&input, &state, subscriber.url()).end().await;
    assert_eq!((done.code, subscriber.payloads().len()), (Some(0), 10), "{done:?}");
    assert!(done.stderr.contains("is another file than the one that "), "{done:?}");
}

#[tokio::test]
async fn a_subscriber_that_was_down_gets_the_rest_and_one_that_is_new_everything() {
    let (input, state) = (TempFile::with("down.ndjson", events("a", 30)), TempFile::none("down.state"));
    let (alive, (held, dead)) = (Subscriber::start().await, refusing());
    let args = |second: &str| {
        let args = ["run", "--input", input.path(), "--state", state.path(), "--max-age", "300ms", "--to", alive.url()];
        args.into_iter().chain(["--to", second]).map(str::to_owned).collect::<Vec<_>>()
    };
    let done = Program::start(args(&dead)).end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains(&format!("{dead} halted: given up after")), "{done:?}");
    assert_eq!(alive.payloads().len(), 30);
    drop(held);
    let address = dead.trim_start_matches("http://").trim_end_matches("/events");
    let back = Subscriber::start_at(address).await;
    let done = Program::start(args(&dead)).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!((alive.payloads().len(), back.payloads().len()), (30, 30));
    let new = Subscriber::start().await;
    let done = Program::start(args(new.url())).end().await;
    assert_eq!((done.code, new.payloads().len(), alive.payloads().len()), (Some(0), 30, 30), "{done:?}");
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was() {
    let account = Account::new();
    let stream = account.create("orders", 2);
    let server = Server::start(&account).await.unwrap();
    let state = TempFile::none("stream.state");
    let mut subscriber = Subscriber::start().await;
    for (round, signal) in ["TERM", "KILL", "TERM"].into_iter().enumerate() {
        let of_round = round * 10..round * 10 + 10;
        stream.put_all(of_round.clone().map(|n| (format!("key-{n}"), n.to_string()))).unwrap();
        // Where to begin counts at first only: what was put while nothing ran is not missed.
        let start = if round == 0 { "horizon" } else { "latest" };
        let (endpoint, url) = (server.endpoint(), subscriber.url().to_owned());
        let args = ["run", "--stream", "orders", "--endpoint", &endpoint, "--state", state.path(), "--start", start];
        let program = Program::start([&args[..], &["--to", &url]].concat());
        has_unique(&mut subscriber, of_round.end).await;
        program.signal(signal).await;
        let done = program.end().await;
        assert_eq!(done.code, (signal == "TERM").then_some(0), "{done:?}");
    }
    assert_eq!(unique(&subscriber), (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_at_once() {
    let input = TempFile::with("refused.ndjson", events("a", 1));
    let other = TempFile::with("other.state", "not a state file");
    let none = TempFile::none("no.state");
    let url = "http://127.0.0.1:9/events";
    let cases: [(&[&str], &str); 4] = [
        (&["--input", "-", "--state", none.path()], "cannot go on in the input -: only a regular file"),
        (&["--input", input.path(), "--state", other.path()], "is no state file: it is something else"),
        (&["--input", input.path(), "--state", "no/such/state"], "error: cannot make the state file no/such/state: "),
        (
            &["--input", input.path(), "--state", none.path(), "--to", "http://127.0.0.1:9/events?a"],
            "in the query alone",
        ),
    ];
    for (args, says) in cases {
        let done = Program::start([&["run", "--to", url], args].concat()).end().await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        assert!(done.stderr.contains(says), "{says}: {done:?}");
    }
    assert_eq!(other.text(), "not a state file");
}

#[tokio::test]
async fn a_second_run_with_the_same_state_is_refused() {
    let (input, state) = (TempFile::with("twice.ndjson", many()), TempFile::none("twice.state"));
    let mut subscriber = Subscriber::start().await;
    let program = run(&input, &state, subscriber.url());
    subscriber.has(1).await;
    let done = run(&input, &state, subscriber.url()).end().await;
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("is in use by another process; wait until that has ended"), "{done:?}");
    program.signal("TERM").await;
    program.end().await;
}
