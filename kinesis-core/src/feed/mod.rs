//! The feed: the one reader of a held shard, shared by its lanes.
//!
//! A feed reads when it is asked to and answers with one page. It alone paces the reads, waits out throttling and passing
//! faults, and re-opens the reader; what cannot be mended it reports, after everything that was read before.

mod ring;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

pub(crate) use ring::{Ring, RingSize};

use crate::error::{Error, ErrorKind, Result};
use crate::observe::{Event, Observer};
use crate::record::{Page, SequenceNumber};
use crate::retry::RetryPolicy;
use crate::selector::ChannelFrom;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::source::{Batch, ShardReader, StreamSource};

/// What a feed reads, and how.
#[derive(Debug, Clone)]
pub(crate) struct FeedConfig {
    pub(crate) source: Arc<dyn StreamSource>,
    pub(crate) shard: ShardId,
    pub(crate) from: StartPosition,
    pub(crate) channel_from: ChannelFrom,
    /// The wait after an empty answer of a source that polls.
    pub(crate) idle: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) seed: u64,
}

/// What came of a request. A request is over with anything but [`Tip`](Self::Tip).
#[derive(Debug)]
pub(crate) enum Read {
    Page(Arc<Page>),
    /// Nothing yet; a reader opened here would miss nothing.
    Tip(StartPosition),
    /// No more records, ever; these shards carry on.
    End(Vec<Shard>),
    /// Reading cannot go on.
    Failed(Error),
}

/// The handle of a running feed; dropping it ends the feed.
#[derive(Debug)]
pub(crate) struct Feed {
    requests: mpsc::Sender<NonZeroUsize>,
    reads: mpsc::Receiver<Read>,
    outstanding: bool,
    task: JoinHandle<()>,
}

impl Feed {
    pub(crate) fn start(config: FeedConfig) -> Self {
        let (requests, asked) = mpsc::channel(1);
        let (answer, reads) = mpsc::channel(2);
        let task = tokio::spawn(Reading::new(config).run(asked, answer));
        Self { requests, reads, outstanding: false, task }
    }

    /// Asks for one page of up to `max` records, unless one is asked for already.
    pub(crate) fn request(&mut self, max: NonZeroUsize) {
        // A closed channel means that the feed ended; its last answer says why.
        self.outstanding = self.outstanding || self.requests.try_send(max).is_ok();
    }

    /// The next answer; never, when nothing is asked for.
    ///
    /// # Cancel safety
    ///
    /// An answer is received or stays.
    pub(crate) async fn next(&mut self) -> Read {
        if !self.outstanding {
            return std::future::pending().await;
        }
        match self.reads.recv().await {
            Some(tip @ Read::Tip(_)) => tip,
            Some(read) => {
                self.outstanding = false;
                read
            }
            None => {
                self.outstanding = false;
                Read::Failed(Error::contract("the reader panicked; its task is gone"))
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The feed's own task.
struct Reading {
    config: FeedConfig,
    reader: Option<Box<dyn ShardReader>>,
    /// Where to open, or re-open.
    position: StartPosition,
    last: Option<SequenceNumber>,
    offset: u64,
    failures: u32,
    /// Whether the reader was opened anew because its position had expired, and has answered nothing since.
    renewed: bool,
    /// The idle interval ends then. A timer costs up to a millisecond even when it is due, so there is none without need.
    not_before: Option<Instant>,
    rng: fastrand::Rng,
}

impl Reading {
    fn new(config: FeedConfig) -> Self {
        let rng = fastrand::Rng::with_seed(config.seed);
        let position = config.from;
        Self {
            config,
            reader: None,
            position,
            last: None,
            offset: 0,
            failures: 0,
            renewed: false,
            not_before: None,
            rng,
        }
    }

    async fn run(mut self, mut requests: mpsc::Receiver<NonZeroUsize>, answers: mpsc::Sender<Read>) {
        while let Some(max) = requests.recv().await {
            loop {
                let read = match self.read(max).await {
                    Ok(Some(read)) => read,
                    Ok(None) => continue,
                    Err(error) => Read::Failed(error.on_shard(&self.config.shard)),
                };
                let waits_on = matches!(read, Read::Tip(_));
                if answers.send(read).await.is_err() {
                    return;
                }
                if !waits_on {
                    break;
                }
            }
        }
    }

    /// Reads once, when it is time to.
    async fn read(&mut self, max: NonZeroUsize) -> Result<Option<Read>> {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
            self.not_before = None;
        }
        let batch = match self.next_batch(max).await {
            Ok(batch) => batch,
            Err(error) => {
                self.wait_out(error).await?;
                return Ok(None);
            }
        };
        (self.failures, self.renewed) = (0, false);
        self.take(batch)
    }

    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let reader = self.config.source.open_shard(&self.config.shard, self.position).await?;
                let shard = self.config.shard.clone();
                self.config.observer.on(&Event::ShardOpened { shard, from: self.position });
                none.insert(reader)
            }
        };
        reader.next_batch(max).await
    }

