//! Which file it is: what its name in the store says, held against what the file holds now.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};

use kinesis_core::{CursorPosition, Lease, ShardId, StreamId};
use md5::{Digest as _, Md5};

use crate::input::source::SHARD;

/// What is read of the file at once when it is looked over.
const CHUNK: usize = 256 << 10;

/// A file that the store knows under a path.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) stream: StreamId,
    /// Its length when it was read first, and the MD5 of so much.
    pub(super) first_length: u64,
    digest: String,
    /// Where its parts begin.
    pub(super) parts: Vec<u64>,
    /// Whether the last part was delivered to somebody to its end, but a process was killed before that was noted.
    ends_unnoted: bool,
}

impl Known {
    pub(super) fn all(path: &str, rows: Vec<Lease>) -> Vec<Self> {
        let mut streams: BTreeMap<StreamId, Vec<Lease>> = BTreeMap::new();
        for row in rows {
            streams.entry(row.key.stream.clone()).or_default().push(row);
        }
        streams.into_iter().filter_map(|(stream, rows)| Self::read(path, stream, &rows)).collect()
    }

    fn read(path: &str, stream: StreamId, rows: &[Lease]) -> Option<Self> {
        let (_, first_length, digest) = parts_of(&stream).filter(|(named, ..)| *named == path)?;
        let digest = digest.to_owned();
        let mut parts: Vec<(u64, &Lease)> =
            rows.iter().filter_map(|row| Some((offset_of(&row.key.shard)?, row))).collect();
        parts.sort_by_key(|(offset, _)| *offset);
        let (_, row) = parts.last()?;
        let ends_unnoted = is_ended(row);
        let parts = parts.iter().map(|(offset, _)| *offset).collect();
        Some(Self { stream, first_length, digest, parts, ends_unnoted })
    }

    /// The places of the file that something has to be known of.
    pub(super) fn places(&self) -> impl Iterator<Item = u64> + '_ {
        self.parts.iter().copied().chain([self.first_length])
    }

    /// Whether the file that was looked over is this one, and it is known where what was delivered of it ends.
    pub(super) fn is(&self, looked: &BTreeMap<u64, Looked>, length: u64) -> bool {
        let is_long_enough = self.places().all(|place| looked.contains_key(&place));
        // One that never grew has ended where it ends now.
        let ends_somewhere = !self.ends_unnoted || length == self.first_length;
        is_long_enough && ends_somewhere && looked[&self.first_length].digest == self.digest
    }
}

/// Path, first length and digest, in the name of a file that is kept.
fn parts_of(stream: &StreamId) -> Option<(&str, u64, &str)> {
    let (path, first) = stream.name.rsplit_once('@')?;
    let (length, digest) = first.split_once('-')?;
    let is_digest = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some((path, length.parse().ok()?, digest))
}

/// Whether a stream of a store is a file. No stream of Kinesis has such a name.
pub(crate) fn is_file(stream: &StreamId) -> bool {
    parts_of(stream).is_some()
}

/// Whether somebody is done with the part.
pub(super) fn is_ended(row: &Lease) -> bool {
    row.cursors.values().any(|cursor| cursor.position == CursorPosition::End)
}

/// The id of the part that begins at this byte.
pub(super) fn shard_at(offset: u64) -> ShardId {
    if offset == 0 { ShardId::from(SHARD) } else { ShardId::from(format!("{SHARD}@{offset}")) }
}

fn offset_of(shard: &ShardId) -> Option<u64> {
    match shard.strip_prefix(SHARD)? {
        "" => Some(0),
        rest => rest.strip_prefix('@')?.parse().ok(),
    }
}

/// What the file holds up to a place.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) digest: String,
    pub(super) lines: u64,
}

/// Reads the file up to each of `places`; those behind its end are left out.
pub(super) fn look_over(mut file: File, mut places: Vec<u64>) -> io::Result<BTreeMap<u64, Looked>> {
    places.sort_unstable();
    places.dedup();
    let (mut digest, mut lines, mut at) = (Md5::new(), 0, 0);
    let mut buffer = vec![0; CHUNK];
    let mut looked = BTreeMap::new();
    for place in places {
        while at < place {
            let most = buffer.len().min(usize::try_from(place - at).unwrap_or(usize::MAX));
            let read = match file.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(looked);
            }
            digest.update(&buffer[..read]);
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
            at += read as u64;
        }
        let hex = digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        looked.insert(place, Looked { digest: hex, lines });
    }
    Ok(looked)
}
