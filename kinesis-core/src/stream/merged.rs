//! All shards of a source as one stream, children after their parents.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;

use super::{Answer, Pace, read, rest};
use crate::error::{Error, Result};
use crate::lineage::{Lineage, Standing};
use crate::record::Record;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::source::{ShardReader, StreamSource};

/// The wait before another listing when the last one did not name a shard that was announced.
const RELIST: Duration = Duration::from_secs(1);

/// Reads all shards of `source` as one stream, following splits and merges.
///
/// Shards that are listed now are read `from` there, those born later from their beginning. At
/// [`StartPosition::Latest`] the tip of every open shard is fixed when this returns.
///
/// # Errors
///
/// As [`StreamSource::list_shards`], and at `Latest` as [`StreamSource::open_shard`].
/// [`Invalid`](crate::ErrorKind::Invalid) for a sequence number, which is a place in one shard only.
///
/// ```
/// use kinesis_core::stream::merged;
/// use kinesis_core::{Result, StartPosition, StreamSource};
/// use tokio_stream::StreamExt;
///
/// async fn tail(source: impl StreamSource) -> Result<()> {
///     let mut records = merged(source, StartPosition::Latest).await?;
///     while let Some(next) = records.next().await {
///         match next {
///             Ok((shard, record)) => println!("{shard} {}: {} bytes", record.sequence_number, record.data.len()),
///             Err(error) => eprintln!("{}", error.chain()),
///         }
///     }
///     Ok(())
/// }
/// ```
pub async fn merged(source: impl StreamSource, from: StartPosition) -> Result<Merged> {
    if let StartPosition::At(_) | StartPosition::After(_) = from {
        return Err(Error::invalid(format!(
            "cannot start all shards at {from}, a place in one of them: open that one as a RecordStream, or start at \
             the horizon, the tip or a time"
        )));
    }
    let listing = source.list_shards().await?;
    let mut merged = Merged::new(Arc::new(source), from);
    for shard in &listing {
        if from != StartPosition::Latest {
            merged.elders.insert(shard.id.clone());
        } else if shard.closed {
            merged.finished.insert(shard.id.clone());
        } else {
            let reader = merged.source.open_shard(&shard.id, from).await?;
            merged.opened.insert(shard.id.clone(), reader);
        }
    }
    // Taken in with the first poll, when batch and idle are set.
    merged.listing = true;
    merged.calls.push(Box::pin(std::future::ready(Answered::Listed(Ok(listing)))));
    Ok(merged)
}

/// The records of all shards of a source as a [`Stream`]; see [`merged()`].
///
/// Records of a shard come in order, those of a child after those of its parents; between other shards there is no
/// order. Reads of all open shards are in flight together, but an answer is taken only when the records of the one
/// before are used up: memory holds one batch, and what the source itself keeps for a call that waits.
///
/// The stream ends when every shard that the source names is read to its end. A failure is an item, with the shard in
/// it: after a [retryable](crate::ErrorKind::is_retryable) one reading goes on. Any other ends the stream, because the
/// children of the shard that failed could not be read in order.
#[derive(Debug)]
pub struct Merged {
    source: Arc<dyn StreamSource>,
    from: StartPosition,
    pace: Pace,
    lineage: Lineage,
    /// The shards that were there at the beginning, and so start where the caller said.
    elders: BTreeSet<ShardId>,
    /// Readers whose position had to be fixed before their shard may be read.
    opened: BTreeMap<ShardId, Box<dyn ShardReader>>,
    reading: BTreeSet<ShardId>,
    finished: BTreeSet<ShardId>,
    /// Whether a listing is among the calls.
    listing: bool,
    /// Whether a shard has ended since that listing was asked for, which may therefore not name its children.
    listing_is_stale: bool,
    /// Listings, openings and reads in flight.
    calls: FuturesUnordered<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    shard: Option<ShardId>,
    buffer: std::vec::IntoIter<Record>,
}

/// What a call to the source came back with.
enum Answered {
    Listed(Result<Vec<Shard>>),
    Opened(ShardId, Result<Box<dyn ShardReader>>),
    Read(ShardId, Box<dyn ShardReader>, Answer),
}

