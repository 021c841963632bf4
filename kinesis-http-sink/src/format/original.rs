//! The original JSON: the body that subscribers have always been sent, written and read byte for byte.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use kinesis_core::{Channel, SequenceNumber};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::json::{put_base64, put_member, put_name};
use super::named::Named;
use super::{Malformed, Parsed};

/// Brackets, names, digits and time of a body: what is written beside channel and payload.
const ENVELOPE: usize = 256;

/// Writes `record` as the original JSON, exactly as `JSON.stringify` would.
pub(super) fn encode(record: &Named<'_>) -> Bytes {
    let text = std::str::from_utf8(&record.data);
    // An eighth more than the payload: room for the quotes of JSON inside JSON. Base64 needs a third more.
    let payload = record.data.len();
    let room = payload + if text.is_ok() { payload / 8 } else { payload / 3 };
    let mut json = Vec::with_capacity(ENVELOPE + record.channel().len() + room);
    json.push(b'{');
    put_member(&mut json, "channel", record.channel());
    put_name(&mut json, "sequenceNumber");
    put_number(&mut json, record);
    match text {
        Ok(text) => put_member(&mut json, "data", text),
        Err(_) => {
            put_base64(&mut json, "data", &record.data);
            put_member(&mut json, "encoding", "base64");
        }
    }
    if let Some(at) = record.arrived_at.and_then(Millis::of) {
        put_name(&mut json, "approximateArrivalTimestamp");
        serde_json::to_writer(&mut json, &at).expect("numbers are always JSON, and memory takes every write");
    }
    json.push(b'}');
    json.into()
}

/// Puts a sequence number and, behind a dot, its sub-number.
fn put_number(json: &mut Vec<u8>, record: &Named<'_>) {
    json.push(b'"');
    json.extend_from_slice(record.digits().as_bytes());
    if let sub @ 1.. = record.sequence_number.sub() {
        json.extend_from_slice(format!(".{sub}").as_bytes());
    }
    json.push(b'"');
}

/// A time as JavaScript's dates know it: whole milliseconds since 1970, written as a JSON number of seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Millis(i64);

impl Millis {
    /// The last millisecond of JavaScript's dates, either way.
    const MOST: i64 = 8_640_000_000_000_000;

    /// `None` for a time beyond JavaScript's dates, which is as good as unknown.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        let millis = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).ok()?,
            // Rounded down on both sides of 1970.
            Err(before) => -i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).ok()?,
        };
        (-Self::MOST..=Self::MOST).contains(&millis).then_some(Self(millis))
    }

    fn from_seconds(seconds: f64) -> Option<Self> {
        let millis = (seconds * 1000.0).round();
        (millis.abs() <= Self::MOST as f64).then_some(Self(millis as i64))
    }

    pub(super) fn time(self) -> SystemTime {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JavaScript writes whole seconds without a point, and both writers give a fraction its fewest digits.
        if self.0 % 1000 == 0 {
            serializer.serialize_i64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = deserializer.deserialize_any(Seconds)?;
        Self::from_seconds(seconds).ok_or_else(|| {
            de::Error::custom(format_args!("approximateArrivalTimestamp {seconds} is no time in seconds since 1970"))
        })
    }
}

/// Reads a number, or text that is one: some writers of Lambda events put it in quotes.
struct Seconds;

