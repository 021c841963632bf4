//! Readers as Streams, for reading without leases: [`RecordStream`] of one shard, [`merged()`] of all shards of a source.
//!
//! For a look at a stream, a test or a tool. Nothing is stored here: who reads on after a restart, and who reads what
//! beside others, is the business of a [`Pipeline`](crate::Pipeline).

mod merged;

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

pub use merged::{Merged, merged};

use crate::error::{Error, Result};
use crate::record::Record;
use crate::shard::{ShardId, StartPosition};
use crate::source::{Batch, ShardEnd, ShardReader, SourceCaps, StreamSource};

/// What a read returned.
type Answer = Result<Batch>;

/// How a stream asks its readers.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The most records of one read, and so of what is kept in memory.
    max: NonZeroUsize,
    /// The wait after a read that returned nothing, and the least one after a failure.
    idle: Duration,
    /// Whether a read waits for records by itself.
    parks: bool,
}

impl Pace {
    fn of(caps: SourceCaps) -> Self {
        let max = NonZeroUsize::new(1_000).expect("1,000 is not 0");
        Self { max, idle: Duration::from_millis(250), parks: caps.parks }
    }

    /// How long to wait after this answer before asking again.
    fn pause_after(&self, answer: &Answer) -> Duration {
        match answer {
            Ok(batch) if !batch.records.is_empty() => Duration::ZERO,
            Ok(batch) => batch.again.unwrap_or(if self.parks { Duration::ZERO } else { self.idle }),
            Err(error) => self.pause_after_failure(error),
        }
    }

    fn pause_after_failure(&self, error: &Error) -> Duration {
        error.retry_after().unwrap_or_default().max(self.idle)
    }
}

/// Waits for the pause, then reads once. Gives the reader back with the answer, so that the future owns all it needs.
async fn read(reader: Box<dyn ShardReader>, pause: Duration, max: NonZeroUsize) -> (Box<dyn ShardReader>, Answer) {
    let mut reader = reader;
    rest(pause).await;
    let answer = reader.next_batch(max).await;
    (reader, answer)
}

async fn rest(pause: Duration) {
    if pause.is_zero() {
        // A source in memory is always ready; whoever runs beside the one that reads it wants a turn too.
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(pause).await;
    }
}

/// The records of one shard as a [`Stream`].
///
/// One read is in flight at most, and only once the records of the one before were taken: memory holds one batch.
/// Dropping the stream drops that read. The position goes with it: to go on later, open after the last record's number.
///
/// The stream ends with the shard. A failed read is an item: after a
/// [retryable](crate::ErrorKind::is_retryable) one reading goes on, after any other the stream ends.
///
/// ```
/// use kinesis_core::stream::RecordStream;
/// use kinesis_core::{Record, Result, ShardId, StartPosition, StreamSource};
/// use tokio_stream::StreamExt;
///
/// async fn first_hundred(source: &dyn StreamSource, shard: &ShardId) -> Result<Vec<Record>> {
///     let records = RecordStream::open(source, shard, StartPosition::TrimHorizon).await?;
///     records.take(100).collect().await
/// }
/// ```
#[derive(Debug)]
pub struct RecordStream {
    pace: Pace,
    buffer: std::vec::IntoIter<Record>,
    state: State,
    end: Option<ShardEnd>,
}

type Reading = Pin<Box<dyn Future<Output = (Box<dyn ShardReader>, Answer)> + Send>>;

enum State {
    /// The next read is wanted after a pause.
    Resting(Box<dyn ShardReader>, Duration),
    Reading(Reading),
    /// The shard has ended, or failed for good.
    Over,
}

impl RecordStream {
    /// Opens `shard` and reads it from there.
    ///
    /// # Errors
    ///
    /// As [`StreamSource::open_shard`].
    pub async fn open<S: StreamSource + ?Sized>(source: &S, shard: &ShardId, from: StartPosition) -> Result<Self> {
        Ok(Self::new(source.open_shard(shard, from).await?, source.caps()))
    }

    /// Reads on with a reader of a source with these `caps`.
    #[must_use]
    pub fn new(reader: Box<dyn ShardReader>, caps: SourceCaps) -> Self {
        Self {
            pace: Pace::of(caps),
            buffer: Vec::new().into_iter(),
            state: State::Resting(reader, Duration::ZERO),
            end: None,
        }
    }

    /// Sets how many records a read asks for at most. Default 1,000.
    #[must_use]
    pub const fn batch(mut self, max: NonZeroUsize) -> Self {
        self.pace.max = max;
        self
    }

    /// Sets the wait after a read that returned nothing, unless the source waits by itself or says when to come back;
    /// and the least wait after a failure. Default 250 ms.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.pace.idle = idle;
        self
    }

    /// How the shard ended, once the stream has met its end.
    #[must_use]
    pub const fn end(&self) -> Option<&ShardEnd> {
        self.end.as_ref()
    }

    /// Takes in an answer, and sets the next read.
    fn take(&mut self, reader: Box<dyn ShardReader>, answer: Answer) -> Result<()> {
        let pause = self.pace.pause_after(&answer);
        match answer {
            Ok(batch) => {
                self.buffer = batch.records.into_iter();
                self.end = batch.end;
                if self.end.is_none() {
                    self.state = State::Resting(reader, pause);
                }
                Ok(())
            }
            Err(error) => {
                if error.kind().is_retryable() {
                    self.state = State::Resting(reader, pause);
                }
                Err(error)
            }
        }
    }
}

impl Stream for RecordStream {
    type Item = Result<Record>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Record>>> {
        let this = &mut *self;
        loop {
            if let Some(record) = this.buffer.next() {
                return Poll::Ready(Some(Ok(record)));
            }
            match std::mem::replace(&mut this.state, State::Over) {
                State::Resting(reader, pause) => {
                    this.state = State::Reading(Box::pin(read(reader, pause, this.pace.max)));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready((reader, answer)) = reading.as_mut().poll(cx) else {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    if let Err(error) = this.take(reader, answer) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let over = matches!(self.state, State::Over);
        (self.buffer.len(), over.then_some(self.buffer.len()))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resting(reader, pause) => f.debug_tuple("Resting").field(reader).field(pause).finish(),
            Self::Reading(_) => f.write_str("Reading"),
            Self::Over => f.write_str("Over"),
        }
    }
}

#[cfg(test)]
mod tests;
