//! The program `kinesis-mock`: it says where it is, serves, stops when asked to, and explains mistakes.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod common;

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use common::{code, sdk};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-mock"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What the program says of a mistake.
async fn mistake(arguments: &[&str]) -> String {
    let output = tokio::time::timeout(Duration::from_secs(10), program(arguments).output()).await;
    let Output { status, stderr, .. } = output.expect("it ends by itself").unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[tokio::test]
async fn it_serves_its_streams_until_it_is_asked_to_stop() {
    let arguments = ["--listen", "127.0.0.1:0", "--stream", "orders:2", "--stream", "clicks:1", "--limits", "aws"];
    for signal in ["TERM", "INT"] {
        let mut child = program(&arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let endpoint = line.strip_prefix("kinesis-mock listens on ").unwrap();
        let client = sdk(endpoint);
        assert_eq!(client.list_streams().send().await.unwrap().stream_names(), ["clicks", "orders"]);
        assert_eq!(client.list_shards().stream_name("orders").send().await.unwrap().shards().len(), 2);
        let taken = endpoint.strip_prefix("http://").unwrap();
        let told = mistake(&["--listen", taken]).await;
        assert!(told.contains(&format!("cannot listen on {taken}")) && told.contains("--listen"), "{told}");
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().await.unwrap().success());
        let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.expect("it stops").unwrap();
        assert!(status.success(), "{signal}: {status}");
    }
}

#[tokio::test]
async fn faults_come_from_a_file() {
    let directory = std::env::temp_dir().join(format!("kinesis-mock-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("faults.json");
    let path = file.to_str().unwrap();
    std::fs::write(&file, r#"[{"operation": "ListStreams", "nth": 1, "fault": "throttle"}]"#).unwrap();
    let mut child = program(&["--listen", "127.0.0.1:0", "--faults", path]).spawn().unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    let client = sdk(line.rsplit(' ').next().unwrap());
    assert_eq!(code(client.list_streams().send().await), "LimitExceededException");
    client.list_streams().send().await.unwrap();

    std::fs::write(&file, "[\n{\"operation\": \"*\",\n\"fault\": \"hang\", \"nht\": 1}\n]").unwrap();
    let told = mistake(&["--faults", path]).await;
    assert!(told.contains(path) && told.contains("unknown field `nht`") && told.contains("line 3"), "{told}");
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(mistake(&["--faults", path]).await.contains(path));
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_explained() {
    for (arguments, expected) in [
        (&["--stream", "orders"][..], "a stream is NAME:SHARDS, such as orders:4"),
        (&["--stream", "orders:none"], "not a number from 1 to 10000"),
        (&["--stream", "orders:0"], "not a number from 1 to 10000"),
        (&["--stream", "a b:1"], "the name \"a b\" is not"),
        (&["--stream", "orders:1", "--stream", "orders:2"], "there is a stream orders already"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--limits", "mine"], "possible values: aws"),
    ] {
        let told = mistake(arguments).await;
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
}