impl de::Visitor<'_> for Seconds {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds since 1970")
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<f64, E> {
        Ok(seconds)
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<f64, E> {
        Ok(seconds as f64)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<f64, E> {
        Ok(seconds as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        text.parse().map_err(|_| E::invalid_type(de::Unexpected::Str(text), &self))
    }
}

/// Reads a body. Unknown fields are passed over; a payload without escapes is a slice of `body`, not a copy.
pub(super) fn decode(body: &Bytes) -> Result<Parsed, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        channel: Channel,
        sequence_number: SequenceNumber,
        #[serde(borrow)]
        data: Cow<'a, str>,
        encoding: Option<Encoding>,
        approximate_arrival_timestamp: Option<Millis>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Encoding {
        Base64,
    }
    let parsed: Body<'_> = serde_json::from_slice(body)?;
    let data = match (parsed.encoding, parsed.data) {
        (Some(Encoding::Base64), text) => BASE64_STANDARD.decode(text.as_bytes())?.into(),
        (None, Cow::Borrowed(text)) => body.slice_ref(text.as_bytes()),
        (None, Cow::Owned(text)) => text.into(),
    };
    Ok(Parsed {
        id: None,
        channel: parsed.channel,
        partition_key: None,
        shard: None,
        sequence_number: parsed.sequence_number,
        data,
        arrived_at: parsed.approximate_arrival_timestamp.map(Millis::time),
    })
}

#[cfg(test)]
mod tests {
    use kinesis_core::{Delivery, Record, StreamId};
    use proptest::prelude::*;

    use super::*;

    const ORIGINAL: &str = include_str!("../../../tests/data/original.json");
    const NUMBER: &str = "49569625073747986051284015760176917265900404709609439234";

    fn at(millis: i64) -> SystemTime {
        Millis(millis).time()
    }

    fn record(data: impl Into<Bytes>) -> Record {
        Record::new(NUMBER.parse().unwrap(), "member-registered", data)
    }

    fn encoded(record: &Record) -> Bytes {
        let delivery = Delivery::new(StreamId::new("orders"), "shardId-0", "audit", vec![record.clone()]);
        encode(&Named::of(&delivery, delivery.iter().next().unwrap()))
    }

    fn text(record: &Record) -> String {
        String::from_utf8(encoded(record).to_vec()).unwrap()
    }

    fn refusal(body: &str) -> String {
        decode(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err().to_string()
    }

    #[test]
    fn the_body_is_the_original_byte_for_byte() {
        let record = record("we are streaming events").with_arrived_at(at(1_485_507_652_516));
        assert_eq!(text(&record), ORIGINAL);
    }

    #[test]
    fn strings_are_escaped_as_javascript_escapes_them() {
        let written = text(&record("\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}\u{2028}é𝄞"));
        let escaped = r#""\"\\/\b\f\n\r\t\u0001\u001f"#.to_owned() + "\u{7f}\u{2028}é𝄞\"";
        assert!(written.contains(&format!(r#""data":{escaped}"#)), "{written}");
    }

    #[test]
    fn times_are_written_as_javascript_writes_numbers() {
        let cases = [
            (1_485_507_652_516, "1485507652.516"),
            (1_485_507_652_500, "1485507652.5"),
            (1_485_507_652_000, "1485507652"),
            (1, "0.001"),
            (0, "0"),
            (-1_500, "-1.5"),
            (253_402_300_799_999, "253402300799.999"),
            (Millis::MOST, "8640000000000"),
        ];
        for (millis, number) in cases {
            let written = text(&record("x").with_arrived_at(at(millis)));
            assert!(written.ends_with(&format!(r#","approximateArrivalTimestamp":{number}}}"#)), "{written}");
        }
    }

    #[test]
    fn times_are_cut_to_the_millisecond_before_and_after_1970() {
        let nano = Duration::from_nanos(1);
        assert_eq!(Millis::of(SystemTime::UNIX_EPOCH + nano).unwrap().0, 0);
        assert_eq!(Millis::of(SystemTime::UNIX_EPOCH - nano).unwrap().0, -1);
        assert!(Millis::of(at(Millis::MOST) + Duration::from_millis(1)).is_none());
    }

    #[test]
    fn an_unknown_time_is_left_out() {
        assert_eq!(
            text(&record("x")),
            format!(r#"{{"channel":"member-registered","sequenceNumber":"{NUMBER}","data":"x"}}"#)
        );
    }

    #[test]
    fn a_payload_that_is_no_text_is_marked_base64() {
        let written = text(&record(vec![0, 255, 254]));
        assert!(written.contains(r#""data":"AP/+","encoding":"base64""#), "{written}");
    }

    #[test]
    fn a_payload_without_escapes_is_not_copied() {
        let body = Bytes::from_static(ORIGINAL.as_bytes());
        let data = decode(&body).unwrap().data;
        assert!(body.as_ptr_range().contains(&data.as_ptr()));
    }

    #[test]
    fn what_others_add_or_leave_null_is_no_error() {
        let body = r#" {"data":"x","extra":[1,{}],"encoding":null,"approximateArrivalTimestamp":null,
            "sequenceNumber":"7.2","channel":"c"} "#;
        let original = decode(&Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!((&*original.channel, original.arrived_at), ("c", None));
        assert_eq!(original.sequence_number, SequenceNumber::from(7).with_sub(2));
    }

    #[test]
    fn refusals_name_the_field_or_the_place() {
        assert_eq!(refusal("{\"channel\":\"a\",\n  oops}"), "key must be a string at line 2 column 3");
        assert!(refusal("").contains("line 1 column 0"));
        assert!(refusal(r#"{"sequenceNumber":"1","data":""}"#).contains("missing field `channel`"));
        assert!(refusal(r#"{"channel":"a","data":""}"#).contains("missing field `sequenceNumber`"));
        assert!(refusal(r#"{"channel":"a","sequenceNumber":"x1","data":""}"#).contains("\"x1\" is no sequence number"));
        let with = |more: &str| refusal(&format!(r#"{{"channel":"a","sequenceNumber":"1",{more}}}"#));
        assert!(with(r#""data":7"#).contains("expected a string"));
        assert!(with(r#""data":"*","encoding":"base64""#).contains("field `data` is no base64"));
        assert!(with(r#""data":"","encoding":"gzip""#).contains("unknown variant `gzip`, expected `base64`"));
        assert!(with(r#""data":"","approximateArrivalTimestamp":1e300"#).contains("approximateArrivalTimestamp"));
        assert!(with(r#""data":"","approximateArrivalTimestamp":"now""#).contains("line 1"));
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<Vec<u8>>(),
            any::<String>().prop_map(String::into_bytes),
            "[\"\\\\\\x00-\\x1f]*".prop_map(String::into_bytes)
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            payload in payload(),
            channel in any::<String>(),
            number in any::<u128>(),
            sub in any::<u64>(),
            millis in proptest::option::of(-62_135_596_800_000i64..253_402_300_800_000),
        ) {
            let mut record = Record::new(SequenceNumber::new(number).with_sub(sub), channel.clone(), payload);
            record.arrived_at = millis.map(at);
            let original = decode(&encoded(&record)).unwrap();
            prop_assert_eq!(&*original.channel, channel);
            prop_assert_eq!(original.sequence_number, record.sequence_number);
            prop_assert_eq!(original.data, record.data);
            prop_assert_eq!(original.arrived_at, record.arrived_at);
        }

        #[test]
        fn no_body_makes_the_reader_panic(body in any::<Vec<u8>>()) {
            let _ = decode(&body.into());
        }

        #[test]
        fn text_is_written_as_the_json_of_its_string(text_ in any::<String>()) {
            let json = serde_json::to_string(&text_).unwrap();
            let expected = format!("\"data\":{json}}}");
            prop_assert!(text(&record(text_)).ends_with(&expected));
        }
    }
}