impl Merged {
    fn new(source: Arc<dyn StreamSource>, from: StartPosition) -> Self {
        Self {
            pace: Pace::of(source.caps()),
            source,
            from,
            lineage: Lineage::new(),
            elders: BTreeSet::new(),
            opened: BTreeMap::new(),
            reading: BTreeSet::new(),
            finished: BTreeSet::new(),
            listing: false,
            listing_is_stale: false,
            calls: FuturesUnordered::new(),
            shard: None,
            buffer: Vec::new().into_iter(),
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

    fn standing(&self, shard: &ShardId) -> Standing {
        if self.finished.contains(shard) {
            Standing::Finished
        } else if self.reading.contains(shard) {
            Standing::Reading
        } else {
            Standing::Missing
        }
    }

    /// Starts every shard whose parents are finished.
    fn start(&mut self) {
        let readable = self.lineage.readable(|shard| self.standing(shard));
        let ready: Vec<ShardId> = readable.filter(|shard| !self.reading.contains(*shard)).cloned().collect();
        for shard in ready {
            self.reading.insert(shard.clone());
            match self.opened.remove(&shard) {
                Some(reader) => self.read(shard, reader, Duration::ZERO),
                None => self.open(shard, Duration::ZERO),
            }
        }
    }

    fn list(&mut self, pause: Duration) {
        if std::mem::replace(&mut self.listing, true) {
            self.listing_is_stale = true;
            return;
        }
        let source = Arc::clone(&self.source);
        self.calls.push(Box::pin(async move {
            rest(pause).await;
            Answered::Listed(source.list_shards().await)
        }));
    }

    fn open(&self, shard: ShardId, pause: Duration) {
        let from = if self.elders.contains(&shard) { self.from } else { StartPosition::TrimHorizon };
        let source = Arc::clone(&self.source);
        self.calls.push(Box::pin(async move {
            rest(pause).await;
            let opened = source.open_shard(&shard, from).await;
            Answered::Opened(shard, opened)
        }));
    }

    fn read(&self, shard: ShardId, reader: Box<dyn ShardReader>, pause: Duration) {
        let max = self.pace.max;
        self.calls.push(Box::pin(async move {
            let (reader, answer) = read(reader, pause, max).await;
            Answered::Read(shard, reader, answer)
        }));
    }

    /// Takes in an answer, and sets the calls that follow from it.
    fn take(&mut self, answered: Answered) -> Result<()> {
        match answered {
            Answered::Listed(Ok(listing)) => {
                self.listing = false;
                self.lineage.observe_listing(&listing);
                self.elders.retain(|shard| self.lineage.contains(shard));
                self.finished.retain(|shard| self.lineage.contains(shard));
                self.start();
                if std::mem::take(&mut self.listing_is_stale) {
                    self.list(Duration::ZERO);
                } else if self.lineage.announced().any(|shard| self.standing(shard) == Standing::Missing) {
                    self.list(RELIST);
                }
            }
            Answered::Listed(Err(error)) => {
                self.listing = false;
                self.list(self.pace.pause_after_failure(&error));
                return Err(error);
            }
            Answered::Opened(shard, Ok(reader)) => self.read(shard, reader, Duration::ZERO),
            Answered::Opened(shard, Err(error)) => {
                let error = error.on_shard(&shard);
                self.open(shard, self.pace.pause_after_failure(&error));
                return Err(error);
            }
            Answered::Read(shard, reader, answer) => {
                let pause = self.pace.pause_after(&answer);
                let ended = matches!(&answer, Ok(batch) if batch.end.is_some());
                if !ended {
                    self.read(shard.clone(), reader, pause);
                }
                let batch = answer.map_err(|error| error.on_shard(&shard))?;
                if let Some(end) = batch.end {
                    self.reading.remove(&shard);
                    self.finished.insert(shard.clone());
                    self.lineage.observe_end(&shard, &end);
                    self.start();
                    // Tells the children that a source leaves out, and what may be forgotten.
                    self.list(Duration::ZERO);
                }
                self.buffer = batch.records.into_iter();
                self.shard = Some(shard);
            }
        }
        Ok(())
    }
}

impl Stream for Merged {
    type Item = Result<(ShardId, Record)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let (Some(shard), Some(record)) = (&this.shard, this.buffer.next()) {
                return Poll::Ready(Some(Ok((shard.clone(), record))));
            }
            let Some(answered) = ready!(Pin::new(&mut this.calls).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            if let Err(error) = this.take(answered) {
                if !error.kind().is_retryable() {
                    this.calls.clear();
                }
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}
