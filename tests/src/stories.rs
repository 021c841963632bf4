//! What the stories of whole pipelines share: a sink whose mood is changed from outside, and a run that goes on beside the
//! story.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{
    Delivery, Error, Handle, LaneState, Outcome, Outcomes, PipelineBuilder, Record, Result, SequenceNumber, ShardId,
    Sink, StartPosition, Status, Subscription, Summary,
};
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
///
/// It remembers copies: whoever keeps a delivery keeps the memory that it counts against the budget.
#[derive(Debug, Clone)]
pub struct Subscriber {
    mood: watch::Sender<Mood>,
    asked: watch::Sender<Vec<String>>,
    taken: watch::Sender<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    records: Vec<(ShardId, Record)>,
    different: BTreeSet<(ShardId, SequenceNumber)>,
}

impl Subscriber {
    /// A sink in this mood.
    #[must_use]
    pub fn new(mood: Mood) -> Self {
        Self { mood: watch::Sender::new(mood), asked: watch::Sender::default(), taken: watch::Sender::default() }
    }

    /// Changes the mood; whoever waits for an answer gets one.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// What it has taken, in order, repeats included.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.taken.borrow().records.iter().map(|(_, record)| record.clone()).collect()
    }

    /// The payloads that it has taken, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.taken.borrow().records.iter().map(|(_, record)| text(&record.data)).collect()
    }

    /// The payloads that it has taken of records with this key, in order.
    #[must_use]
    pub fn texts_of(&self, key: &str) -> Vec<String> {
        let taken = self.taken.borrow();
        let of_key = taken.records.iter().filter(|(_, record)| &*record.partition_key == key);
        of_key.map(|(_, record)| text(&record.data)).collect()
    }

    /// The payloads and numbers of what it has taken from a shard, each once, in the order of the shard.
    #[must_use]
    pub fn taken_from(&self, shard: &ShardId) -> Vec<(SequenceNumber, String)> {
        let taken = self.taken.borrow();
        let of_shard = taken.records.iter().filter(|(own, _)| own == shard);
        let numbered: BTreeMap<_, _> =
            of_shard.map(|(_, record)| (record.sequence_number, text(&record.data))).collect();
        numbered.into_iter().collect()
    }

    /// The payloads that it was asked to take, each as often as it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// How many different records it has taken.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.taken.borrow().different.len()
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
        let mut taken = self.taken.subscribe();
        let came = timeout(HOUR, taken.wait_for(|taken| taken.different.len() >= records)).await.is_ok();
        assert!(came, "{} of {records} records came: {:?}", self.distinct(), self.texts());
    }

    /// Checks that the first deliveries of each key came in the order of the shard.
    ///
    /// # Panics
    ///
    /// Naming the record that came too late.
    pub fn assert_key_order(&self) {
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        for (shard, record) in &self.taken.borrow().records {
            let number = record.sequence_number;
            if seen.insert((shard.clone(), number)) {
                let before = last.insert((shard.clone(), record.partition_key.clone()), number);
                let key = &record.partition_key;
                assert!(
                    before.is_none_or(|before| before < number),
                    "{number} of {key} on {shard} came after {before:?}"
                );
            }
        }
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
        self.taken.send_modify(|taken| {
            for record in delivery.records() {
                taken.different.insert((delivery.shard().clone(), record.sequence_number));
                let mut copy = record.clone();
                copy.data = record.data.to_vec().into();
                taken.records.push((delivery.shard().clone(), copy));
            }
        });
        Ok(Outcomes::delivered(delivery.len()))
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
