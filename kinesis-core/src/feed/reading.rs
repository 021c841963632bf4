//! One reader and the task that it reads on. It answers one request with one answer and never waits by itself: what cannot
//! be had now comes with the time to ask again.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::gap::{Gap, Proof};
use super::{FeedConfig, Start};
use crate::broken::{self, Part};
use crate::budget::Charge;
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Event;
use crate::record::{Page, Record, SequenceNumber};
use crate::shard::{Shard, StartPosition};
use crate::source::{Batch, ShardReader};

/// A reader that was not asked for this long is opened anew, and so finds out what was trimmed meanwhile. Shorter than the
/// five minutes after which an iterator of Kinesis expires, and goes on at whatever is left.
const REST: Duration = Duration::from_secs(4 * 60);

/// A request for records.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) max: NonZeroUsize,
    /// What is set aside in the budget for what comes.
    pub(super) room: Option<Charge>,
}

/// What came of one request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) gap: Option<Gap>,
    pub(super) what: What,
    /// The stream's time when it answered, where known.
    pub(super) stream_time: Option<SystemTime>,
    /// How far what came is behind the tip, where known.
    pub(super) behind: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum What {
    Pages(Vec<Arc<Page>>),
    /// Nothing yet. A reader opened at `resume` would miss nothing.
    Nothing {
        resume: Option<StartPosition>,
        again: Duration,
    },
    /// No more records, ever; these shards carry on.
    End(Vec<Shard>),
    /// It failed in passing, and may work after this long.
    Later(Duration, ErrorKind),
    /// Reading cannot go on.
    Failed(Error),
}

/// Where answers go; says so when the reader panics, since nobody would wait for it otherwise.
struct Answers<Id: Copy> {
    id: Id,
    answers: mpsc::UnboundedSender<(Id, Answer)>,
}

impl<Id: Copy> Drop for Answers<Id> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = What::Failed(Error::contract("the reader panicked"));
            // A feed that is gone has let the shard go.
            let _ = self.answers.send((self.id, Answer { gap: None, what, stream_time: None, behind: None }));
        }
    }
}

pub(super) struct Reading {
    config: Arc<FeedConfig>,
    reader: Option<Box<dyn ShardReader>>,
    /// Where to open, or re-open.
    at: Start,
    proof: Proof,
    last: Option<SequenceNumber>,
    failures: u32,
    /// Whether the reader was opened anew because its position had expired, and has answered nothing since.
    renewed: bool,
    asked_at: Instant,
    /// What the stream's clock showed at the last answer, where known.
    served_at: Option<SystemTime>,
    rng: fastrand::Rng,
}

