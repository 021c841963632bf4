//! The door as a client sees it that writes its requests itself, in JSON and in CBOR.

use std::pin::pin;

use base64::Engine;
use ciborium::Value;
use http_body::Body;

use crate::wire::body::WireBody;
use crate::wire::door::{Door, Request};
use crate::{Account, MemoryStream};

pub(super) const CBOR: &str = "application/x-amz-cbor-1.1";

async fn bytes(body: WireBody) -> Vec<u8> {
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    bytes
}

pub(super) async fn call(door: &Door, content_type: &str, operation: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let target = format!("Kinesis_20131202.{operation}");
    let response = door.answer(Request { target: &target, content_type, body }).await.unwrap();
    assert!(response.headers.iter().any(|(name, id)| *name == "x-amzn-requestid" && !id.is_empty()));
    (response.status, bytes(response.body).await)
}

fn map(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn member(value: &Value, name: &str) -> Value {
    let members = value.as_map().unwrap();
    members
        .iter()
        .find(|(known, _)| known.as_text() == Some(name))
        .map(|(_, value)| value.clone())
        .unwrap_or(Value::Null)
}

async fn cbor(door: &Door, operation: &str, request: &Value) -> (u16, Value) {
    let mut body = Vec::new();
    ciborium::into_writer(request, &mut body).unwrap();
    let (status, answer) = call(door, CBOR, operation, &body).await;
    let answer = if answer.is_empty() { Value::Null } else { ciborium::from_reader(&answer[..]).unwrap() };
    (status, answer)
}

#[tokio::test(start_paused = true)]
async fn cbor_is_answered_with_cbor() {
    let account = Account::new();
    let door = Door::new(&account);
    let name = || ("StreamName", Value::from("orders"));
    let (status, nothing) = cbor(&door, "CreateStream", &map([name(), ("ShardCount", 1.into())])).await;
    assert_eq!((status, nothing), (200, Value::Null));
    let record = [("Data", Value::Bytes(vec![0, 255])), ("PartitionKey", "key".into())];
    let (status, _) = cbor(&door, "PutRecords", &map([name(), ("Records", Value::Array(vec![map(record)]))])).await;
    assert_eq!(status, 200);
    let at = Value::Tag(1, Box::new(1_704_067_200_000_u64.into()));
    let iterator = map([
        name(),
        ("ShardId", "shardId-000000000000".into()),
        ("ShardIteratorType", "AT_TIMESTAMP".into()),
        ("Timestamp", at.clone()),
    ]);
    let (_, iterator) = cbor(&door, "GetShardIterator", &iterator).await;
    let (status, read) = cbor(&door, "GetRecords", &map([("ShardIterator", member(&iterator, "ShardIterator"))])).await;
    assert_eq!(status, 200);
    let records = member(&read, "Records").into_array().unwrap();
    assert_eq!(member(&records[0], "Data"), Value::Bytes(vec![0, 255]));
    assert_eq!(member(&records[0], "ApproximateArrivalTimestamp"), at);
    let (status, refused) = cbor(&door, "GetRecords", &map([("ShardIterator", "rubbish".into())])).await;
    assert_eq!((status, member(&refused, "__type")), (400, "InvalidArgumentException".into()));
    assert_eq!(member(&refused, "message"), "Invalid ShardIterator.".into());
}

/// Events are in the encoding of the request too.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_asked_for_in_cbor_is_in_cbor() {
    let stream = MemoryStream::new("orders", 1);
    stream.put("key", vec![0, 255]).unwrap();
    stream.finish();
    let door = Door::new(&Account::of(&stream));
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    let register = map([("StreamARN", arn.into()), ("ConsumerName", "app".into())]);
    let (_, registered) = cbor(&door, "RegisterStreamConsumer", &register).await;
    let request = map([
        ("ConsumerARN", member(&member(&registered, "Consumer"), "ConsumerARN")),
        ("ShardId", "shardId-000000000000".into()),
        ("StartingPosition", map([("Type", "TRIM_HORIZON".into())])),
    ]);
    let mut body = Vec::new();
    ciborium::into_writer(&request, &mut body).unwrap();
    let (status, frames) = call(&door, CBOR, "SubscribeToShard", &body).await;
    let contains = |part: &[u8]| frames.windows(part.len()).any(|window| window == part);
    assert!(status == 200 && contains(CBOR.as_bytes()) && contains(b"\x64Data\x42\x00\xff"));
}

/// Bytes come as base64 in JSON, and what is none is refused.
#[tokio::test(start_paused = true)]
async fn json_has_base64() {
    let account = Account::new();
    let stream = account.create("orders", 1);
    let door = Door::new(&account);
    let data = base64::engine::general_purpose::STANDARD.encode([0, 255]);
    let put = |data: &str| format!(r#"{{"StreamName": "orders", "PartitionKey": "key", "Data": "{data}"}}"#);
    assert_eq!(call(&door, "application/x-amz-json-1.1", "PutRecord", put(&data).as_bytes()).await.0, 200);
    assert_eq!(call(&door, "application/x-amz-json-1.1", "PutRecord", put("*").as_bytes()).await.0, 400);
    let records = stream.with_log(|log, now| {
        let request =
            crate::stream::Request { from: kinesis_core::StartPosition::TrimHorizon, max_records: 10, max_bytes: None };
        log.shards().flat_map(|shard| shard.read(&request, now).records).collect::<Vec<_>>()
    });
    assert_eq!(records.iter().map(|record| &record.data[..]).collect::<Vec<_>>(), [[0, 255]]);
}
