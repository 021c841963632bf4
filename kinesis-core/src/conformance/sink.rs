//! The suite for sinks: its harness, and the six checks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::check::{Bench, Broken, Case, Kept, Need, checks, ensure, run};
use super::eventually::{eventually, poll_times};
use super::report::Report;
use crate::error::Result;
use crate::record::{Record, SequenceNumber};
use crate::shard::StreamId;
use crate::sink::{Delivery, Outcome, Outcomes, Sink};

/// What the suite needs besides the sink: a look at what arrived behind it.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The sink under test. Called once a check.
    fn sink(&self) -> Arc<dyn Sink>;

    /// What this harness can do. Default: nothing.
    fn caps(&self) -> Caps {
        Caps::none()
    }

    /// How long to try again until records are delivered or seen. Default 10 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// The payloads that arrived behind the sink so far, in their order, repeats included. All payloads of the suite are
    /// JSON texts.
    async fn arrived(&self) -> Vec<Bytes>;

    /// Stops what stands behind the sink and starts it anew, with whatever it has made durable.
    async fn restart(&self) {
        panic!("the harness declares `restart` and has no such method");
    }

    /// Makes what stands behind the sink refuse the next request, in a way that allows another try.
    async fn refuse(&self) {
        panic!("the harness declares `faults` and has no `refuse`");
    }
}

/// What a harness for sinks can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// [`Harness::restart`] works.
    pub restart: bool,
    /// [`Harness::refuse`] works.
    pub faults: bool,
}

impl Caps {
    /// Neither restart nor faults.
    #[must_use]
    pub const fn none() -> Self {
        Self { restart: false, faults: false }
    }

    /// Declares [`restart`](Self::restart).
    #[must_use]
    pub const fn with_restart(self) -> Self {
        Self { restart: true, ..self }
    }

    /// Declares [`faults`](Self::faults).
    #[must_use]
    pub const fn with_faults(self) -> Self {
        Self { faults: true, ..self }
    }
}

checks! { "sink", Rig;
    N1 as_many_outcomes_as_records: "the outcomes are as many as the records";
    N2 nothing_in_nothing_out: "an empty delivery has empty outcomes, and nothing arrives";
    N3 the_same_delivery_twice: "a delivery may come twice, with the same id: the second time it is delivered too";
    N4 order_within_a_key: "records of one key arrive in their order, and none of them is delivered past one that is to be \
        tried again";
    N5 [Restart] delivered_is_for_good: "what was delivered is still there after the receiver has been restarted";
    N6 no_answer_of_another_attempt: "a delivery that was dropped half-way never answers for a later one: what is delivered \
        has arrived";
}

/// One fresh harness and its sink.
pub(super) struct Rig {
    sink: Arc<dyn Sink>,
    harness: Box<dyn Harness>,
}

impl Bench for Rig {
    fn meets(&self, need: Need) -> bool {
        match need {
            Need::Restart => self.harness.caps().restart,
            Need::Faults => self.harness.caps().faults,
            _ => true,
        }
    }

    fn limit(&self) -> Duration {
        self.harness.patience() * 20
    }
}

pub(super) async fn report<H: Harness>(factory: impl AsyncFn() -> H) -> Report {
    let rig = async |_: &Case<Rig>| {
        let harness = factory().await;
        Rig { sink: harness.sink(), harness: Box::new(harness) }
    };
    run("sink", CHECKS.iter(), rig).await
}