impl Reading {
    pub(super) fn new(config: &Arc<FeedConfig>, from: Start, seed: u64) -> Self {
        Self {
            config: Arc::clone(config),
            reader: None,
            at: from,
            proof: Proof::default(),
            last: None,
            failures: 0,
            renewed: false,
            asked_at: Instant::now(),
            served_at: None,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Answers requests until nobody asks any more.
    pub(super) async fn run<Id: Copy>(
        mut self,
        id: Id,
        mut requests: mpsc::Receiver<Request>,
        answers: mpsc::UnboundedSender<(Id, Answer)>,
    ) {
        let answers = Answers { id, answers };
        while let Some(request) = requests.recv().await {
            let answer = self.answer(request).await;
            if answers.answers.send((id, answer)).is_err() {
                return;
            }
        }
    }

    async fn answer(&mut self, Request { max, room }: Request) -> Answer {
        let rested = self.asked_at.elapsed();
        self.asked_at = Instant::now();
        let now = self.served_at.map(|at| at + rested);
        // A source that does not refuse goes on at whatever is left, under way as well. One that does not say how long it
        // keeps records is believed to keep them between two reads: opening for each of them would cost too much.
        let may_lose = self.config.source.caps().retains.is_some() && !self.is_retained(now);
        if self.asks_for_its_own() && !self.proof.is_just_asked() && (rested > REST || may_lose) {
            self.reader = None;
        }
        let batch = self.batch(max).await;
        // What has come is charged by itself. Charged twice, even for a moment, it would drive others out.
        drop(room);
        let taken = match batch {
            Ok(batch) => self.take(batch),
            Err(error) if error.kind() == ErrorKind::NotFound => self.missing(error).await,
            Err(error) => Err(error),
        };
        taken.unwrap_or_else(|error| {
            let what = self.failed(error);
            Answer { gap: None, what, stream_time: None, behind: None }
        })
    }

    async fn batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        loop {
            let had = matches!(self.at.position, StartPosition::After(_));
            let max = max.saturating_add(usize::from(had && self.proof.brings_own()));
            let read = match &mut self.reader {
                Some(reader) => reader.next_batch(max).await.map(Some),
                None => self.open().await.map(|()| None),
            };
            match read {
                Ok(Some(batch)) => return Ok(batch),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::PositionExpired => self.expired(error)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// A reader whose position expired under way is opened again where it stands. If that place is gone from the stream
    /// too, the opening says so, or a second expiry does; then the horizon is all that is left.
    fn expired(&mut self, error: Error) -> Result<()> {
        let opened = self.reader.take().is_some();
        if broken::is(Part::ExpiredGoesToTip) {
            self.at = self.at.moved(StartPosition::Latest);
        }
        if opened && !std::mem::replace(&mut self.renewed, true) {
            return Ok(());
        }
        if self.proof.is_refused() {
            // The horizon cannot be trimmed: a source that says so is asked again later.
            return Err(Error::transient(error.message().to_owned()).because(error));
        }
        if self.at.position == StartPosition::Latest {
            return Err(error);
        }
        self.proof.refused();
        Ok(())
    }

    /// Whether going on means to ask for a record that is known to have been there.
    fn asks_for_its_own(&self) -> bool {
        let caps = self.config.source.caps();
        caps.replayable && !caps.refuses_trimmed && self.at.witness().is_some()
    }

    async fn open(&mut self) -> Result<()> {
        let asks = self.asks_for_its_own();
        let from = self.proof.opening(self.at, asks);
        self.reader = Some(self.config.source.open_shard(&self.config.shard, from).await?);
        self.config.observer.on(&Event::ShardOpened { shard: self.config.shard.clone(), from });
        Ok(())
    }

    /// A shard that the source does not find has ended for whoever still reads it, if the stream retains it no longer.
    async fn missing(&mut self, error: Error) -> Result<Answer> {
        let listing = self.config.source.list_shards().await?;
        if listing.iter().any(|shard| shard.id == self.config.shard) {
            return Err(error);
        }
        let gap = self.at.is_numbered().then_some(Gap { from: self.at, to: None });
        Ok(Answer { gap, what: What::End(Vec::new()), stream_time: None, behind: None })
    }

    fn failed(&mut self, error: Error) -> What {
        let (kind, shard) = (error.kind(), self.config.shard.clone());
        if !kind.is_retryable() {
            return What::Failed(error.on_shard(&shard));
        }
        self.failures += 1;
        self.proof.failed();
        let wait = self.config.retry.wait(self.failures, &mut self.rng).max(error.retry_after().unwrap_or_default());
        tracing::debug!(%shard, %kind, ?wait, error = error.chain(), "a read failed");
        self.config.observer.on(&Event::ReadFailed { shard, kind, retry_in: wait });
        What::Later(wait, kind)
    }

    fn take(&mut self, batch: Batch) -> Result<Answer> {
        let Batch { mut records, behind_latest, end, resume, again, served_at } = batch;
        (self.failures, self.renewed) = (0, false);
        let bytes = records.iter().map(Record::size).sum();
        let shard = self.config.shard.clone();
        self.config.observer.on(&Event::BatchRead { shard, records: records.len(), bytes, behind_latest });
        let newest = records.last().and_then(|record| record.arrived_at);
        self.served_at = served_at;
        if self.proof.leaves_open(&records, end.is_some()) {
            self.reader = None;
            let what = What::Nothing { resume: None, again: Duration::ZERO };
            return Ok(Answer { gap: None, what, stream_time: served_at, behind: None });
        }
        let stream_time = served_at.or(newest.zip(behind_latest).map(|(at, behind)| at + behind));
        let answered = records.len();
        let at_tip = behind_latest.is_some_and(|behind| behind.is_zero());
        let is_retained = self.is_retained(served_at);
        let gap = self.proof.check(self.at, &mut records, (at_tip, end.is_some()), is_retained);
        let answer = |what| Ok(Answer { gap, what, stream_time, behind: behind_latest });
        if records.is_empty() {
            if let Some(end) = end {
                return answer(What::End(end.children));
            }
            let idle = if self.config.source.caps().parks { Duration::ZERO } else { self.config.idle };
            let again = if answered > 0 { Duration::ZERO } else { again.unwrap_or(idle) };
            let settled = self.proof.is_settled();
            // Its own last record says more about what is missing than a place behind it.
            let moves = settled && !self.asks_for_its_own();
            let moved = resume.filter(|resume| moves && *resume != self.at.position);
            self.at = moved.map_or(self.at, |resume| self.at.moved(resume));
            if settled && at_tip {
                // Everything up to now is read.
                self.at.arrived_at = served_at.or(self.at.arrived_at);
            }
            return answer(What::Nothing { resume: moved, again });
        }
        for number in records.iter().map(|record| record.sequence_number) {
            if self.last.is_some_and(|last| number <= last) {
                return Err(out_of_order(self.last, number));
            }
            self.last = Some(number);
        }
        let position = resume.or(self.last.map(StartPosition::After)).unwrap_or(self.at.position);
        self.at = Start::new(position, newest.or(self.at.arrived_at));
        answer(What::Pages(self.freeze(records, resume)))
    }

    /// Whether everything that arrived after what was read is certainly still there at a time: then nothing is missing,
    /// even where its own record is gone of age.
    fn is_retained(&self, now: Option<SystemTime>) -> bool {
        // A time that is rounded down to the second may lie before what arrived within that second.
        let since = now.zip(self.at.arrived_at).map(|(now, until)| now.duration_since(until).unwrap_or_default());
        since.zip(self.config.source.caps().retains).is_some_and(|(since, retains)| since < retains)
    }

    /// Makes pages small enough that a record which stays keeps little else in memory.
    fn freeze(&self, records: Vec<Record>, resume: Option<StartPosition>) -> Vec<Arc<Page>> {
        let mut pages = Vec::new();
        let mut rest = records.into_iter();
        while !rest.as_slice().is_empty() {
            let mut bytes = 0;
            let fits = |record: &&Record| {
                bytes += record.size();
                bytes <= self.config.page_bytes
            };
            let count = rest.as_slice().iter().take_while(fits).count().max(1);
            // What comes whole keeps its allocation; a part is given one of its size.
            let part: Vec<Record> = if count == rest.len() {
                std::mem::take(&mut rest).collect()
            } else {
                rest.by_ref().take(count).collect()
            };
            let resume = resume.filter(|_| rest.as_slice().is_empty());
            let channels = self.config.channel_from.channels_of(&part);
            pages.push(Arc::new(Page::new(part, channels, resume, Some(&self.config.budget))));
        }
        pages
    }
}

fn out_of_order(last: Option<SequenceNumber>, next: SequenceNumber) -> Error {
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    Error::contract(format!("the reader answered record {next} after record {last}; sequence numbers must increase"))
}
