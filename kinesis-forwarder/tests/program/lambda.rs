//! `lambda`: called with the records of a stream, it answers from where on it has to be called again.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kinesis_core::{Outcome, Record};
use kinesis_http_sink::Receiver;
use kinesis_http_sink::receiver::Event;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::lambda_api::{Answer, Function};
use crate::support::{Program, Subscriber, TempFile, refusing, serve};

/// More than any of these calls needs.
const MINUTE: Duration = Duration::from_secs(60);

fn number(n: usize) -> String {
    format!("495696250737479860512840157601769172659004047096094392{n:02}")
}

fn record(n: usize, key: &str, data: &[u8]) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": number(n),
            "data": BASE64_STANDARD.encode(data), "approximateArrivalTimestamp": 1485507652.516
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
        "eventID": format!("shardId-000000000000:{}", number(n)),
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/stream-consumer", "awsRegion": "ap-southeast-2",
        "eventSourceARN": "arn:aws:kinesis:ap-southeast-2:123456789012:stream/a-stream"
    })
}

/// An event of records named key and number, like "a1"; the key is the first letter.
fn event(names: &str) -> String {
    let records = names.split(' ').enumerate().map(|(n, name)| record(n, &name[..1], name.as_bytes()));
    json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}

/// The subscribers of a configuration, each with what it says; the stream is the trigger's.
#[tokio::test]
async fn the_subscribers_may_be_those_of_a_configuration() {
    let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let (events, mut received) = tokio::sync::mpsc::unbounded_channel::<Event>();
    let receiver = Receiver::new().verify(secret.parse().unwrap()).fallback(move |event| {
        let events = events.clone();
        async move { events.send(event) }
    });
    let url = serve(receiver).await;
    let text = format!(
        "[source]\nstream = \"elsewhere\"\n[[subscribers]]\nname = \"audit\"\nurl = \"{url}\"\nchannels = [\"a\"]\n\
         format = \"cloud-events-structured\"\nsecrets = [{{ env = \"AUDIT_SECRET\" }}]\n"
    );
    let file = TempFile::with("lambda.toml", &text);
    let variables = [("KINESIS_FORWARDER_CONFIG", file.path()), ("AUDIT_SECRET", secret)];
    let mut function = Function::start(&[], &variables).await;
    assert_eq!(function.call(event("a1 b2 a3"), MINUTE).await.failures(), [""; 0]);
    let taken = [received.recv().await.unwrap(), received.recv().await.unwrap()];
    assert_eq!(taken.each_ref().map(|event| event.data.to_vec()), [b"a1", b"a3"]);
    assert!(taken[0].body.starts_with(br#"{"specversion":"1.0""#));

    let wrong = TempFile::with("wrong.toml", text.replace("channels", "chanels"));
    let refused = Program::start(["lambda", "--config", wrong.path()]).end().await;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("did you mean channels"), "{}", refused.stderr);
}

/// A subscriber that answers each payload like this.
async fn answering(answer: impl Fn(&str) -> Outcome + Send + Sync + 'static) -> String {
    let receiver = Receiver::new().remember(0).fallback(move |event: Event| {
        let outcome = answer(&String::from_utf8_lossy(&event.data));
        async move { outcome }
    });
    serve(receiver).await
}

#[tokio::test]
async fn records_arrive_at_everybody_and_nothing_is_left() {
    let (all, placed) = (Subscriber::start().await, Subscriber::start().await);
    let to = format!("{} placed={}", all.url(), placed.url());
    let mut function = Function::start_bare(&[("KINESIS_FORWARDER_TO", &to)]).await;
    let records = [record(1, "placed", b"one"), record(2, "paid", b"two")];
    let answer = function.call(json!({ "Records": records }).to_string(), MINUTE).await;
    assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [] })));
    assert_eq!((all.payloads(), placed.payloads()), (vec!["one".into(), "two".into()], vec!["one".to_owned()]));
    let body = String::from_utf8(placed.bodies()[0].to_vec()).unwrap();
    let number = number(1);
    assert_eq!(
        body,
        format!(
            r#"{{"channel":"placed","sequenceNumber":"{number}","data":"one","approximateArrivalTimestamp":1485507652.516}}"#
        )
    );
    // Another call, and one without records.
    assert_eq!(function.call(event("a1"), MINUTE).await.failures(), [""; 0]);
    assert_eq!(function.call(r#"{"Records":[]}"#, MINUTE).await.failures(), [""; 0]);
    assert_eq!(all.payloads().len(), 3);
    assert_eq!(function.end().await.stderr, "");
}

#[tokio::test]
async fn the_lowest_record_that_somebody_did_not_take_is_answered_and_the_others_have_theirs() {
    let healthy = Subscriber::start().await;
    let (_port, down) = refusing();
    let to = format!("b={down},{}", healthy.url());
    let mut function = Function::start(&["--max-age", "2s"], &[("KINESIS_FORWARDER_TO", &to)]).await;
    assert_eq!(function.call(event("a1 b1 a2 b2"), MINUTE).await.failures(), [number(1)]);
    assert_eq!(healthy.payloads(), ["a1", "a2", "b1", "b2"]);
    let said = function.end().await.stderr;
    assert!(said.contains(&format!("{down} did not take 2 records, from {} on: ", number(1))), "{said}");
}

#[tokio::test]
async fn a_record_that_is_not_taken_holds_its_key_and_the_answer_is_that_record() {
    let got = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let arrivals = std::sync::Arc::clone(&got);
    let url = answering(move |payload| {
        arrivals.lock().unwrap().push(payload.to_owned());
        if payload == "a2" { Outcome::Retry } else { Outcome::Delivered }
    });
    let mut function = Function::start(&["--to", &url.await, "--max-age", "1s"], &[]).await;
    assert_eq!(function.call(event("a1 b1 a2 b2 a3 b3"), MINUTE).await.failures(), [number(2)]);
    let mut got = got.lock().unwrap().clone();
    got.sort();
    got.dedup();
    assert_eq!(got, ["a1", "a2", "b1", "b2", "b3"], "a3 waits for a2, and b for nobody");
    function.end().await;
}

#[tokio::test]
async fn a_subscriber_that_hangs_does_not_outlast_the_call() {
    let healthy = Subscriber::start().await;
    let hanging = Receiver::new().fallback(|event: Event| async move {
        if event.data.starts_with(b"a") {
            std::future::pending::<()>().await;
        }
    });
    let (hanging, url) = (serve(hanging).await, healthy.url());
    let mut function = Function::start(&["--to", &hanging, "--to", url], &[]).await;
    let began = Instant::now();
    // The stand-in sees to it that the answer is there before the time is up.
    assert_eq!(function.call(event("a1 b1"), Duration::from_secs(3)).await.failures(), [number(0)]);
    assert!(began.elapsed() >= Duration::from_millis(2_400), "it used its time: {:?}", began.elapsed());
    assert_eq!(healthy.payloads(), ["a1", "b1"]);
    // What was cut off does not stand in the way of the next call.
    assert_eq!(function.call(event("c1"), MINUTE).await.failures(), [""; 0]);
    let said = function.end().await.stderr;
    assert!(said.contains("time was up before it answered"), "{said}");
}

#[tokio::test]
async fn aggregates_are_unpacked_and_answered_by_the_number_of_the_stored_record() {
    let inner = ["a1", "b1", "a2"].map(|name| Record::new(0.into(), &name[..1], name));
    let packed = kinesis_aws::kpl::pack(&inner, 1 << 20).swap_remove(0);
    let records = [record(1, "a", b"a0"), record(2, "x", &packed.data), record(3, "c", b"c1")];
    let event = json!({ "Records": records }).to_string();
    let subscriber = Subscriber::start().await;
    let picky = answering(|payload| if payload == "b1" { Outcome::Retry } else { Outcome::Delivered }).await;
    let args = ["--to", subscriber.url(), "--to", &picky, "--max-age", "1s"];
    let mut function = Function::start(&args, &[]).await;
    assert_eq!(function.call(event, MINUTE).await.failures(), [number(2)]);
    assert_eq!(subscriber.payloads(), ["a0", "a1", "a2", "b1", "c1"]);
    function.end().await;
}

#[tokio::test]
async fn a_record_that_is_refused_counts_as_not_delivered_or_is_passed_over() {
    let refusing = || answering(|payload| if payload == "a2" { Outcome::rejected("no") } else { Outcome::Delivered });
    let began = Instant::now();
    let mut function = Function::start(&["--to", &refusing().await], &[]).await;
    assert_eq!(function.call(event("a1 b1 a2 a3"), MINUTE).await.failures(), [number(2)]);
    let said = function.end().await.stderr;
    assert!(said.contains(&format!("refused 1 records, from {} on: ", number(2))), "{said}");
    let skip = [("KINESIS_FORWARDER_ON_REJECT", "skip")];
    let mut function = Function::start(&["--to", &refusing().await], &skip).await;
    assert_eq!(function.call(event("a1 b1 a2 a3"), MINUTE).await.failures(), [""; 0]);
    let said = function.end().await.stderr;
    assert!(said.contains("refused 1 records, which are passed over"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(30), "nobody is asked again: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_bad_event_is_answered_with_what_is_wrong_and_the_next_one_is_delivered() {
    let subscriber = Subscriber::start().await;
    let mut function = Function::start(&["--to", subscriber.url()], &[]).await;
    let mut bad = record(1, "a", b"a1");
    bad["kinesis"]["data"] = json!("%%%");
    let bad = json!({ "Records": [record(0, "a", b"a0"), bad] }).to_string();
    let Answer::Error(error) = function.call(bad, MINUTE).await else { panic!("no error") };
    assert_eq!(error["errorType"], "BadEvent");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.contains("Records[1].kinesis") && message.contains("not base64"), "{message}");
    for (bad, what) in [
        (r#"{"Records":[{"eventSource":"aws:sqs","body":"hello"}]}"#, "eventSource is \"aws:sqs\""),
        (r#"{"detail":{}}"#, "Records"),
        ("[1]", "no event of a Kinesis stream"),
    ] {
        let Answer::Error(error) = function.call(bad, MINUTE).await else { panic!("no error for {bad}") };
        let message = error["errorMessage"].as_str().unwrap();
        assert!(message.contains(what), "{message}");
    }
    assert_eq!(function.call(event("b1"), MINUTE).await.failures(), [""; 0]);
    assert_eq!(subscriber.payloads(), ["b1"], "nothing of a bad event is delivered");
    assert!(function.end().await.stderr.contains("error: this is no event of a Kinesis stream: Records[1]"));
}

#[tokio::test]
async fn connections_to_subscribers_stay_open_from_call_to_call() {
    let (url, connections) = crate::support::counting(Receiver::new().remember(0).fallback(|_: Event| async {})).await;
    let mut function = Function::start(&["--to", &url], &[]).await;
    for n in 0..5 {
        assert_eq!(function.call(event(&format!("a{n}")), MINUTE).await.failures(), [""; 0]);
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    function.end().await;
}

#[tokio::test]
async fn the_channel_may_come_from_the_payload() {
    let subscriber = Subscriber::start().await;
    let to = format!("x={}", subscriber.url());
    let field = [("KINESIS_FORWARDER_FROM_JSON_FIELD", "type"), ("KINESIS_FORWARDER_TO", &*to)];
    let mut function = Function::start(&[], &field).await;
    let records = [record(1, "k", br#"{"type":"x"}"#), record(2, "k", br#"{"type":"y"}"#)];
    assert_eq!(function.call(json!({ "Records": records }).to_string(), MINUTE).await.failures(), [""; 0]);
    assert_eq!(subscriber.payloads(), [r#"{"type":"x"}"#]);
    function.end().await;
}

#[tokio::test]
async fn what_it_cannot_start_without_is_told() {
    let start = |to: &str| Program::start_with(["lambda"], [("KINESIS_FORWARDER_TO", to)]).end();
    let done = start("").await;
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("there is no subscriber: set KINESIS_FORWARDER_TO"), "{done:?}");
    let done = start("nonsense").await;
    assert!(done.code == Some(2) && done.stderr.contains("nonsense"), "{done:?}");
    let done = start("http://127.0.0.1:1/?token=hush").await;
    assert!(done.code == Some(2) && done.stderr.contains("is not set: `lambda` is started by AWS Lambda"), "{done:?}");
    assert!(!done.stderr.contains("hush"), "{done:?}");
}
