//! `lambda`: called with the records of a stream, it answers from where on it has to be called again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kinesis_core::Record;
use kinesis_http_sink::Receiver;
use kinesis_http_sink::receiver::{Event, Refusal};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::lambda_api::{Answer, Function};
use crate::support::{Program, Subscriber, refusing, serve};

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

/// A subscriber that answers each payload like this.
async fn answering(answer: impl Fn(&str) -> Result<(), Refusal> + Send + Sync + 'static) -> String {
    let receiver = Receiver::new().remember(0).fallback(move |event: Event| {
        let answer = answer(&String::from_utf8_lossy(&event.data));
        async move { answer }
    });
    serve(receiver).await
}

#[tokio::test]
async fn records_arrive_at_everybody_and_nothing_is_left() {
    let (all, placed) = (Subscriber::start().await, Subscriber::start().await);
    let to = format!("{} placed={}", all.url(), placed.url());
    let mut function = Function::start(&[], &[("KINESIS_FORWARDER_TO", &to)]).await;
    let records = [record(1, "placed", b"one"), record(2, "paid", b"two")];
    let answer = function.call(json!({ "Records": records }).to_string(), MINUTE).await;
    assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [] })));
    assert_eq!((all.payloads(), placed.payloads()), (vec!["one".into(), "two".into()], vec!["one".to_owned()]));
    let body = String::from_utf8(placed.bodies()[0].to_vec()).unwrap();
    let number = number(1);
    assert_eq!(
        body,
        format!(r#"{{"channel":"placed","sequenceNumber":"{number}","data":"one","approximateArrivalTimestamp":1485507652.516}}"#)
    );
    // Another call, and one without records.
    assert_eq!(function.call(event("a1"), MINUTE).await.failures(), [""; 0]);
    assert_eq!(function.call(r#"{"Records":[]}"#, MINUTE).await.failures(), [""; 0]);
    assert_eq!(all.payloads().len(), 3);
    assert_eq!(function.end().await.stderr, "");
}
