//! What the stories of whole pipelines share: a sink whose mood is changed from outside, and a run that goes on beside the
//! story.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{
    Delivery, Error, Handle, LaneState, Outcome, Outcomes, PipelineBuilder, Result, ShardId, Sink, StartPosition,
    Status, Subscription, Summary,
};
use kinesis_mock::RecordingSink;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What a [`Subscriber`] does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes everything.
    Takes,
    /// It does not answer until its mood changes.
    Hangs,
    /// It answers that it failed.
    Fails,
    /// It rejects everything.
    Rejects,
    /// It takes everything, after a while.
    Slow(Duration),
}

/// A sink that takes what it is given and remembers it, as its mood has it. Clones share their mood.
#[derive(Debug, Clone)]
pub struct Subscriber {
    taken: RecordingSink,
    mood: watch::Sender<Mood>,
    asked: watch::Sender<Vec<String>>,
}

impl Subscriber {
    /// A sink in this mood.
    #[must_use]
    pub fn new(mood: Mood) -> Self {
        Self { taken: RecordingSink::new(), mood: watch::Sender::new(mood), asked: watch::Sender::default() }
    }

    /// Changes the mood; whoever waits for an answer gets one.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// What it has taken.
    #[must_use]
    pub fn taken(&self) -> &RecordingSink {
        &self.taken
    }

    /// The payloads that it has taken, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.taken.records().iter().map(|record| text(&record.data)).collect()
    }

    /// The payloads that it has taken of records whose key begins like this, in order.
    #[must_use]
    pub fn texts_of(&self, key: &str) -> Vec<String> {
        let records = self.taken.records().into_iter().filter(|record| record.partition_key.starts_with(key));
        records.map(|record| text(&record.data)).collect()
    }

    /// The payloads that it was asked to take, each as often as it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// Waits until it was asked so many times.
    ///
    /// # Panics
    ///
    /// When that takes an hour.
    pub async fn is_asked(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        let so_many = soon(asked.wait_for(|asked| asked.len() >= times)).await;
        assert!(so_many.is_ok(), "the sink is gone");
    }

    /// Waits until it has taken so many different records.
    ///
    /// # Panics
    ///
    /// When that takes an hour.
    pub async fn takes(&self, records: usize) {
        let came = timeout(HOUR, self.taken.wait_for(records)).await;
        assert!(came.is_ok(), "{} of {records} records came: {:?}", self.taken.distinct(), self.texts());
    }
}

#[async_trait]
impl Sink for Subscriber {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        self.asked.send_modify(|asked| asked.extend(delivery.records().map(|record| text(&record.data))));
        let mut mood = self.mood.subscribe();
        let mood = *mood.wait_for(|mood| *mood != Mood::Hangs).await.map_err(|_| Error::transient("gone"))?;
        match mood {
            Mood::Fails => return Err(Error::transient("the subscriber is in a bad mood")),
            Mood::Rejects => return Ok(Outcomes::all(delivery.len(), Outcome::rejected("not this"))),
            Mood::Slow(wait) => sleep(wait).await,
            Mood::Takes | Mood::Hangs => {}
        }
        self.taken.deliver(delivery).await
    }
}

/// A pipeline that runs beside the story.
#[derive(Debug)]
pub struct Running {
    /// Its handle.
    pub handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Summary>>,
}

impl Running {
    /// Builds and starts a pipeline.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    #[must_use]
    pub fn start(builder: PipelineBuilder) -> Self {
        let pipeline = builder.build().expect("the story's pipeline can be built");
        let handle = pipeline.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(pipeline.run_until(async { drop(stopped.await) }));
        Self { handle, stop, task }
    }

    /// Stops it in order.
    ///
    /// # Panics
    ///
    /// When it failed, or does not end.
    pub async fn stop(self) -> Summary {
        let _ = self.stop.send(());
        soon(self.task).await.expect("the pipeline does not panic").expect("the pipeline does not fail")
    }

    /// Stops it at once, as a crash does.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// When it failed, or does not end.
    pub async fn ends(self) -> Summary {
        let summary = soon(self.task).await.expect("the pipeline does not panic").expect("the pipeline does not fail");
        drop(self.stop);
        summary
    }

    /// How it stands.
    ///
    /// # Panics
    ///
    /// When it has stopped.
    pub async fn status(&self) -> Status {
        soon(self.handle.status()).await.expect("the pipeline runs")
    }

    /// What a subscription does on each shard.
    pub async fn states(&self, name: &str) -> BTreeMap<ShardId, LaneState> {
        let status = self.status().await;
        let lanes = status.subscriptions.get(name).map(|of_name| of_name.shards.clone()).unwrap_or_default();
        lanes.into_iter().map(|(shard, lane)| (shard, lane.state)).collect()
    }

    /// Waits until a subscription does nothing but one of these on every shard that is held, and is on one at least.
    ///
    /// # Panics
    ///
    /// When that takes an hour.
    pub async fn is_everywhere(&self, name: &str, wanted: &[LaneState]) {
        let mut last = BTreeMap::new();
        let reached = timeout(HOUR, async {
            loop {
                last = self.states(name).await;
                if !last.is_empty() && last.values().all(|state| wanted.contains(state)) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(reached.await.is_ok(), "{name} should be {wanted:?} and is {last:?}");
    }
}

/// Longer than anything in a story may take.
const HOUR: Duration = Duration::from_secs(3_600);

/// Waits for what has to come within an hour.
///
/// # Panics
///
/// When it does not.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(HOUR, what).await.expect("it takes less than an hour")
}

/// A subscription that starts at the horizon.
pub fn from_start(name: &str, sink: &Subscriber) -> Subscription {
    Subscription::new(name, sink.clone()).start_at(StartPosition::TrimHorizon)
}

/// Numbered payloads of a few keys: `a0 b1 c2 a3` and so on.
pub fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = (String, String)> {
    range.map(|n| {
        let key = char::from(b'a' + (n % 8) as u8).to_string();
        (key.clone(), format!("{key}{n:05}"))
    })
}

/// The payloads of [`numbered`].
#[must_use]
pub fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    numbered(range).map(|(_, text)| text).collect()
}

/// What is missing, and what came more than once.
#[must_use]
pub fn differences(came: &[String], wanted: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut seen, mut twice) = (BTreeSet::new(), Vec::new());
    for text in came {
        if !seen.insert(text) {
            twice.push(text.clone());
        }
    }
    (wanted.iter().filter(|text| !seen.contains(text)).cloned().collect(), twice)
}

/// The texts sorted.
#[must_use]
pub fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
