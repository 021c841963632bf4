//! A file whose runs are kept in a store: which file it is, how far it was delivered, and what was appended since.
//!
//! A file is known by its path and by what it held when it was read first: its length then, and the MD5 of so many bytes.
//! One that has grown since is the same file; one that has changed otherwise is another one, which begins at its start.
//!
//! Its shards are its parts. A part ends where the file ended when it was delivered to its end; what is appended later is
//! the next part. Where a part begins stands in its shard's id, so the rows of the store are all that has to be kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kinesis_core::{
    Batch, CursorPosition, Error, ErrorKind, Lease, LeaseStore, Result, Shard, ShardId, ShardKey, ShardReader,
    SourceCaps, StartPosition, StreamId, StreamSource,
};
use md5::{Digest as _, Md5};

use super::source::{SHARD, open_file};
use super::{InputError, InputSource};

/// What is read of the file at once when it is looked over.
const CHUNK: usize = 256 << 10;

/// A file of which only what the runs before have not delivered is read. Clones share the reading.
#[derive(Debug, Clone)]
pub struct KeptInput {
    path: PathBuf,
    stream: StreamId,
    /// The offset and the line at which each part begins, in the order of the file; and the end of the last one.
    parts: Vec<Mark>,
    end: u64,
    /// Whether the store knows the path, and the file is another one by now.
    replaced: bool,
    opened: Arc<Mutex<BTreeMap<ShardId, InputSource>>>,
}

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    offset: u64,
    /// Lines before it.
    lines: u64,
}

impl KeptInput {
    /// The file at `path`, as far as `store` does not have it delivered. Reads it once, to know it again.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) or [`NotFound`](ErrorKind::NotFound) when there is no such file, it cannot be read,
    /// or it is no regular file; and what the store met.
    pub async fn open(path: &Path, store: &dyn LeaseStore) -> Result<Self> {
        let name = path.display().to_string();
        let unseekable = || {
            Error::invalid(format!(
                "cannot go on in the input {name}: only a regular file is there again; leave out --state"
            ))
        };
        if path == Path::new("-") {
            return Err(unseekable());
        }
        let (file, metadata) = open_file(path)?;
        if !metadata.is_file() {
            return Err(unseekable());
        }
        let unreadable = |error: io::Error| Error::invalid(format!("cannot read the input {name}")).because(error);
        let canonical = path.canonicalize().map_err(unreadable)?.display().to_string();
        let known = Known::all(&canonical, store.list().await?);
        let length = metadata.len();
        let mut places: Vec<u64> = known.iter().flat_map(Known::places).collect();
        places.push(length);
        let looked = tokio::task::spawn_blocking(move || look_over(file, places)).await;
        let looked = looked.unwrap_or_else(|gone| Err(io::Error::other(gone))).map_err(unreadable)?;
        let same = known.iter().filter(|known| known.is(&looked, length)).max_by_key(|known| known.first_length);
        let (stream, mut offsets) = match same {
            Some(known) => (known.stream.clone(), known.parts.clone()),
            None => {
                let name = format!("{canonical}@{length}-{}", looked[&length].digest);
                (StreamId::new(name), vec![0])
            }
        };
        // The end of a part that was delivered is where the next one begins; that next one may be empty as yet.
        offsets.retain(|offset| *offset < length || *offset == 0);
        let parts =
            offsets.iter().map(|offset| Mark { offset: *offset, lines: looked.get(offset).map_or(0, |at| at.lines) });
        Ok(Self {
            path: path.to_owned(),
            stream,
            parts: parts.collect(),
            end: length,
            replaced: same.is_none() && !known.is_empty(),
            opened: Arc::default(),
        })
    }

    /// Whether the store knows another file under this path.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// What broke the input, once the records before it are read.
    #[must_use]
    pub fn failure(&self) -> Option<InputError> {
        let opened = self.opened();
        self.parts.iter().find_map(|part| {
            let mut failure = opened.get(&shard_at(part.offset))?.failure()?.clone();
            failure.line += part.lines;
            Some(failure)
        })
    }

