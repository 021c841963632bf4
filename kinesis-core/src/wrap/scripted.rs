//! A source for tests of what is put around a source: it answers from a script, and notes what it was asked and when.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::record::{Record, SequenceNumber};
use crate::shard::{Shard, ShardId, StartPosition, StreamId};
use crate::source::{Batch, ShardEnd, ShardReader, SourceCaps, StreamSource};

/// More records than any script has.
pub(crate) const MANY: NonZeroUsize = NonZeroUsize::new(10_000).expect("10,000 is not 0");

/// What a read answers; `None` never does.
pub(crate) type Answer = Option<Result<Batch>>;

/// A batch of records with these numbers and sizes of their payloads.
pub(crate) fn batch<const N: usize>(records: [(u64, usize); N]) -> Answer {
    let record = |(number, size)| Record::new(SequenceNumber::from(number), "key", vec![b'x'; size]);
    Some(Ok(Batch::new(records.map(record).into())))
}

pub(crate) fn empty() -> Answer {
    Some(Ok(Batch::empty()))
}

pub(crate) fn ends(children: impl IntoIterator<Item = Shard>) -> Answer {
    Some(Ok(Batch::empty().with_end(ShardEnd::new(children.into_iter().collect()))))
}

pub(crate) fn fails(error: Error) -> Answer {
    Some(Err(error))
}

pub(crate) fn hangs() -> Answer {
    None
}

/// A shard without a script answers empty for ever, and so does one whose script is at its end.
#[derive(Debug)]
pub(crate) struct Scripted {
    stream: StreamId,
    caps: SourceCaps,
    listings_take: Duration,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    shards: Mutex<Vec<Shard>>,
    answers: Mutex<BTreeMap<ShardId, VecDeque<Answer>>>,
    /// Taken by the next listings and openings, in turn.
    failures: Mutex<VecDeque<Error>>,
    log: Mutex<Vec<String>>,
}

impl Scripted {
    pub(crate) fn new<const N: usize>(shards: [&str; N]) -> Self {
        Self::listing(shards.map(Shard::new))
    }

    pub(crate) fn listing(shards: impl IntoIterator<Item = Shard>) -> Self {
        let state = State {
            started: Instant::now(),
            shards: Mutex::new(shards.into_iter().collect()),
            answers: Mutex::default(),
            failures: Mutex::default(),
            log: Mutex::default(),
        };
        Self {
            stream: StreamId::new("scripted"),
            caps: SourceCaps::log(),
            listings_take: Duration::ZERO,
            state: Arc::new(state),
        }
    }

    /// Adds the next answer of a shard.
    pub(crate) fn then(self, shard: &str, answer: Answer) -> Self {
        self.state.answers.lock().unwrap().entry(ShardId::from(shard)).or_default().push_back(answer);
        self
    }

    /// Fails the next listings and openings.
    pub(crate) fn fail_next(&self, errors: impl IntoIterator<Item = Error>) {
        self.state.failures.lock().unwrap().extend(errors);
    }

    pub(crate) fn with_caps(mut self, caps: SourceCaps) -> Self {
        self.caps = caps;
        self
    }

    /// Lists other shards from now on.
    pub(crate) fn relist(&self, shards: impl IntoIterator<Item = Shard>) {
        *self.state.shards.lock().unwrap() = shards.into_iter().collect();
    }

    /// Makes listings take their time, and tell what was so when they were asked.
    pub(crate) fn with_slow_listings(mut self, takes: Duration) -> Self {
        self.listings_take = takes;
        self
    }

    /// What was asked, each after the virtual millisecond when.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.log.lock().unwrap().clone()
    }
}

impl State {
    fn note(&self, what: &str) {
        let line = format!("{} {what}", self.started.elapsed().as_millis());
        self.log.lock().unwrap().push(line);
    }

    fn fail(&self) -> Result<()> {
        self.failures.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl StreamSource for Scripted {
    fn stream(&self) -> &StreamId {
        &self.stream
    }

    fn caps(&self) -> SourceCaps {
        self.caps
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        self.state.note("list");
        self.state.fail()?;
        let shards = self.state.shards.lock().unwrap().clone();
        tokio::time::sleep(self.listings_take).await;
        Ok(shards)
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let at = if from == StartPosition::TrimHorizon { String::new() } else { format!(" at {from}") };
        self.state.note(&format!("open {shard}{at}"));
        self.state.fail()?;
        if !self.state.shards.lock().unwrap().iter().any(|listed| listed.id == *shard) {
            return Err(Error::not_found("no such shard").on_shard(shard));
        }
        Ok(Box::new(ScriptedReader { shard: shard.clone(), state: Arc::clone(&self.state) }))
    }
}

#[derive(Debug)]
struct ScriptedReader {
    shard: ShardId,
    state: Arc<State>,
}

#[async_trait]
impl ShardReader for ScriptedReader {
    async fn next_batch(&mut self, _: NonZeroUsize) -> Result<Batch> {
        self.state.note(&format!("read {}", self.shard));
        let answer = self.state.answers.lock().unwrap().get_mut(&self.shard).and_then(VecDeque::pop_front);
        match answer {
            Some(Some(answer)) => answer,
            Some(None) => std::future::pending().await,
            None => Ok(Batch::empty()),
        }
    }
}
