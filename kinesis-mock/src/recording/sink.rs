//! A sink that keeps what it was given, and answers as it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kinesis_core::{Delivery, Error, Outcome, Outcomes, PartitionKey, Record, Result, SequenceNumber, ShardId, Sink};
use tokio::sync::Notify;

/// Takes everything and keeps it, in order. Clones share what they keep.
///
/// Unless it is told otherwise it answers [`Outcome::Delivered`]. Answers that are told are used up one a delivery, in
/// their order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// use kinesis_core::{Delivery, Outcome, Record, SequenceNumber, Sink, StreamId};
/// use kinesis_mock::RecordingSink;
///
/// let sink = RecordingSink::new();
/// sink.answer_next(Outcome::Retry);
/// let records = vec![Record::new(SequenceNumber::from(1), "key", "data")];
/// let delivery = Delivery::new(StreamId::new("orders"), "shardId-000000000000", "audit", records.clone());
/// sink.deliver(&delivery).await?;
/// sink.deliver(&delivery).await?;
/// assert_eq!(sink.deliveries().len(), 2);
/// assert_eq!(sink.records(), records);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordingSink {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    deliveries: Vec<Delivery>,
    /// What was answered with `Delivered`, repeats included.
    delivered: Vec<(ShardId, Record)>,
    answers: VecDeque<Answer>,
}

#[derive(Debug)]
enum Answer {
    All(Outcome),
    Each(Vec<Outcome>),
    Fail(Error),
}

impl RecordingSink {
    /// A sink that was given nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a delivery to come with this outcome for every record.
    pub fn answer_next(&self, outcome: Outcome) {
        self.kept().answers.push_back(Answer::All(outcome));
    }

    /// Answers a delivery to come with these outcomes, record by record; what they do not reach is left unmarked.
    pub fn answer_each(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.kept().answers.push_back(Answer::Each(outcomes.into_iter().collect()));
    }

    /// Answers a delivery to come with an error.
    pub fn fail_next(&self, error: Error) {
        self.kept().answers.push_back(Answer::Fail(error));
    }

