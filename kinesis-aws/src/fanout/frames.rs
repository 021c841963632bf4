//! Event-stream frames: cut out of a body that comes in chunks, checked, and without a copy where a chunk holds one whole.
//!
//! A frame is its length, the length of its headers and a CRC32 of both; then headers, payload and a CRC32 of it all. All
//! numbers are big endian. (Smithy specification, "Amazon Event Stream".)

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kinesis_core::{Error, Result};

/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// A checksum.
const CRC: usize = 4;
/// The longest headers of a frame, 128 KiB (Smithy specification).
const MAX_HEADERS: usize = 128 << 10;
/// The longest frame that is waited for: above 10 MiB of records in base64, the most that the service reads at once, and
/// the 16 MiB payload of the Smithy specification.
const MAX_FRAME: usize = 24 << 20;

/// One frame, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    headers: Bytes,
    pub(crate) payload: Bytes,
}

impl Frame {
    /// The value of a header of text; none where there is no such header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut rest = &self.headers[..];
        loop {
            let ((found, value), after) = next_header(rest)?;
            if found == name.as_bytes() {
                return std::str::from_utf8(value?).ok();
            }
            rest = after;
        }
    }
}

/// A header: its name, and its value if that is text.
type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Splits the first header off what follows.
fn next_header(mut rest: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let length = rest.try_get_u8().ok()?.into();
    let (name, mut rest) = rest.split_at_checked(length)?;
    let kind = rest.try_get_u8().ok()?;
    let length = match kind {
        // Both booleans; a byte, an integer of two, of four and of eight bytes; bytes and text; a time; a UUID.
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 | 7 => rest.try_get_u16().ok()?.into(),
        9 => 16,
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(((name, (kind == 7).then_some(value)), rest))
}

/// Cuts frames out of chunks.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    chunks: VecDeque<Bytes>,
    len: usize,
    /// The length of the frame that is waited for, once its prelude was checked.
    total: Option<usize>,
}

impl Frames {
    /// Takes the next chunk of the body.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len();
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// Whether a part of a frame is left: a body that ends now was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.len > 0
    }

    /// The next frame, once it is there whole.
    ///
    /// # Errors
    ///
    /// When a checksum or a length is wrong. What comes after it means nothing.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>> {
        let total = match self.total {
            Some(total) => total,
            None if self.len < PRELUDE => return Ok(None),
            None => {
                let total = check_prelude(&self.peek_prelude())?;
                *self.total.insert(total)
            }
        };
        if self.len < total {
            return Ok(None);
        }
        self.total = None;
        let mut frame = self.take(total);
        let claimed = (&frame[total - CRC..]).get_u32();
        let found = crc32fast::hash(&frame[..total - CRC]);
        if claimed != found {
            return Err(broken(&format!("its checksum is {claimed:08x}, but its bytes have {found:08x}")));
        }
        let headers_len = (&frame[4..8]).get_u32() as usize;
        frame.advance(PRELUDE);
        let headers = frame.split_to(headers_len);
        frame.truncate(frame.len() - CRC);
        Ok(Some(Frame { headers, payload: frame }))
    }

    fn peek_prelude(&self) -> [u8; PRELUDE] {
        let mut prelude = [0; PRELUDE];
        let bytes = self.chunks.iter().flat_map(|chunk| chunk.iter());
        prelude.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        prelude
    }

    /// Takes so many bytes, which are there: out of one chunk as they are, out of several put together.
    fn take(&mut self, count: usize) -> Bytes {
        self.len -= count;
        let mut joined = BytesMut::new();
        loop {
            let Some(chunk) = self.chunks.front_mut() else { return joined.freeze() };
            let wanted = count - joined.len();
            let part = if chunk.len() > wanted { chunk.split_to(wanted) } else { std::mem::take(chunk) };
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
            if part.len() == count {
                return part;
            }
            joined.reserve(wanted);
            joined.put(part);
            if joined.len() == count {
                return joined.freeze();
            }
        }
    }
}

/// The length of the frame that begins so.
fn check_prelude(prelude: &[u8; PRELUDE]) -> Result<usize> {
    let mut numbers = &prelude[..];
    let (total, headers, claimed) = (numbers.get_u32() as usize, numbers.get_u32() as usize, numbers.get_u32());
    let found = crc32fast::hash(&prelude[..PRELUDE - CRC]);
    if claimed != found {
        return Err(broken(&format!("the checksum of its lengths is {claimed:08x}, but they have {found:08x}")));
    }
    if !(PRELUDE + CRC..=MAX_FRAME).contains(&total) || headers > (total - PRELUDE - CRC).min(MAX_HEADERS) {
        return Err(broken(&format!("its length is {total}, of which {headers} are headers")));
    }
    Ok(total)
}

