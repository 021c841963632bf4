//! What every format writes is read back, and CloudEvents and Lambda events are to the letter of their specifications.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use kinesis_core::{Delivery, Record, SequenceNumber, StreamId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NUMBER: &str = "49590338271490256608559692538361571095921575989136588898";
const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

fn record(data: impl Into<Bytes>) -> Record {
    Record::new(NUMBER.parse().unwrap(), "customer 1", data)
        .with_arrived_at(SystemTime::UNIX_EPOCH + Duration::from_millis(1_545_084_650_987))
}

fn delivery(records: Vec<Record>) -> Delivery {
    Delivery::new(StreamId::new("orders"), "shardId-000000000006", "audit", records)
}

/// The request of a delivery's first record, or of the delivery where the format sends it whole.
fn request(format: &Format, delivery: &Delivery) -> (HeaderMap, Bytes) {
    let message = match format.is_batched() {
        true => format.batch(delivery),
        false => format.message(delivery, &Named::of(delivery, delivery.iter().next().unwrap())),
    };
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, format.content_type())]);
    for (name, value) in message.headers {
        headers.insert(name, value);
    }
    (headers, message.body)
}

fn json_of(format: impl Into<Format>, record: Record) -> Value {
    serde_json::from_slice(&request(&format.into(), &delivery(vec![record])).1).unwrap()
}

fn formats() -> Vec<Format> {
    let events = [CloudEvents::binary(), CloudEvents::structured(), CloudEvents::batch()];
    let typed = events.clone().map(|events| events.type_prefix("com.example").data_content_type("text/plain"));
    let all = events.into_iter().chain(typed).map(Format::from);
    all.chain([Format::lambda_event(ARN), Format::original()]).collect()
}

#[test]
fn binary_mode_has_the_attributes_in_headers() {
    let format = CloudEvents::binary().source(ARN).type_prefix("com.example");
    let (headers, body) = request(&format.into(), &delivery(vec![record("{}")]));
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(body, "{}");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("ce-specversion"), "1.0");
    assert_eq!(header("ce-id"), format!("shardId-000000000006:{NUMBER}"));
    assert_eq!(header("ce-source"), format!("{ARN}/shardId-000000000006"));
    assert_eq!(header("ce-type"), "com.example.customer%201");
    assert_eq!(header("ce-time"), "2018-12-17T22:10:50.987Z");
    assert_eq!(header("ce-partitionkey"), "customer%201");
    assert_eq!(header("ce-sequence"), NUMBER);
    assert!(!headers.contains_key("ce-datacontenttype"));
}