    /// Notes in the store where the file ends, once somebody has its last part to its end: what is appended comes after.
    ///
    /// # Errors
    ///
    /// What the store met.
    pub async fn close_part(&self, store: &dyn LeaseStore) -> Result<()> {
        let last = self.parts.last().map_or(0, |part| part.offset);
        let row = store.get(&ShardKey::new(&self.stream, &shard_at(last))).await?;
        if row.is_some_and(|row| is_ended(&row)) {
            let next = Shard::new(shard_at(self.end)).with_parents([shard_at(last)]);
            store.create(&Lease::new(&self.stream, &next)).await?;
        }
        Ok(())
    }

    fn opened(&self) -> MutexGuard<'_, BTreeMap<ShardId, InputSource>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a part, as an input of its own.
    fn part(&self, shard: &ShardId) -> Result<InputSource> {
        let nth = self.parts.iter().position(|part| shard_at(part.offset) == *shard);
        let nth = nth.ok_or_else(|| Error::not_found("the input has no such part").on_shard(shard))?;
        let mut opened = self.opened();
        if let Some(source) = opened.get(shard) {
            return Ok(source.clone());
        }
        let from = self.parts[nth].offset;
        let to = self.parts.get(nth + 1).map_or(self.end, |next| next.offset);
        let (mut file, _) = open_file(&self.path)?;
        let name = self.path.display().to_string();
        file.seek(SeekFrom::Start(from)).map_err(|error| {
            Error::invalid(format!("cannot read the input {name} from byte {from} on")).because(error)
        })?;
        let source = InputSource::read(name, file.take(to - from))?;
        opened.insert(shard.clone(), source.clone());
        Ok(source)
    }
}

/// A file that the store knows under a path.
#[derive(Debug)]
struct Known {
    stream: StreamId,
    /// Its length when it was read first, and the MD5 of so much.
    first_length: u64,
    digest: String,
    /// Where its parts begin.
    parts: Vec<u64>,
    /// Whether the last part was delivered to somebody to its end, but a process was killed before that was noted.
    ends_unnoted: bool,
}

impl Known {
    fn all(path: &str, rows: Vec<Lease>) -> Vec<Self> {
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
    fn places(&self) -> impl Iterator<Item = u64> + '_ {
        self.parts.iter().copied().chain([self.first_length])
    }

    /// Whether the file that was looked over is this one, and it is known where what was delivered of it ends.
    fn is(&self, looked: &BTreeMap<u64, Looked>, length: u64) -> bool {
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
fn is_ended(row: &Lease) -> bool {
    row.cursors.values().any(|cursor| cursor.position == CursorPosition::End)
}

/// The id of the part that begins at this byte.
fn shard_at(offset: u64) -> ShardId {
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
struct Looked {
    digest: String,
    lines: u64,
}

/// Reads the file up to each of `places`; those behind its end are left out.
fn look_over(mut file: File, mut places: Vec<u64>) -> io::Result<BTreeMap<u64, Looked>> {
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

#[async_trait]
impl StreamSource for KeptInput {
    fn stream(&self) -> &StreamId {
        &self.stream
    }

    fn caps(&self) -> SourceCaps {
        SourceCaps::pipe()
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        let mut shards: Vec<Shard> = Vec::new();
        for part in &self.parts {
            let mut shard = Shard::new(shard_at(part.offset));
            if let Some(before) = shards.pop() {
                shard = shard.with_parents([before.id.clone()]);
                shards.push(before.with_end(None));
            }
            shards.push(shard);
        }
        Ok(shards)
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let part = self.part(shard)?;
        let reader = part.open_shard(&SHARD.into(), from).await?;
        Ok(Box::new(KeptReader { reader, part, from }))
    }
}

/// Reads a part and passes over what was had.
#[derive(Debug)]
struct KeptReader {
    reader: Box<dyn ShardReader>,
    part: InputSource,
    from: StartPosition,
}

#[async_trait]
impl ShardReader for KeptReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        loop {
            let mut batch = self.reader.next_batch(max).await?;
            // A part that is broken does not end: when it is mended, its rest is still to be delivered.
            if let Some(failure) = self.part.failure().filter(|_| batch.end.is_some() && batch.records.is_empty()) {
                return Err(Error::new(ErrorKind::Permanent, "the input is broken").because(failure.clone()));
            }
            // Where reading begins at the tip, nothing was had of what comes.
            if self.from != StartPosition::Latest {
                batch.records.drain(..self.from.index_in(&batch.records));
            }
            if !batch.records.is_empty() || batch.end.is_some() {
                return Ok(batch);
            }
        }
    }
}

#[cfg(test)]
mod tests;
