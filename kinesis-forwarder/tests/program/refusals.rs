//! What cannot work is told in one line, and exits with 2.

use crate::support::{Done, Program, Subscriber, TempFile, events};

/// The one line of a refusal.
fn refusal(done: &Done) -> &str {
    assert_eq!(done.code, Some(2), "{done:?}");
    let mut lines = done.stderr.lines().filter(|line| !line.contains(" records, "));
    let line = lines.next().unwrap();
    assert_eq!(lines.next(), None, "{done:?}");
    line
}

#[tokio::test]
async fn a_command_line_that_cannot_work_is_refused_at_once() {
    let url = "http://127.0.0.1:9/events";
    let cases: [(&[&str], &str); 8] = [
        (&["--input", "no/such.json", "--to", url], "error: cannot read the input no/such.json: No such file"),
        (&["--input", ".", "--to", url], "error: cannot read the input .: it is a directory"),
        (&["--input", "-", "--to", "nonsense"], "error: the URL \"nonsense\" has no scheme"),
        (&["--input", "-", "--to", "ftp://host/"], "error: the URL \"ftp://host/\" has the scheme \"ftp\""),
        (&["--input", "-", "--to", "http://host:port/"], "error: the URL \"http://host:port/\""),
        (&["--input", "-", "--to", url, "--max-age", "soon"], "error: invalid value 'soon' for '--max-age <DURATION>'"),
        (&["--input", "-", "--to", url, "--parallel", "0"], "error: invalid value '0' for '--parallel <N>'"),
        (&["--input", "-", "--to", url, "--dead-letters", "no/x"], "error: cannot write dead letters to no/x: No such"),
    ];
    for (args, beginning) in cases {
        let done = Program::start([&["run"], args].concat()).end().await;
        assert!(refusal(&done).starts_with(beginning), "{beginning}: {done:?}");
        assert_eq!(done.stdout, "");
    }
}

#[tokio::test]
async fn help_and_a_missing_argument_are_told_apart_by_the_exit_code() {
    let help = Program::start(["run", "--help"]).end().await;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("Examples:") && help.stdout.contains("Exit code: 0"));
    let missing = Program::start(["run"]).end().await;
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.contains("--to"));
}

#[tokio::test]
async fn the_input_is_no_place_for_dead_letters() {
    let input = TempFile::with("both.ndjson", "");
    let args = ["run", "--input", input.path(), "--to", "http://h/", "--dead-letters", input.path()];
    let done = Program::start(args).end().await;
    assert!(refusal(&done).ends_with("it is the input; take another file"));
}

/// Runs an input whose third line is `broken` and returns the refusal. What is before it must arrive.
async fn broken_at_line_3(name: &str, broken: impl AsRef<[u8]>) -> String {
    let subscriber = Subscriber::start().await;
    let content = [events("a", 2).as_bytes(), broken.as_ref(), b"\n", events("a", 9).as_bytes()].concat();
    let input = TempFile::with(name, content);
    let done = Program::start(["run", "--input", input.path(), "--to", subscriber.url()]).end().await;
    assert_eq!(subscriber.payloads(), ["0", "1"], "{done:?}");
    let line = refusal(&done);
    line.strip_prefix(&format!("error: {}, line 3, column ", input.path())).expect(line).to_owned()
}

#[tokio::test]
async fn broken_json_names_its_place_and_what_is_before_it_arrives() {
    let problem = broken_at_line_3("json", r#"{"channel":"a" "data":"2"}"#).await;
    assert_eq!(problem, "16: expected `,` or `}`");
}

#[tokio::test]
async fn bad_base64_names_its_place() {
    let problem = broken_at_line_3("base64", r#"{"channel":"a","encoding":"base64","data":"%%"}"#).await;
    assert!(problem.contains(": the data is not base64: "), "{problem}");
}

#[tokio::test]
async fn a_record_over_10_mib_names_its_place() {
    let data = "x".repeat(10 << 20);
    let problem = broken_at_line_3("large", format!(r#"{{"channel":"a","data":"{data}"}}"#)).await;
    assert!(problem.contains("a record has at most 10 MiB"), "{problem}");
}

#[tokio::test]
async fn a_field_of_another_type_names_its_place() {
    let problem = broken_at_line_3("type", r#"{"channel":"a","data":["x"]}"#).await;
    assert!(problem.ends_with("invalid type: sequence, expected \"data\" to be a string"), "{problem}");
}

#[tokio::test]
async fn a_missing_field_names_its_place() {
    let problem = broken_at_line_3("missing", r#"{"channel":"a"}"#).await;
    assert!(problem.ends_with("the event has no \"data\""), "{problem}");
}

#[tokio::test]
async fn text_that_is_not_utf_8_names_its_place() {
    let problem = broken_at_line_3("utf8", b"{\"channel\":\"a\",\"data\":\"\xff\"}").await;
    assert!(problem.contains("invalid unicode code point"), "{problem}");
}