#[test]
fn structured_mode_embeds_json_as_it_is_and_the_rest_as_base64() {
    let exact = r#"{"price": 1.0000000000000000001, "price": 2}"#;
    let (_, body) = request(&CloudEvents::structured().into(), &delivery(vec![record(exact)]));
    assert!(String::from_utf8(body.to_vec()).unwrap().ends_with(&format!(r#""data":{exact}}}"#)));
    let event = json_of(CloudEvents::structured(), record(vec![0, 255]));
    assert_eq!(
        (&event["data_base64"], &event["datacontenttype"]),
        (&json!("AP8="), &json!("application/octet-stream"))
    );
    assert_eq!((&event["type"], &event["subject"]), (&json!("com.amazonaws.kinesis.record"), &json!("customer 1")));
    let text = json_of(CloudEvents::structured().data_content_type("text/plain; charset=utf-8"), record("{}"));
    assert_eq!(text["data"], json!("{}"));
    let none = json_of(CloudEvents::structured(), record(""));
    assert!(none.get("data").or(none.get("datacontenttype")).or(none.get("data_base64")).is_none());
}

#[test]
fn the_sequence_sorts_as_text() {
    let sequence = |number: SequenceNumber| {
        let record = Record::new(number, "key", "");
        json_of(CloudEvents::structured(), record)["sequence"].as_str().unwrap().to_owned()
    };
    let numbers =
        [9.into(), SequenceNumber::from(10), SequenceNumber::from(10).with_sub(2), 10.into(), NUMBER.parse().unwrap()];
    let mut sorted = numbers.map(sequence);
    sorted.sort();
    let mut numbers = numbers;
    numbers.sort();
    assert_eq!(sorted, numbers.map(sequence));
    assert_eq!(sequence(SequenceNumber::from(7).with_sub(3)), format!("{}7-0000000003", "0".repeat(55)));
}

#[test]
fn a_lambda_event_is_one_of_lambda() {
    let golden: Value = serde_json::from_str(include_str!("../../../tests/data/lambda-event.json")).unwrap();
    let arn = "arn:aws:kinesis:ap-southeast-2:123456789012:stream/a-stream";
    let record = Record::new(
        "49569625073747986051284015760176917265900404709609439234".parse().unwrap(),
        "member-registered",
        "we are streaming events",
    )
    .with_arrived_at(SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516));
    let delivery = Delivery::new(StreamId::new("a-stream"), "shardId-000000000000", "audit", vec![record]);
    let mut written: Value = serde_json::from_slice(&request(&Format::lambda_event(arn), &delivery).1).unwrap();
    // Whoever invokes a function is known to Lambda alone.
    written["Records"][0]["invokeIdentityArn"] = golden["Records"][0]["invokeIdentityArn"].clone();
    assert_eq!(written, golden);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refusal = |format: Format| format.check().unwrap_err().to_string();
    assert!(refusal(CloudEvents::binary().source("a b").into()).contains("\"a b\" is no URI"));
    assert!(refusal(CloudEvents::binary().type_prefix("").into()).contains("like com.example.orders"));
    assert!(refusal(CloudEvents::binary().data_content_type("json\r\n").into()).contains("like application/json"));
    assert!(refusal(Format::lambda_event("orders")).contains("\"orders\" is no ARN of a stream"));
    assert!(formats().iter().all(|format| format.check().is_ok()));
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let header =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap());
    pairs.iter().map(header).collect()
}

#[test]
fn headers_are_decoded_once_and_have_to_be_text() {
    let with_subject = |subject: &str| {
        let headers = headers(&[
            ("content-type", "text/plain"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "s"),
            ("ce-type", "t"),
            ("ce-kinesissequencenumber", "7.2"),
            ("ce-subject", subject),
        ]);
        read(&headers, &Bytes::new()).map(|(mut events, _)| events.remove(0))
    };
    assert_eq!(&*with_subject("Euro%20%E2%82%AC%2520").unwrap().channel, "Euro €%20");
    assert_eq!(&*with_subject(r#""a \"quoted\" \\ word""#).unwrap().channel, r#"a "quoted" \ word"#);
    assert_eq!(&*with_subject("100%").unwrap().channel, "100%");
    assert_eq!(with_subject("x").unwrap().sequence_number, SequenceNumber::from(7).with_sub(2));
    assert!(with_subject("%C0%A0").unwrap_err().to_string().contains("no UTF-8"));
}

#[test]
fn refusals_name_the_field() {
    let refusal = |kind: &'static str, body: &'static str| {
        read(&headers(&[("content-type", kind)]), &Bytes::from_static(body.as_bytes())).unwrap_err().to_string()
    };
    let structured = |body| refusal("application/cloudevents+json; charset=utf-8", body);
    assert!(structured(r#"{"id":"1"}"#).contains("`specversion` is missing"));
    assert!(structured(r#"{"specversion":"0.3"}"#).contains("`specversion` must be 1.0"));
    let with = |more: &str| {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{more}}}"#);
        read(&headers(&[("content-type", "application/cloudevents+json")]), &body.into()).unwrap_err().to_string()
    };
    assert!(with("").contains("`kinesissequencenumber` is missing"));
    assert!(with(r#","kinesissequencenumber":"x""#).contains("`kinesissequencenumber` is no sequence number"));
    assert!(with(r#","kinesissequencenumber":"1","time":"noon""#).contains("`time` is no time"));
    assert!(with(r#","kinesissequencenumber":"1","data":1,"data_base64":"""#).contains("may not stand beside `data`"));
    assert!(refusal("application/cloudevents-batch+json", "{}").contains("line 1"));
    assert!(refusal("application/cloudevents+xml", "").contains("send application/json or CloudEvents"));
    assert!(refusal("application/json", r#"{"Records":[{"kinesis":{}}]}"#).contains("missing field `partitionKey`"));
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let json = prop_oneof![Just("{\"a\": [1, null]}"), Just("\"text\""), Just("1.50"), Just("null")];
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        json.prop_map(|json| json.as_bytes().to_vec())
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        payloads in prop::collection::vec((payload(), "\\PC{1,20}", 0..3u64), 1..4),
        millis in prop::option::of(0..253_402_300_800_000u64),
    ) {
        let records = payloads.into_iter().enumerate().map(|(nth, (data, key, sub))| {
            let mut record = Record::new(SequenceNumber::from(nth as u64).with_sub(sub), key, data);
            record.arrived_at = millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
            record
        });
        let delivery = delivery(records.collect());
        for format in formats() {
            let (headers, body) = request(&format, &delivery);
            let (parsed, carried) = read(&headers, &body).unwrap();
            let is_batch = carried == Carried::Batch;
            prop_assert_eq!(is_batch, format.is_batched());
            prop_assert_eq!(parsed.len(), if is_batch { delivery.len() } else { 1 });
            for (came, entry) in parsed.iter().zip(delivery.iter()) {
                prop_assert_eq!(came.sequence_number, entry.sequence_number);
                prop_assert_eq!(&came.data, &entry.data);
                prop_assert_eq!(came.arrived_at, entry.arrived_at);
                prop_assert_eq!(&*came.channel, entry.channel());
                if came.id.is_some() {
                    prop_assert_eq!(came.id.clone(), Some(entry.id()));
                    prop_assert_eq!(came.partition_key.as_ref(), Some(&entry.record().partition_key));
                    prop_assert_eq!(came.shard.as_ref(), Some(delivery.shard()));
                }
            }
        }
    }

    #[test]
    fn no_request_makes_the_reader_panic(kind in 0..4usize, attribute in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
        let kinds = ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "x"];
        let mut headers = headers(&[("content-type", kinds[kind]), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t")]);
        if let Ok(value) = HeaderValue::from_bytes(&attribute) {
            headers.insert("ce-subject", value);
            headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
        }
        let _ = read(&headers, &body.into());
    }
}
