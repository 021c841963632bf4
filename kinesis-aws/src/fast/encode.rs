//! From JSON to CBOR and back, where the SDK speaks JSON and the wire CBOR: a request, and the body of an error.

use aws_sdk_kinesis::config::http::HttpRequest;
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::cbor;
use crate::WireFormat;

/// The content type of the protocol in CBOR, as the AWS clients that speak it send it.
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";

/// What a body is written in.
pub(crate) fn format_of(content_type: Option<&str>) -> WireFormat {
    match content_type.is_some_and(|found| found.starts_with("application/x-amz-cbor") || found == "application/cbor") {
        true => WireFormat::Cbor,
        false => WireFormat::Json,
    }
}

/// Writes a request anew.
pub(crate) fn to_cbor(request: &mut HttpRequest) -> Result<(), BoxError> {
    let body = request.body().bytes().ok_or("the request has no body in memory")?;
    let mut encoded = Vec::with_capacity(body.len());
    write(&serde_json::from_slice(body)?, &mut encoded)?;
    let length = encoded.len().to_string();
    *request.body_mut() = SdkBody::from(encoded);
    let headers = request.headers_mut();
    headers.insert("content-type", CBOR);
    headers.insert("content-length", length);
    Ok(())
}

/// Writes a value of the kinds that requests to read have: no payload is among them.
fn write(value: &Value, to: &mut Vec<u8>) -> Result<(), BoxError> {
    match value {
        Value::Null => to.push(0xf6),
        Value::Bool(false) => to.push(0xf4),
        Value::Bool(true) => to.push(0xf5),
        Value::Number(number) => {
            head(0, number.as_u64().ok_or("a request to read has no such number")?, to);
        }
        Value::String(text) => {
            head(3, text.len() as u64, to);
            to.extend_from_slice(text.as_bytes());
        }
        Value::Array(values) => {
            head(4, values.len() as u64, to);
            values.iter().try_for_each(|value| write(value, to))?;
        }
        Value::Object(members) => {
            head(5, members.len() as u64, to);
            for (name, value) in members {
                head(3, name.len() as u64, to);
                to.extend_from_slice(name.as_bytes());
                match name.as_str() {
                    "Timestamp" => write_time(value, to)?,
                    _ => write(value, to)?,
                }
            }
        }
    }
    Ok(())
}

/// A time, which is seconds in JSON, and milliseconds with a tag in CBOR.
fn write_time(value: &Value, to: &mut Vec<u8>) -> Result<(), BoxError> {
    let seconds = value.as_f64().ok_or("a time is a number")?;
    head(6, 1, to);
    head(0, (seconds * 1000.0).round().max(0.0) as u64, to);
    Ok(())
}

fn head(major: u8, argument: u64, to: &mut Vec<u8>) {
    let major = major << 5;
    match argument {
        0..=23 => to.push(major | argument as u8),
        24..=0xff => to.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            to.push(major | 25);
            to.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            to.push(major | 26);
            to.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            to.push(major | 27);
            to.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

/// The code and the sentence of an error, as the SDK reads them; empty where they are not found.
pub(super) fn error_to_json(body: &[u8]) -> Vec<u8> {
    let texts = cbor::texts(body);
    let members = texts.into_iter().filter(|(name, _)| matches!(name.as_str(), "__type" | "message" | "Message"));
    let object: serde_json::Map<String, Value> = members.map(|(name, text)| (name, Value::String(text))).collect();
    Value::Object(object).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_anew_with_its_length() {
        let mut request = HttpRequest::new(SdkBody::from(r#"{"ShardIterator":"AAA","Limit":10000}"#));
        to_cbor(&mut request).unwrap();
        let body = request.body().bytes().unwrap();
        let written = b"\xa2\x65Limit\x19\x27\x10\x6dShardIterator\x63AAA";
        let other = b"\xa2\x6dShardIterator\x63AAA\x65Limit\x19\x27\x10";
        assert!(body == written || body == other, "{body:?}");
        assert_eq!(request.headers().get("content-length"), Some(&*body.len().to_string()));
        assert_eq!(format_of(request.headers().get("content-type")), WireFormat::Cbor);
    }

    #[test]
    fn a_time_is_written_in_milliseconds() {
        let mut written = Vec::new();
        write(&serde_json::json!({"Timestamp": 1704067200.25}), &mut written).unwrap();
        assert_eq!(written, b"\xa1\x69Timestamp\xc1\x1b\x00\x00\x01\x8c\xc2\x51\xf4\xfa");
    }

    #[test]
    fn an_error_is_read_by_its_code_and_its_sentence() {
        let body = b"\xa3\x66__type\x69Exception\x61x\x01\x67message\x64gone";
        assert_eq!(error_to_json(body), br#"{"__type":"Exception","message":"gone"}"#);
        assert_eq!(error_to_json(b"\xa3\x66__ty"), b"{}");
        assert_eq!(error_to_json(b"<html>"), b"{}");
    }
}
