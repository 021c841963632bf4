//! `listen`: one line an event, whatever it holds.

use crate::support::{Program, TempFile};

/// Starts a subscriber on a free port and returns its URL.
async fn listener(args: &[&str]) -> (Program, String) {
    let mut program = Program::start([&["listen", "--port", "0"], args].concat());
    let rest = program.noted("listening on ").await;
    let url = rest.split(',').next().unwrap().to_owned();
    (program, url)
}

#[tokio::test]
async fn what_run_sends_is_printed_one_line_an_event() {
    let (listener, url) = listener(&[]).await;
    let event = r#"{"channel":"a","sequenceNumber":"5","data":"line\nbell\u0007","approximateArrivalTimestamp":0.5}"#;
    let input = TempFile::with("listen.ndjson", event);
    let done = Program::start(["run", "--input", input.path(), "--to", &url]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    listener.signal("INT").await;
    let done = listener.end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.stdout, "a  5  1970-01-01T00:00:00.500Z  line\\nbell\\u{7}\n");
}

#[tokio::test]
async fn a_channel_that_is_not_listened_to_is_refused() {
    let (listener, url) = listener(&["--on", "a", "--on", "b"]).await;
    let input = TempFile::with("on.ndjson", "{\"channel\":\"b\",\"data\":\"\"}\n{\"channel\":\"c\",\"data\":\"\"}\n");
    let done = Program::start(["run", "--input", input.path(), "--to", &url]).end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    listener.signal("TERM").await;
    assert_eq!(listener.end().await.stdout, "b  1  -  \n");
}

#[tokio::test]
async fn a_port_in_use_is_told_in_one_line() {
    let (_first, url) = listener(&[]).await;
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/events");
    let done = Program::start(["listen", "--port", port]).end().await;
    assert_eq!(done.code, Some(2));
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(done.stderr.starts_with(&format!("error: cannot listen on 127.0.0.1:{port}")), "{done:?}");
}
