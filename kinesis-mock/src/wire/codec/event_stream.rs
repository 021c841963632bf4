//! Frames of an AWS event stream: lengths, a checksum of them, headers, a payload, a checksum of all.

use bytes::{BufMut, Bytes, BytesMut};

/// Two lengths and their checksum before the headers.
const PRELUDE: usize = 12;
/// The checksum behind the payload.
const TRAILER: usize = 4;
/// The number of the header type "string" in the format.
const STRING: u8 = 7;

/// What a frame tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Kind<'a> {
    Event(&'a str),
    Exception(&'a str),
}

/// Writes one frame.
pub(in crate::wire) fn frame(kind: Kind<'_>, content_type: &str, payload: &[u8]) -> Bytes {
    let ((message_type, name_of_type), name) = match kind {
        Kind::Event(name) => (("event", ":event-type"), name),
        Kind::Exception(name) => (("exception", ":exception-type"), name),
    };
    let mut headers = BytesMut::new();
    for (name, value) in [(":message-type", message_type), (name_of_type, name), (":content-type", content_type)] {
        // Names of headers and values are ours and short, but for the exceptions of a script, which are cut.
        let value = &value.as_bytes()[..value.len().min(usize::from(u16::MAX))];
        headers.put_u8(name.len() as u8);
        headers.put_slice(name.as_bytes());
        headers.put_u8(STRING);
        headers.put_u16(value.len() as u16);
        headers.put_slice(value);
    }
    let total = PRELUDE + headers.len() + payload.len() + TRAILER;
    let mut frame = BytesMut::with_capacity(total);
    frame.put_u32(total as u32);
    frame.put_u32(headers.len() as u32);
    frame.put_u32(crc32fast::hash(&frame));
    frame.put_slice(&headers);
    frame.put_slice(payload);
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}
