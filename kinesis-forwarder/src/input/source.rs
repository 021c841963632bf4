//! A file or a pipe as a source: one shard, read once, in bounded memory, by a thread that waits for it.

use std::fs::{File, Metadata};
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::{io, thread, vec};

use async_trait::async_trait;
use kinesis_core::{
    Batch, Error, ErrorKind, Record, Result, Shard, ShardEnd, ShardId, ShardReader, SourceCaps, StartPosition,
    StreamId, StreamSource,
};
use tokio::sync::{Mutex, mpsc};

use super::InputError;
use super::parse::parse;

/// The one shard, named as Kinesis names the first of a stream.
pub(super) const SHARD: &str = "shardId-000000000000";

/// Chunks that are read ahead; each is what one read of 64 KiB held, or one record of up to 10 MiB.
const CHUNKS_AHEAD: usize = 4;

/// The input as a stream of one shard that passes once: reading starts where the last reader stopped.
#[derive(Debug, Clone)]
pub struct InputSource {
    stream: StreamId,
    inlet: Arc<Mutex<Inlet>>,
    /// Set when the input is over, with what was wrong with it if anything was.
    end: Arc<OnceLock<Option<InputError>>>,
}

/// The end of the channel from the reading thread; whoever has the lock reads.
#[derive(Debug)]
struct Inlet {
    receive: mpsc::Receiver<Vec<Record>>,
    chunk: vec::IntoIter<Record>,
    /// The last record that was handed out.
    passed: Option<kinesis_core::SequenceNumber>,
}

impl InputSource {
    /// The file at `path`, or standard input for `-`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) or [`NotFound`](ErrorKind::NotFound) when there is no such file or it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Self::read("standard input", io::stdin());
        }
        let (file, _) = open_file(path)?;
        Self::read(path.display().to_string(), file)
    }

    /// Any reader as input; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// When the system gives no thread to read it.
    pub fn read(name: impl Into<String>, input: impl Read + Send + 'static) -> Result<Self> {
        Self::read_ahead(name.into(), input, CHUNKS_AHEAD)
    }

    fn read_ahead(name: String, input: impl Read + Send + 'static, chunks: usize) -> Result<Self> {
        let stream = StreamId::new(&*name);
        let end = Arc::new(OnceLock::new());
        let (send, receive) = mpsc::channel(chunks);
        let at_end = Arc::clone(&end);
        // A thread of its own and not one of the runtime's: a read from a terminal or a pipe cannot be cancelled, and
        // the runtime would wait for it when it shuts down.
        let thread = thread::Builder::new().name("input".into()).spawn(move || {
            let result = parse(&name, input, |chunk| send.blocking_send(chunk).is_ok());
            // Before the channel closes: whoever sees the end sees why.
            let _ = at_end.set(result.err());
            drop(send);
        });
        thread.map_err(|error| Error::permanent("cannot start a thread to read the input").because(error))?;
        let inlet = Inlet { receive, chunk: Vec::new().into_iter(), passed: None };
        Ok(Self { stream, inlet: Arc::new(Mutex::new(inlet)), end })
    }

    /// What broke the input, once the records before it are read.
    #[must_use]
    pub fn failure(&self) -> Option<&InputError> {
        self.end.get()?.as_ref()
    }

    /// Whether every record of the input was handed out. While a reader is at work, no.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        let left = |inlet: &Inlet| inlet.chunk.len() + inlet.receive.len();
        self.end.get().is_some() && self.inlet.try_lock().is_ok_and(|inlet| left(&inlet) == 0)
    }
}

/// Opens the file at `path`, which is no directory.
pub(super) fn open_file(path: &Path) -> Result<(File, Metadata)> {
    let name = path.display();
    let refuse = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Invalid,
        };
        Error::new(kind, format!("cannot read the input {name}")).because(error)
    };
    let file = File::open(path).map_err(refuse)?;
    let metadata = file.metadata().map_err(refuse)?;
    if metadata.is_dir() {
        return Err(Error::invalid(format!("cannot read the input {name}: it is a directory")));
    }
    Ok((file, metadata))
}

#[async_trait]
impl StreamSource for InputSource {
    fn stream(&self) -> &StreamId {
        &self.stream
    }

    fn caps(&self) -> SourceCaps {
        SourceCaps::pipe()
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(vec![Shard::new(SHARD)])
    }

    /// Every position means "what was not read yet": a pipe has no other.
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        if *shard != SHARD {
            return Err(Error::not_found(format!("there is no such shard: an input has one, {SHARD}")).on_shard(shard));
        }
        let passed = self.inlet.lock().await.passed;
        match from {
            StartPosition::Timestamp(_) => {
                return Err(Error::unsupported("an input cannot be opened at a time; start at the horizon"));
            }
            StartPosition::At(number) if passed.is_some_and(|passed| number <= passed) => {
                return Err(Error::new(
                    ErrorKind::PositionExpired,
                    "an input is read once, and that record has passed",
                ));
            }
            StartPosition::After(number) if passed.is_some_and(|passed| number < passed) => {
                return Err(Error::new(
                    ErrorKind::PositionExpired,
                    "an input is read once, and that record has passed",
                ));
            }
            _ => Ok(Box::new(InputReader { inlet: Arc::clone(&self.inlet) })),
        }
    }
}

/// Reads on where the input stands.
#[derive(Debug)]
struct InputReader {
    inlet: Arc<Mutex<Inlet>>,
}

#[async_trait]
impl ShardReader for InputReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let mut inlet = self.inlet.lock().await;
        if inlet.chunk.len() == 0 {
            // Nothing is awaited once a chunk has left the channel, so a dropped future drops no record.
            match inlet.receive.recv().await {
                None => return Ok(Batch::empty().with_end(ShardEnd::default())),
                Some(chunk) => inlet.chunk = chunk.into_iter(),
            }
        }
        let records: Vec<Record> = inlet.chunk.by_ref().take(max.get()).collect();
        inlet.passed = records.last().map(|record| record.sequence_number).or(inlet.passed);
        Ok(Batch::new(records))
    }
}

#[cfg(test)]
mod tests;
