//! The Lambda event as `aws_lambda_events` knows it: that crate reads what is sent, and what it writes is received.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::kinesis::KinesisEvent;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use kinesis_core::{Delivery, Record, SequenceNumber, Sink, StreamId};
use kinesis_http_sink::{Event, Format, HttpSink, Receiver};
use support::{Answer, Server};
use tower::ServiceExt;

const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";

fn records() -> Vec<Record> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_545_084_650_987);
    let keys_and_payloads: [(&str, &[u8]); 3] =
        [("member-registered", b"{}"), ("Zo\u{eb}", "\u{fc}ber".as_bytes()), ("bytes", &[0, 159, 146, 150])];
    let record = |(nth, (key, data))| {
        let number: SequenceNumber = "49590338271490256608559692538361571095921575989136588898".parse().unwrap();
        Record::new(number.plus(nth as u64), key, data).with_arrived_at(at)
    };
    keys_and_payloads.into_iter().enumerate().map(record).collect()
}

/// The body of the one request that a delivery makes.
async fn sent(records: Vec<Record>) -> Vec<u8> {
    let server = Server::start(|_| Answer::status(200)).await;
    let sink = HttpSink::builder(&server.url()).format(Format::lambda_event(ARN)).build().unwrap();
    let delivery = Delivery::new(StreamId::new("orders"), "shardId-000000000006", "audit", records);
    assert!(sink.deliver(&delivery).await.unwrap().all_delivered());
    server.seen().remove(0).body
}

#[tokio::test]
async fn what_is_sent_is_read_by_another_implementation() {
    let event: KinesisEvent = serde_json::from_slice(&sent(records()).await).unwrap();
    assert_eq!(event.records.len(), 3);
    for (found, record) in event.records.iter().zip(records()) {
        let number = record.sequence_number.to_string();
        assert_eq!(found.event_id.as_deref(), Some(&*format!("shardId-000000000006:{number}")));
        assert_eq!(found.event_source_arn.as_deref(), Some(ARN));
        assert_eq!(
            (found.aws_region.as_deref(), found.event_source.as_deref()),
            (Some("eu-west-1"), Some("aws:kinesis"))
        );
        assert_eq!(
            (found.event_name.as_deref(), found.event_version.as_deref()),
            (Some("aws:kinesis:record"), Some("1.0"))
        );
        assert_eq!(found.kinesis.kinesis_schema_version.as_deref(), Some("1.0"));
        assert_eq!(found.kinesis.partition_key, *record.partition_key);
        assert_eq!(found.kinesis.sequence_number, number);
        assert_eq!(found.kinesis.data.0, record.data);
        assert_eq!(SystemTime::from(found.kinesis.approximate_arrival_timestamp.0), record.arrived_at.unwrap());
    }
}

/// That implementation writes the time as text, and null for what it does not know.
#[tokio::test]
async fn what_another_implementation_writes_is_received() {
    let event: KinesisEvent = serde_json::from_slice(&sent(records()).await).unwrap();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&taken);
    let receiver = Receiver::new().fallback(move |event: Event| {
        all.lock().unwrap().push(event);
        async {}
    });
    let body = Bytes::from(serde_json::to_vec(&event).unwrap());
    let request = Request::post("/").header("content-type", "application/json").body(Full::new(body)).unwrap();
    assert_eq!(receiver.service().oneshot(request).await.unwrap().status(), 200);
    let taken = taken.lock().unwrap();
    assert_eq!(taken.len(), 3);
    for (found, record) in taken.iter().zip(records()) {
        assert_eq!(found.partition_key.as_ref(), Some(&record.partition_key));
        assert_eq!((found.sequence_number, &found.data), (record.sequence_number, &record.data));
        assert_eq!(found.arrived_at, record.arrived_at);
    }
}
