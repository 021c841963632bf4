//! A file whose runs are kept in a store: which file it is, how far it was delivered, and what was appended since.
//!
//! A file is known by its path and by what it held when it was read first: its length then, and the MD5 of so many bytes.
//! One that has grown since is the same file; one that has changed otherwise is another one, which begins at its start.
//!
//! Its shards are its parts. A part ends where the file ended when it was delivered to its end; what is appended later is
//! the next part. Where a part begins stands in its shard's id, so the rows of the store are all that has to be kept.

mod known;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kinesis_core::{
    Batch, Error, ErrorKind, Lease, LeaseStore, Result, Shard, ShardId, ShardKey, ShardReader, SourceCaps,
    StartPosition, StreamId, StreamSource,
};

pub(crate) use known::is_file;
use known::{Known, is_ended, look_over, shard_at};

use super::source::{SHARD, open_file};
use super::{InputError, InputSource};

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
