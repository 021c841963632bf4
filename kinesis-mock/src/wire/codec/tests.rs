//! What the encodings look like, byte by byte.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Blob, Encoding, Kind, Timestamp, frame};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Both {
    data: Blob,
    at: Timestamp,
    text: Option<String>,
}

fn both() -> Both {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_704_067_200_123);
    Both { data: Blob(Bytes::from_static(&[0, 255, 16])), at: at.into(), text: Some("ü".to_owned()) }
}

#[test]
fn json_has_base64_and_seconds() {
    let body = Encoding::Json.write(&both()).unwrap();
    assert_eq!(str::from_utf8(&body).unwrap(), r#"{"Data":"AP8Q","At":1704067200.123,"Text":"ü"}"#);
    assert_eq!(Encoding::Json.read::<Both>(&body).unwrap(), both());
}

#[test]
fn cbor_has_byte_strings_and_tagged_milliseconds() {
    let body = Encoding::Cbor.write(&both()).unwrap();
    let expected = [
        &[0xa3][..],
        b"\x64Data\x43\x00\xff\x10",
        b"\x62At\xc1\x1b\x00\x00\x01\x8c\xc2\x51\xf4\x7b",
        b"\x64Text\x62\xc3\xbc",
    ];
    assert_eq!(body, expected.concat());
    assert_eq!(Encoding::Cbor.read::<Both>(&body).unwrap(), both());
}

/// As clients write it that stream: maps and strings without a length, times with or without a tag.
#[test]
fn cbor_of_other_writers_is_read() {
    let indefinite = b"\xbf\x64Data\x5f\x42\x00\xff\x41\x10\xff\x62At\x1b\x00\x00\x01\x8c\xc2\x51\xf4\x7b\x64Text\x7f\x62\xc3\xbc\xff\xff";
    assert_eq!(Encoding::Cbor.read::<Both>(indefinite).unwrap(), both());
    let seconds = b"\xa2\x64Data\x43\x00\xff\x10\x62At\xc1\xfb\x41\xd9\x64\x80\x20\x07\xdf\x3b";
    let read = Encoding::Cbor.read::<Both>(seconds).unwrap();
    assert_eq!((read.at, read.text), (both().at, None));
}

#[test]
fn rubbish_is_refused_in_either() {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        for body in
            [&b""[..], b"\xff", b"{\"Data\":", b"[]", b"{\"Data\":\"?\",\"At\":0}", b"{\"Data\":\"\",\"At\":-1}"]
        {
            let refusal = encoding.read::<Both>(body).unwrap_err();
            assert_eq!(refusal.code, "SerializationException");
        }
    }
}

#[test]
fn a_frame_is_what_the_format_says() {
    let frame = frame(Kind::Event("initial-response"), "application/json", b"{}");
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let (total, headers) = (word(0) as usize, word(4) as usize);
    assert_eq!(total, frame.len());
    assert_eq!(word(8), crc32fast::hash(&frame[..8]));
    assert_eq!(word(total - 4), crc32fast::hash(&frame[..total - 4]));
    assert_eq!(&frame[12 + headers..total - 4], b"{}");
    assert!(frame[12..].starts_with(b"\x0d:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x10initial-response"));
}
