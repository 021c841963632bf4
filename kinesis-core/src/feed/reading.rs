//! One reader and the task that it reads on. It answers one request with one answer and never waits by itself: what cannot
//! be had now comes with the time to ask again.
//!
//! It notices where trimming has overtaken it. Going on behind a record it asks for that record again; when another one
//! comes first, what lay between is gone.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::Instant;

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

/// So often a reader is opened anew because its own last record came alone, each time asking for twice as much. Then that
/// record fills an answer by itself, and what follows is read without it.
const ALONE: u32 = 8;

/// Records that were trimmed before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Where reading should have gone on.
    pub(crate) from: Start,
    /// The first record that is still there; `None` when the shard has ended without one.
    pub(crate) to: Option<(SequenceNumber, Option<SystemTime>)>,
}

/// A request for records.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) max: NonZeroUsize,
    /// What is set aside in the budget for what comes.
    pub(super) room: Option<Charge>,
}

impl Gap {
    /// Where whoever may go on does so: at the first record that is left, or with whatever is left, which is nothing.
    pub(crate) fn left(&self) -> Start {
        let position = self.to.map_or(StartPosition::TrimHorizon, |(number, _)| StartPosition::At(number));
        Start::new(position, None)
    }
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

/// What the first record after an opening tells.
#[derive(Debug, Clone, Copy)]
enum Expects {
    /// Nothing: it is simply the next one.
    Anything,
    /// It was opened at its own last record, which comes first unless it was trimmed.
    Own(SequenceNumber),
    /// Its place was refused as trimmed, and it was opened at the horizon instead.
    Lost,
    /// It was opened at the horizon though its place is still there: what it has had comes first, in one answer or several.
    Had,
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
    expects: Expects,
    last: Option<SequenceNumber>,
    failures: u32,
    /// Whether the reader was opened anew because its position had expired, and has answered nothing since.
    renewed: bool,
    asked_at: Instant,
    /// How often in a row its own last record came alone though more follow.
    alone: u32,
    /// Its own last record came alone at the tip. What comes next may be nothing or the end; records are asked for once
    /// more behind their own, because something may be missing before them.
    unproven: bool,
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
            expects: Expects::Anything,
            last: None,
            failures: 0,
            renewed: false,
            asked_at: Instant::now(),
            alone: 0,
            unproven: false,
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
        if self.asks_for_its_own() && !self.unproven && self.alone < ALONE && (rested > REST || may_lose) {
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
            // Its own record comes on top of what is asked for.
            let own = usize::from(matches!(self.expects, Expects::Own(_)));
            let max = max.saturating_add(own).saturating_mul(NonZeroUsize::MIN.saturating_add((1 << self.alone) - 1));
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
            self.at.position = StartPosition::Latest;
        }
        if opened && !std::mem::replace(&mut self.renewed, true) {
            return Ok(());
        }
        if matches!(self.expects, Expects::Lost | Expects::Had) {
            // The horizon cannot be trimmed: a source that says so is asked again later.
            return Err(Error::transient(error.message().to_owned()).because(error));
        }
        if self.at.position == StartPosition::Latest {
            return Err(error);
        }
        self.expects = Expects::Lost;
        Ok(())
    }

    /// Whether going on means to ask for the last record again.
    fn asks_for_its_own(&self) -> bool {
        let caps = self.config.source.caps();
        caps.replayable && !caps.refuses_trimmed && matches!(self.at.position, StartPosition::After(_))
    }

    async fn open(&mut self) -> Result<()> {
        let from = match (self.expects, self.at.position) {
            (Expects::Lost | Expects::Had, _) => {
                self.expects = Expects::Lost;
                StartPosition::TrimHorizon
            }
            (_, StartPosition::After(number)) if self.asks_for_its_own() => {
                self.expects = Expects::Own(number);
                StartPosition::At(number)
            }
            (_, position) => position,
        };
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
        self.unproven = false;
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
        if std::mem::take(&mut self.unproven) && !records.is_empty() {
            self.reader = None;
            let what = What::Nothing { resume: None, again: Duration::ZERO };
            return Ok(Answer { gap: None, what, stream_time: served_at, behind: None });
        }
        let stream_time = served_at.or(newest.zip(behind_latest).map(|(at, behind)| at + behind));
        let answered = records.len();
        let gap = self.check(&mut records, end.is_some(), served_at);
        let answer = |what| Ok(Answer { gap, what, stream_time, behind: behind_latest });
        if records.is_empty() {
            if let Some(end) = end {
                return answer(What::End(end.children));
            }
            let idle = if self.config.source.caps().parks { Duration::ZERO } else { self.config.idle };
            let at_tip = behind_latest.is_some_and(|behind| behind.is_zero());
            let alone = answered > 0 && !at_tip;
            self.alone = if alone { self.alone + 1 } else { 0 };
            self.unproven = answered > 0 && at_tip;
            let again = if answered > 0 { Duration::ZERO } else { again.unwrap_or(idle) };
            let settled = matches!(self.expects, Expects::Anything);
            // Its own last record says more about what is missing than a place behind it.
            let moves = settled && !self.asks_for_its_own();
            let moved = resume.filter(|resume| moves && *resume != self.at.position);
            self.at.position = moved.unwrap_or(self.at.position);
            if settled && at_tip {
                // Everything up to now is read.
                self.at.arrived_at = served_at.or(self.at.arrived_at);
            }
            return answer(What::Nothing { resume: moved, again });
        }
        self.alone = 0;
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

    /// Drops what was had before; finds out whether something is missing between that and what is left.
    fn check(&mut self, records: &mut Vec<Record>, ended: bool, served_at: Option<SystemTime>) -> Option<Gap> {
        use StartPosition::{After, At};
        let lost = match (self.expects, self.at.position) {
            (Expects::Anything, _) => return None,
            (Expects::Had, _) => false,
            (Expects::Own(own), _) => {
                let is_here = |record: &Record| record.sequence_number == own && !broken::is(Part::FalseGap);
                !records.iter().any(is_here) && !self.is_retained(served_at)
            }
            (Expects::Lost, At(number) | After(number)) => {
                records.first().is_none_or(|first| first.sequence_number > number)
            }
            // Whoever asked for a time has had nothing yet that could be missed.
            (Expects::Lost, _) => false,
        };
        records.drain(..self.at.had_of(records));
        if lost && records.is_empty() && !ended {
            return None;
        }
        let comes_to_it = !lost && records.is_empty() && matches!(self.expects, Expects::Lost | Expects::Had);
        self.expects = if comes_to_it { Expects::Had } else { Expects::Anything };
        let to = records.first().map(|record| (record.sequence_number, record.arrived_at));
        lost.then_some(Gap { from: self.at, to })
    }

    /// Whether everything that arrived after what was read is certainly still there at a time: then nothing is missing,
    /// even where its own record is gone of age.
    fn is_retained(&self, now: Option<SystemTime>) -> bool {
        let since = now.zip(self.at.arrived_at).and_then(|(now, until)| now.duration_since(until).ok());
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