    /// Every delivery so far, whatever was answered.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.kept().deliveries.clone()
    }

    /// Every record that was answered with [`Outcome::Delivered`], in order, repeats included.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.kept().delivered.iter().map(|(_, record)| record.clone()).collect()
    }

    /// The delivered records of each key of each shard, in the order in which each was first delivered.
    #[must_use]
    pub fn first_deliveries(&self) -> BTreeMap<(ShardId, PartitionKey), Vec<SequenceNumber>> {
        let mut seen = BTreeSet::new();
        let mut firsts: BTreeMap<_, Vec<SequenceNumber>> = BTreeMap::new();
        for (shard, record) in &self.kept().delivered {
            if seen.insert((shard.clone(), record.sequence_number)) {
                let key = (shard.clone(), record.partition_key.clone());
                firsts.entry(key).or_default().push(record.sequence_number);
            }
        }
        firsts
    }

    /// How many different records were delivered.
    #[must_use]
    pub fn distinct(&self) -> usize {
        let kept = self.kept();
        let different: BTreeSet<_> =
            kept.delivered.iter().map(|(shard, record)| (shard, record.sequence_number)).collect();
        different.len()
    }

    /// Waits until so many different records were delivered.
    ///
    /// # Cancel safety
    ///
    /// Waiting takes nothing away: it can be dropped and begun anew.
    pub async fn wait_for(&self, records: usize) {
        loop {
            // Registered before looking, so that what comes in between wakes it.
            let more = self.shared.more.notified();
            if self.distinct() >= records {
                return;
            }
            more.await;
        }
    }

    /// Checks that each of these payloads was delivered at least once, and no other.
    ///
    /// # Panics
    ///
    /// Naming the first payload that is missing or was never put.
    pub fn assert_payloads<T: AsRef<[u8]>>(&self, wanted: impl IntoIterator<Item = T>) {
        let wanted: BTreeSet<Vec<u8>> = wanted.into_iter().map(|data| data.as_ref().to_vec()).collect();
        let came: BTreeSet<Vec<u8>> = self.kept().delivered.iter().map(|(_, record)| record.data.to_vec()).collect();
        let text = |data: Option<&Vec<u8>>| data.map(|data| String::from_utf8_lossy(data).into_owned());
        let (missing, strange) = (wanted.difference(&came).next(), came.difference(&wanted).next());
        assert!(
            missing.is_none() && strange.is_none(),
            "{} of {} payloads were delivered; missing: {:?}, never put: {:?}",
            came.len(),
            wanted.len(),
            text(missing),
            text(strange),
        );
    }

    /// Checks that the first deliveries of each key came in the order of the shard.
    ///
    /// # Panics
    ///
    /// Naming the shard, the key and the order in which its records came.
    pub fn assert_key_order(&self) {
        for ((shard, key), numbers) in self.first_deliveries() {
            assert!(numbers.is_sorted(), "the records of {key:?} on {shard} were first delivered as {numbers:?}");
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A test that panics while it looks has failed already; the others may go on.
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for RecordingSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let mut kept = self.kept();
        kept.deliveries.push(delivery.clone());
        let outcomes = match kept.answers.pop_front().unwrap_or(Answer::All(Outcome::Delivered)) {
            Answer::All(outcome) => Outcomes::all(delivery.len(), outcome),
            Answer::Each(each) => {
                let unmarked = std::iter::repeat(Outcome::Retry);
                each.into_iter().chain(unmarked).take(delivery.len()).collect()
            }
            Answer::Fail(error) => return Err(error),
        };
        for (record, outcome) in delivery.records().zip(outcomes.iter()) {
            if *outcome == Outcome::Delivered {
                kept.delivered.push((delivery.shard().clone(), record.clone()));
            }
        }
        drop(kept);
        self.shared.more.notify_waiters();
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::StreamId;

    fn delivery(numbers: &[u64]) -> Delivery {
        let record = |n: &u64| Record::new(SequenceNumber::from(*n), "key", format!("{n}"));
        Delivery::new(StreamId::new("s"), "0", "x", numbers.iter().map(record).collect())
    }

    #[tokio::test]
    async fn answers_are_used_up_one_a_delivery() {
        let sink = RecordingSink::new();
        sink.answer_each([Outcome::Delivered]);
        sink.fail_next(Error::transient("told to"));
        sink.answer_next(Outcome::rejected("no"));
        let all = delivery(&[1, 2]);
        assert_eq!(sink.deliver(&all).await.unwrap().get(1), Some(&Outcome::Retry));
        assert!(sink.deliver(&all).await.is_err());
        assert_eq!(sink.deliver(&all).await.unwrap(), Outcomes::all(2, Outcome::rejected("no")));
        assert!(sink.deliver(&all).await.unwrap().all_delivered());
        assert_eq!((sink.deliveries().len(), sink.records().len(), sink.distinct()), (4, 3, 2));
        sink.assert_payloads(["1", "2"]);
        sink.assert_key_order();
    }

    #[tokio::test]
    #[should_panic(expected = "the records of \"key\" on 0 were first delivered as [2, 1]")]
    async fn another_order_is_found_out() {
        let sink = RecordingSink::new();
        for n in [2, 1, 2] {
            sink.deliver(&delivery(&[n])).await.unwrap();
        }
        sink.assert_key_order();
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_of_so_many_different_records() {
        let sink = RecordingSink::new();
        let waiting = tokio::spawn({
            let sink = sink.clone();
            async move { sink.wait_for(2).await }
        });
        for n in [1, 1] {
            sink.deliver(&delivery(&[n])).await.unwrap();
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
        }
        sink.deliver(&delivery(&[2])).await.unwrap();
        waiting.await.unwrap();
    }
}
