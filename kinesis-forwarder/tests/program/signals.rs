//! Ctrl-C: the first one finishes what is in flight and says what was left, the second one stops at once.

use std::sync::Arc;

use kinesis_http_sink::Receiver;
use kinesis_http_sink::receiver::Event;
use tokio::sync::{Notify, Semaphore};

use crate::support::{Program, Subscriber, TempFile, events, serve};

const DRAINING: &str = "finishing what is in flight";

/// A subscriber that answers each request only when it gets a permit; it notifies when one has come.
async fn slow() -> (String, Arc<Notify>, Arc<Semaphore>) {
    let (came, permits) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (notify, wait) = (Arc::clone(&came), Arc::clone(&permits));
    let receiver = Receiver::new().fallback(move |_: Event| {
        notify.notify_one();
        let wait = Arc::clone(&wait);
        async move { wait.acquire().await.unwrap().forget() }
    });
    (serve(receiver).await, came, permits)
}

#[tokio::test]
async fn an_endless_pipe_ends_with_a_signal_after_everything_was_delivered() {
    for signal in ["INT", "TERM"] {
        let mut subscriber = Subscriber::start().await;
        let mut program = Program::start(["run", "--input", "-", "--to", subscriber.url()]);
        program.write(&events("a", 3)).await;
        subscriber.has(3).await;
        program.signal(signal).await;
        let done = program.end_with_input_open().await;
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stdout.ends_with("the input was not read to its end\n"), "{done:?}");
        assert_eq!(subscriber.payloads(), ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn what_is_in_flight_at_the_signal_is_finished() {
    let (url, came, permits) = slow().await;
    let mut program = Program::start(["run", "--input", "-", "--to", &url, "--parallel", "1"]);
    program.write(&events("a", 2)).await;
    came.notified().await;
    program.signal("INT").await;
    program.noted(DRAINING).await;
    permits.add_permits(100);
    let done = program.end_with_input_open().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(crate::support::row(&done, &url)[0] >= 1, "{done:?}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (url, came, _permits) = slow().await;
    let input = TempFile::with("second-signal.ndjson", events("a", 100));
    let mut program = Program::start(["run", "--input", input.path(), "--to", &url]);
    came.notified().await;
    program.signal("INT").await;
    program.noted(DRAINING).await;
    program.signal("INT").await;
    assert_eq!(program.end().await.code, Some(130));
}
