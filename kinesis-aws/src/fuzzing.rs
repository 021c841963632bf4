//! The parsers for a fuzzer: none may panic, and how a body is cut into chunks must make no difference.

use bytes::Bytes;
use kinesis_core::{Record, ShardId, StartPosition};

use crate::WireFormat;
use crate::answer::Answer;
use crate::fanout::Frames;
use crate::fast::{Parser, Refused, read};
use crate::kpl::{Aggregates, Unpacked};

/// Reads an answer in JSON; says whether it was accepted.
///
/// # Panics
///
/// When chunks of these lengths make a difference.
#[must_use]
pub fn json(body: &[u8], chunks: &[usize]) -> bool {
    answer(WireFormat::Json, body, chunks)
}

/// Reads an answer in CBOR; says whether it was accepted.
///
/// # Panics
///
/// When chunks of these lengths make a difference.
#[must_use]
pub fn cbor(body: &[u8], chunks: &[usize]) -> bool {
    answer(WireFormat::Cbor, body, chunks)
}

/// Cuts a body into frames; says whether all of it was frames.
///
/// # Panics
///
/// When chunks of these lengths make a difference.
#[must_use]
pub fn frames(body: &[u8], chunks: &[usize]) -> bool {
    let all = |chunks: &[Bytes]| {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for chunk in chunks {
            frames.push(chunk.clone());
            while let Some(frame) = frames.next().ok()? {
                assert!(frame.header(":message-type").is_none_or(|value| value.len() < body.len()));
                found.push(frame);
            }
        }
        (!frames.is_cut()).then_some(found)
    };
    let whole = all(&[Bytes::copy_from_slice(body)]);
    assert_eq!(all(&cut(body, chunks)), whole, "chunks make a difference");
    whole.is_some()
}

/// Unpacks a stored record; says whether it was an aggregate.
///
/// # Panics
///
/// When anything is lost of what is no aggregate.
#[must_use]
pub fn kpl(data: &[u8], _: &[usize]) -> bool {
    let stored = Record::new(7.into(), "k", Bytes::copy_from_slice(data));
    let counts = Unpacked::default();
    let shard = ShardId::from("0");
    let unpacker = Aggregates::default().unpacker(&shard, None, StartPosition::TrimHorizon, &counts);
    let records = unpacker.expect("the default unpacks").unpack(vec![stored.clone()]);
    assert!(counts.aggregates() == 1 || records == [stored], "what is no aggregate stays as it is");
    counts.aggregates() == 1
}

fn answer(format: WireFormat, body: &[u8], chunks: &[usize]) -> bool {
    let whole = read(format, &Bytes::copy_from_slice(body));
    let mut parser = Parser::new(format);
    let fed = cut(body, chunks).iter().try_for_each(|chunk| parser.feed(chunk));
    let in_chunks: Result<Answer, Refused> = fed.and_then(|()| parser.finish());
    // What was refused first depends on how much had come.
    assert_eq!(in_chunks.as_ref().ok(), whole.as_ref().ok(), "chunks make a difference");
    whole.is_ok()
}

/// Cuts a body into chunks of these lengths, again and again.
fn cut(body: &[u8], chunks: &[usize]) -> Vec<Bytes> {
    let (mut rest, mut parts) = (Bytes::copy_from_slice(body), Vec::new());
    for length in chunks.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        parts.push(rest.split_to((*length).clamp(1, rest.len())));
    }
    parts
}
