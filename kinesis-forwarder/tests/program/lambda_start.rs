//! A function that cannot start: it says why, to Lambda as well, and ends.

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::lambda_api::Function;
use crate::support::{Program, TempFile, refusing};

#[tokio::test]
async fn a_function_that_cannot_start_tells_lambda_why() {
    let text = "[[subscribers]]\nname = \"audit\"\nurl = \"http://127.0.0.1/?t=s3cret\"\n";
    let missing = TempFile::with("start-missing.toml", format!("{text}secrets = [{{ env = \"NOBODY\" }}]\nrate = 0\n"));
    let right = TempFile::with("start-right.toml", text);
    let config = |file| ("KINESIS_FORWARDER_CONFIG", file);
    let bearer = ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_BEARER", "s3cret\ns3cret");
    // The variables, and what is said and reported, a line each.
    let cases = [
        (vec![], vec!["there is no subscriber: set KINESIS_FORWARDER_TO"]),
        (
            vec![config(missing.path())],
            vec![
                ":4:20: subscribers[0].secrets[0].env: the variable NOBODY is not set",
                ":5:8: subscribers[0].rate: is 0",
            ],
        ),
        (
            vec![config(right.path()), bearer],
            vec![
                "KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_BEARER: subscribers[0].bearer: the header \"authorization\" has a value",
            ],
        ),
        (vec![config("no/such.toml")], vec!["no/such.toml:1:1: cannot read the file"]),
        (vec![config(right.path()), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much")], vec!["MEMORY_SIZE is \"much\""]),
        (vec![("KINESIS_FORWARDER_TO", "ftp://h/?t=s3cret")], vec!["the scheme \"ftp\""]),
    ];
    for (variables, expected) in cases {
        let (done, kind, report) = Function::start_bare(&variables).await.cannot_start().await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        let said: Vec<_> = done.stderr.lines().map(|line| line.strip_prefix("error: ").expect(line)).collect();
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        assert!(said.iter().zip(&expected).all(|(line, part)| line.contains(part)), "{said:#?}");
        assert_eq!(kind, "Runtime.ConfigInvalid");
        assert_eq!(report, json!({ "errorMessage": said.join("\n"), "errorType": kind, "stackTrace": [] }));
        assert!(!done.stderr.contains("s3cret"), "{done:?}");
    }
}

#[tokio::test]
async fn a_wrong_setting_of_a_flag_is_reported_without_its_value() {
    let (done, kind, report) =
        Function::start_bare(&[("KINESIS_FORWARDER_MAX_AGE", "s3cret")]).await.cannot_start().await;
    assert_eq!((done.code, kind.as_str()), (Some(2), "Runtime.ConfigInvalid"));
    assert!(done.stderr.contains("'s3cret'"), "{done:?}");
    let why = report["errorMessage"].as_str().unwrap();
    assert!(why.contains("invalid value '…' for '--max-age <DURATION>': write a number with a unit"), "{why}");
    let (done, _, report) = Function::start(&["--tt", "http://h/?t=s3cret"], &[]).await.cannot_start().await;
    assert_eq!(done.code, Some(2));
    assert_eq!(report["errorMessage"], "error: unexpected argument '--tt' found");
}

#[tokio::test]
async fn a_lambda_that_does_not_listen_holds_nobody_up() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deaf = deaf.local_addr().map(|address| (deaf, address.to_string())).unwrap();
    let (_port, away) = refusing();
    let away = away.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/events")).unwrap();
    for (api, why) in [(deaf.1.as_str(), "no answer within 2s"), (away, "client error (Connect)"), ("/", "no address")]
    {
        let started = Instant::now();
        let done = Program::start_with(["lambda"], [("AWS_LAMBDA_RUNTIME_API", api)]).end().await;
        assert!(started.elapsed().as_secs() < 9, "Lambda gives a start up after 10 s");
        let lines: Vec<_> = done.stderr.lines().collect();
        assert_eq!((done.code, lines.len()), (Some(2), 2), "{done:?}");
        assert!(lines[0].starts_with("error: there is no subscriber"), "{done:?}");
        assert!(lines[1].starts_with(&format!("this could not be reported to Lambda at {api}: ")), "{done:?}");
        assert!(lines[1].contains(why), "{done:?}");
    }
}