/// Numbered records, spread over `keys`; the payload is the number and the key.
fn records(numbers: std::ops::Range<u64>, keys: u64) -> Vec<Record> {
    let record = |n: u64| {
        let key = format!("key-{}", n % keys);
        let data = format!(r#"{{"key":"{key}","n":{n}}}"#);
        Record::new(SequenceNumber::from(n), key, data)
    };
    numbers.map(record).collect()
}

fn delivery(records: Vec<Record>) -> Delivery {
    Delivery::new(StreamId::new("conformance"), "shardId-000000000000", "conformance", records)
}

impl Rig {
    /// Delivers as a pipeline does: what was not taken is tried again, and with it what follows it in its key.
    async fn deliver_all(&self, records: Vec<Record>) -> Kept {
        let mut left = records;
        let done = eventually(self.harness.patience(), async || {
            left = match self.sink.deliver(&delivery(left.clone())).await {
                Ok(outcomes) => undelivered(&left, &outcomes),
                Err(_) => left.clone(),
            };
            left.is_empty().then_some(())
        });
        done.await.ok_or_else(|| {
            Broken::new(format!("{} records could not be delivered, the first is {:?}", left.len(), left[0]))
        })
    }

    /// Waits until all of these have arrived.
    async fn expect(&self, records: &[Record]) -> Kept<Vec<Bytes>> {
        let mut arrived = Vec::new();
        let all = eventually(self.harness.patience(), async || {
            arrived = self.harness.arrived().await;
            records.iter().all(|record| arrived.contains(&record.data)).then_some(())
        });
        let all = all.await;
        let missing = records.iter().find(|record| !arrived.contains(&record.data));
        ensure!(all.is_some(), "delivered, and did not arrive: {missing:?}; {} payloads did", arrived.len());
        Ok(arrived)
    }
}

/// What a pipeline delivers again. A record that is rejected is settled too, but the suite sends none to reject.
fn undelivered(records: &[Record], outcomes: &Outcomes) -> Vec<Record> {
    let mut held: Vec<&Record> = Vec::new();
    for (nth, record) in records.iter().enumerate() {
        let behind = held.iter().any(|before| before.partition_key == record.partition_key);
        if behind || outcomes.get(nth) != Some(&Outcome::Delivered) {
            held.push(record);
        }
    }
    held.into_iter().cloned().collect()
}

async fn as_many_outcomes_as_records(rig: Rig) -> Kept {
    for (len, refuse) in [(1, false), (2, false), (7, false), (100, false), (3, true)] {
        if refuse && rig.harness.caps().faults {
            rig.harness.refuse().await;
        }
        // An error is an answer for all of them.
        let Ok(outcomes) = rig.sink.deliver(&delivery(records(0..len, 3))).await else { continue };
        ensure!(outcomes.len() as u64 == len, "{} outcomes for {len} records", outcomes.len());
    }
    Ok(())
}

async fn nothing_in_nothing_out(rig: Rig) -> Kept {
    let outcomes = rig.sink.deliver(&delivery(Vec::new())).await?;
    ensure!(outcomes.is_empty(), "{} outcomes for no record", outcomes.len());
    let arrived = rig.harness.arrived().await;
    ensure!(arrived.is_empty(), "of an empty delivery there arrived {arrived:?}");
    Ok(())
}

async fn the_same_delivery_twice(rig: Rig) -> Kept {
    let records = records(0..6, 2);
    let ids = [delivery(records.clone()).id(), delivery(records.clone()).id()];
    ensure!(ids[0] == ids[1], "the same delivery has two ids, {} and {}", ids[0], ids[1]);
    for time in ["first", "second"] {
        rig.deliver_all(records.clone()).await.map_err(|broken| broken.when(format!("the {time} time")))?;
        rig.expect(&records).await?;
    }
    Ok(())
}

async fn order_within_a_key(rig: Rig) -> Kept {
    let all = records(0..60, 3);
    for (nth, some) in all.chunks(20).enumerate() {
        if nth == 1 && rig.harness.caps().faults {
            rig.harness.refuse().await;
        }
        if let Ok(outcomes) = rig.sink.deliver(&delivery(some.to_vec())).await {
            none_is_overtaken(some, &outcomes)?;
            rig.deliver_all(undelivered(some, &outcomes)).await?;
        } else {
            rig.deliver_all(some.to_vec()).await?;
        }
    }
    let arrived = rig.expect(&all).await?;
    let mut firsts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for record in &all {
        let at = arrived.iter().position(|data| *data == record.data).unwrap_or(usize::MAX);
        firsts.entry(&record.partition_key).or_default().push(at);
    }
    for (key, places) in firsts {
        ensure!(places.is_sorted(), "the records of {key} arrived at the places {places:?}");
    }
    Ok(())
}

/// Within a key, nothing is delivered behind a record that is to be tried again: it would come first in the end.
fn none_is_overtaken(records: &[Record], outcomes: &Outcomes) -> Kept {
    let again = |nth: usize| !matches!(outcomes.get(nth), Some(Outcome::Delivered | Outcome::Rejected { .. }));
    for (nth, record) in records.iter().enumerate() {
        let held = (0..nth).find(|before| again(*before) && records[*before].partition_key == record.partition_key);
        let overtaken = held.filter(|_| outcomes.get(nth) == Some(&Outcome::Delivered));
        ensure!(overtaken.is_none(), "record {nth} was delivered, record {overtaken:?} of the same key was not");
    }
    Ok(())
}

async fn delivered_is_for_good(rig: Rig) -> Kept {
    let records = records(0..10, 3);
    rig.deliver_all(records.clone()).await?;
    rig.harness.restart().await;
    rig.expect(&records).await.map_err(|broken| broken.when("after a restart"))?;
    Ok(())
}

async fn no_answer_of_another_attempt(rig: Rig) -> Kept {
    for polls in 0..8u64 {
        let dropped = delivery(records(polls * 100..polls * 100 + 3, 1));
        let _: Option<Result<Outcomes>> = poll_times(polls as usize, rig.sink.deliver(&dropped)).await;
        let refused = rig.harness.caps().faults && polls % 2 == 1;
        if refused {
            rig.harness.refuse().await;
        }
        let later = records(polls * 100 + 50..polls * 100 + 53, 1);
        let Ok(outcomes) = rig.sink.deliver(&delivery(later.clone())).await else { continue };
        let delivered: Vec<Record> = later
            .iter()
            .zip(outcomes.iter())
            .filter(|(_, o)| **o == Outcome::Delivered)
            .map(|(r, _)| r.clone())
            .collect();
        rig.expect(&delivered).await.map_err(|broken| broken.when(format!("after a drop at poll {polls}")))?;
    }
    Ok(())
}