    /// Waits when waiting can help; opens anew when only the reader is spent; otherwise gives the error back.
    async fn wait_out(&mut self, error: Error) -> Result<()> {
        let kind = error.kind();
        // A reader whose position expired under way is opened again where it stands. If that place is gone from the
        // stream too, the opening says so, and then something was lost.
        if kind == ErrorKind::PositionExpired && self.reader.take().is_some() && !self.renewed {
            self.renewed = true;
            return Ok(());
        }
        if !kind.is_retryable() {
            return Err(error);
        }
        self.failures += 1;
        let wait = self.config.retry.wait(self.failures, &mut self.rng).max(error.retry_after().unwrap_or_default());
        let shard = self.config.shard.clone();
        tracing::debug!(%shard, %kind, ?wait, error = error.chain(), "a read failed");
        self.config.observer.on(&Event::ReadFailed { shard, kind, retry_in: wait });
        sleep(wait).await;
        Ok(())
    }

    fn take(&mut self, batch: Batch) -> Result<Option<Read>> {
        let Batch { records, behind_latest, end, resume, again } = batch;
        let bytes = records.iter().map(crate::Record::size).sum();
        let shard = self.config.shard.clone();
        self.config.observer.on(&Event::BatchRead { shard, records: records.len(), bytes, behind_latest });
        if records.is_empty() {
            if let Some(end) = end {
                return Ok(Some(Read::End(end.children)));
            }
            let idle = if self.config.source.caps().parks { Duration::ZERO } else { self.config.idle };
            let pause = again.unwrap_or(idle);
            self.not_before = (!pause.is_zero()).then(|| Instant::now() + pause);
            let moved = resume.filter(|resume| *resume != self.position);
            self.position = moved.unwrap_or(self.position);
            return Ok(moved.map(Read::Tip));
        }
        for pair in records.iter().map(|record| record.sequence_number) {
            if self.last.is_some_and(|last| pair <= last) {
                return Err(out_of_order(self.last, pair));
            }
            self.last = Some(pair);
        }
        self.position = resume.or(self.last.map(StartPosition::After)).unwrap_or(self.position);
        let channels = self.config.channel_from.channels_of(&records);
        let page = Page::new(self.offset, records, channels, resume);
        self.offset = page.end();
        Ok(Some(Read::Page(Arc::new(page))))
    }
}

fn out_of_order(last: Option<SequenceNumber>, next: SequenceNumber) -> Error {
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    Error::contract(format!("the reader answered record {next} after record {last}; sequence numbers must increase"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;
    use crate::wrap::scripted::{MANY, Scripted, batch, fails};

    fn feed(source: Scripted) -> Feed {
        Feed::start(FeedConfig {
            source: Arc::new(source),
            shard: "0".into(),
            from: StartPosition::TrimHorizon,
            channel_from: ChannelFrom::default(),
            idle: Duration::from_millis(250),
            retry: RetryPolicy::default(),
            observer: Arc::new(Silent),
            seed: 0,
        })
    }

    fn expired() -> Error {
        Error::new(ErrorKind::PositionExpired, "five minutes have passed")
    }

    /// A reader that was throttled until its position expired was taken for one whose records are gone.
    #[tokio::test(start_paused = true)]
    async fn a_reader_that_expires_while_it_is_throttled_is_opened_anew() {
        let throttled = || fails(Error::throttled(None, "slow down"));
        let source = Scripted::new(["0"]).then("0", throttled()).then("0", fails(expired()));
        let mut feed = feed(source.then("0", throttled()).then("0", batch([(1, 1)])));
        feed.request(MANY);
        let read = feed.next().await;
        assert!(matches!(&read, Read::Page(page) if page.records().len() == 1), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_expires_again_before_it_has_answered_is_given_up() {
        let source = Scripted::new(["0"]).then("0", fails(expired())).then("0", fails(expired()));
        let mut feed = feed(source);
        feed.request(MANY);
        let read = feed.next().await;
        assert!(matches!(&read, Read::Failed(error) if error.kind() == ErrorKind::PositionExpired), "{read:?}");
    }
}