fn broken(what: &str) -> Error {
    Error::transient(format!("a frame of the event stream is broken: {what}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame with headers of text.
    pub(in crate::fanout) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (name, value) in headers {
            encoded.put_u8(name.len() as u8);
            encoded.extend_from_slice(name.as_bytes());
            encoded.put_u8(7);
            encoded.put_u16(value.len() as u16);
            encoded.extend_from_slice(value.as_bytes());
        }
        let mut frame = Vec::new();
        frame.put_u32((PRELUDE + encoded.len() + payload.len() + CRC) as u32);
        frame.put_u32(encoded.len() as u32);
        frame.put_u32(crc32fast::hash(&frame));
        frame.extend_from_slice(&encoded);
        frame.extend_from_slice(payload);
        frame.put_u32(crc32fast::hash(&frame));
        frame
    }

    fn all(frames: &mut Frames) -> Result<Vec<Frame>> {
        std::iter::from_fn(|| frames.next().transpose()).collect()
    }

    #[test]
    fn a_frame_in_one_chunk_is_cut_out_and_shares_it() {
        let chunk = Bytes::from(frame(&[(":message-type", "event"), (":event-type", "SubscribeToShardEvent")], b"{}"));
        let mut frames = Frames::default();
        frames.push(chunk.clone());
        let found = frames.next().unwrap().unwrap();
        assert_eq!(found.header(":event-type"), Some("SubscribeToShardEvent"));
        assert_eq!((found.header(":content-type"), &found.payload[..]), (None, &b"{}"[..]));
        assert!(chunk.as_ptr_range().contains(&found.payload.as_ptr()), "not a copy");
        assert!(frames.next().unwrap().is_none() && !frames.is_cut());
    }

    #[test]
    fn headers_of_every_kind_are_passed_over() {
        let mut headers = Vec::new();
        for (kind, value) in [
            (0u8, &[][..]),
            (1, &[]),
            (2, &[1]),
            (3, &[1; 2]),
            (4, &[1; 4]),
            (5, &[1; 8]),
            (6, &[0, 1, 9]),
            (8, &[1; 8]),
            (9, &[1; 16]),
            (7, &[0, 2, b'o', b'k']),
        ] {
            headers.extend_from_slice(&[1, b'a' + kind, kind]);
            headers.extend_from_slice(value);
        }
        let frame = Frame { headers: headers.into(), payload: Bytes::new() };
        assert_eq!((frame.header("h"), frame.header("b"), frame.header("x")), (Some("ok"), None, None));
        let cut = Frame { headers: vec![200, b'a'].into(), payload: Bytes::new() };
        assert_eq!(cut.header("a"), None);
    }

    #[test]
    fn what_is_broken_is_refused() {
        let good = frame(&[(":message-type", "event")], b"payload");
        let refusal = |bytes: Vec<u8>| {
            let mut frames = Frames::default();
            frames.push(bytes.into());
            frames.next().unwrap_err().to_string()
        };
        for at in [0, 5, 9, 14, good.len() - 6, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(refusal(bad).contains("checksum"), "{at}");
        }
        let with_lengths = |total: u32, headers: u32| {
            let mut bad = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bad.put_u32(crc32fast::hash(&bad));
            bad
        };
        for (total, headers) in [(15, 0), (30 << 20, 0), (100, 85), (1 << 20, 200 << 10)] {
            assert!(refusal(with_lengths(total, headers)).contains("its length is"), "{total} {headers}");
        }
    }

    proptest! {
        #[test]
        fn chunks_may_be_cut_anywhere(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            cuts in prop::collection::vec(1usize..80, 1..40),
        ) {
            let body: Vec<u8> = payloads.iter().flat_map(|payload| frame(&[(":event-type", "e")], payload)).collect();
            let (mut frames, mut rest, mut found) = (Frames::default(), Bytes::from(body), Vec::new());
            for cut in cuts.into_iter().cycle() {
                frames.push(rest.split_to(cut.min(rest.len())));
                found.extend(all(&mut frames).unwrap());
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(!frames.is_cut());
            let found: Vec<Vec<u8>> = found.into_iter().map(|frame| frame.payload.to_vec()).collect();
            prop_assert_eq!(found, payloads);
        }

        #[test]
        fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)) {
            let mut frames = Frames::default();
            for chunk in chunks {
                frames.push(chunk.into());
                let found = all(&mut frames).unwrap_or_default();
                prop_assert!(found.iter().all(|frame| frame.header("x").is_none_or(|value| value.len() < 60)));
            }
        }
    }
}
