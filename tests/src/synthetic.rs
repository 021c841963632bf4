//! A stream that makes its records up when they are read, each from its place alone: a million of them cost no memory, and
//! they can be read again and again.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::{
    Batch, Error, ErrorKind, PartitionKey, Record, Result, SequenceNumber, Shard, ShardEnd, ShardId, ShardReader,
    StartPosition, StreamId, StreamSource,
};
use tokio::time::Instant;

/// The largest answer in bytes, as Kinesis has it.
const MAX_ANSWER: usize = 10 << 20;
const ZEROS: &[u8] = &[0; 64 << 10];
/// How far apart the records of the backlog had arrived, where no rate tells.
const STEP: Duration = Duration::from_millis(1);

/// What comes behind the backlog.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Then {
    /// The end of every shard.
    Ends,
    /// Nothing, though the shards stay open.
    Idles,
    /// So many records a second, over all shards, on tokio's clock from the making of the stream on.
    Goes(u32),
}

/// What the stream is like.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many shards there are.
    pub shards: usize,
    /// How many records are there from the beginning, over all shards.
    pub backlog: u64,
    /// What comes behind them.
    pub then: Then,
    /// How many partition keys take turns, which are the channels too. A multiple of the shards keeps each in its shard.
    pub keys: usize,
    /// Whether every key comes in every shard, which a partition key would not, but what a channel is made of may.
    pub everywhere: bool,
    /// Bytes of a payload; at most 64 KiB unless `allocates`.
    pub payload: usize,
    /// Whether every payload is an allocation of its own, as one that came over the network would be. Otherwise all of
    /// them are the same static bytes.
    pub allocates: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { shards: 4, backlog: 0, then: Then::Ends, keys: 5_000, everywhere: false, payload: 200, allocates: false }
    }
}

/// A stream of made-up records. Clones are the same stream.
#[derive(Debug, Clone)]
pub struct Synthetic(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: StreamId,
    plan: Plan,
    shards: Vec<Shard>,
    keys: Vec<PartitionKey>,
    /// Of one shard.
    backlog: u64,
    /// Between two records of a shard.
    step: Duration,
    started: Instant,
    /// What the stream's clock showed then.
    start: SystemTime,
}

impl Synthetic {
    /// A stream whose clock starts now.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let step = match plan.then {
            Then::Goes(rate) => Duration::from_secs(plan.shards as u64) / rate,
            Then::Ends | Then::Idles => STEP,
        };
        Self(Arc::new(Inner {
            id: StreamId::new("synthetic"),
            shards: (0..plan.shards).map(|n| Shard::new(format!("shardId-{n:012}"))).collect(),
            keys: (0..plan.keys).map(|n| PartitionKey::from(format!("key-{n}"))).collect(),
            backlog: plan.backlog / plan.shards as u64,
            step,
            started: Instant::now(),
            // 2024-01-01T00:00:00Z: any date will do as long as it is always the same.
            start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200),
            plan,
        }))
    }

    /// What the stream's clock shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.0.start + self.0.started.elapsed()
    }

    /// How many records there are now, over all shards.
    #[must_use]
    pub fn put(&self) -> u64 {
        self.tip() * self.0.shards.len() as u64
    }

    /// How many records a shard has now.
    fn tip(&self) -> u64 {
        let since = match self.0.plan.then {
            Then::Goes(_) => self.0.started.elapsed().as_nanos() / self.0.step.as_nanos(),
            Then::Ends | Then::Idles => 0,
        };
        self.0.backlog + since as u64
    }

    fn arrived_at(&self, index: u64) -> SystemTime {
        let nanos = |records: u64| Duration::from_nanos(records * self.0.step.as_nanos() as u64);
        match (index + 1).checked_sub(self.0.backlog) {
            Some(after) => self.0.start + nanos(after),
            None => self.0.start - nanos(self.0.backlog - index - 1),
        }
    }

    /// The first record of a shard that arrives at `time` or later.
    fn index_at(&self, time: SystemTime) -> u64 {
        let steps = |distance: Duration| distance.as_nanos().div_ceil(self.0.step.as_nanos()) as u64;
        match time.duration_since(self.0.start) {
            Ok(after) => (self.0.backlog + steps(after)).saturating_sub(1),
            Err(before) => {
                let back = before.duration().as_nanos() / self.0.step.as_nanos();
                self.0.backlog.saturating_sub(1).saturating_sub(back as u64)
            }
        }
    }

    fn record(&self, shard: usize, index: u64) -> Record {
        let Plan { payload, allocates, everywhere, .. } = self.0.plan;
        let turn = if everywhere { index as usize } else { index as usize * self.0.shards.len() + shard };
        let key = self.0.keys[turn % self.0.keys.len()].clone();
        let data =
            if allocates { Bytes::from(vec![index as u8; payload]) } else { Bytes::from_static(&ZEROS[..payload]) };
        Record::new(number(index), key, data).with_arrived_at(self.arrived_at(index))
    }
}

fn number(index: u64) -> SequenceNumber {
    SequenceNumber::from(index + 1)
}

fn index_of(number: SequenceNumber) -> u64 {
    let digits = number.without_sub().to_string();
    digits.parse::<u64>().unwrap_or(u64::MAX).saturating_sub(1)
}

#[async_trait]
impl StreamSource for Synthetic {
    fn stream(&self) -> &StreamId {
        &self.0.id
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(self.0.shards.clone())
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let known = self.0.shards.iter().position(|known| known.id == *shard);
        let shard = known.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no shard {shard}")))?;
        let next = match from {
            StartPosition::TrimHorizon => 0,
            StartPosition::Latest => self.tip(),
            StartPosition::At(number) => index_of(number),
            StartPosition::After(number) => index_of(number).saturating_add(1),
            StartPosition::Timestamp(time) => self.index_at(time),
            _ => return Err(Error::unsupported(format!("{from} is not known here"))),
        };
        Ok(Box::new(Reader { stream: self.clone(), shard, next }))
    }
}

#[derive(Debug)]
struct Reader {
    stream: Synthetic,
    shard: usize,
    next: u64,
}

#[async_trait]
impl ShardReader for Reader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let (stream, tip) = (&self.stream, self.stream.tip());
        let most = max.get().min((MAX_ANSWER / stream.0.plan.payload.max(1)).max(1)) as u64;
        let to = self.next.saturating_add(most).min(tip).max(self.next);
        let records = (self.next..to).map(|index| stream.record(self.shard, index)).collect();
        let behind = match to.checked_sub(1) {
            Some(last) if to < tip => stream.arrived_at(tip - 1).duration_since(stream.arrived_at(last)),
            None if tip > 0 => stream.now().duration_since(stream.arrived_at(0)),
            _ => Ok(Duration::ZERO),
        };
        let mut batch = Batch::new(records).with_behind_latest(behind.unwrap_or_default()).with_served_at(stream.now());
        if to == self.next {
            batch = batch.with_resume(StartPosition::At(number(to)));
        }
        if stream.0.plan.then == Then::Ends && to >= tip {
            batch = batch.with_end(ShardEnd::default());
        }
        self.next = to;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StartPosition::{After, At, Latest, Timestamp, TrimHorizon};

    const MANY: NonZeroUsize = NonZeroUsize::MAX;

    fn paced() -> Synthetic {
        Synthetic::new(Plan { shards: 2, backlog: 20, then: Then::Goes(20), keys: 4, ..Plan::default() })
    }

    async fn read(stream: &Synthetic, from: StartPosition) -> Batch {
        let shard = ShardId::from("shardId-000000000001");
        let mut reader = stream.open_shard(&shard, from).await.expect("the shard exists");
        reader.next_batch(MANY).await.expect("reading does not fail")
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.records.iter().map(|record| index_of(record.sequence_number) + 1).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn records_come_at_their_rate_and_are_the_same_whenever_they_are_read() {
        let stream = paced();
        let before = read(&stream, TrimHorizon).await;
        assert_eq!(numbers(&before), (1..=10).collect::<Vec<_>>());
        tokio::time::advance(Duration::from_millis(250)).await;
        let after = read(&stream, TrimHorizon).await;
        assert_eq!((after.records.len(), &after.records[..10], stream.put()), (12, &before.records[..], 24));
        let arrived = |index: usize| after.records[index].arrived_at.expect("every record has a time");
        assert_eq!(arrived(11), stream.0.start + Duration::from_millis(200));
        assert_eq!(arrived(0), stream.0.start - Duration::from_millis(900));
        assert!(after.end.is_none() && after.behind_latest == Some(Duration::ZERO));
        let keys: Vec<&str> = after.records.iter().map(|record| record.partition_key.as_str()).take(3).collect();
        assert_eq!(keys, ["key-1", "key-3", "key-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn every_position_is_found_again() {
        let stream = paced();
        let arrived = |index| Timestamp(stream.arrived_at(index));
        for (from, first) in [(At(3u64.into()), 3), (After(3u64.into()), 4), (arrived(6), 7), (arrived(0), 1)] {
            assert_eq!(numbers(&read(&stream, from).await).first(), Some(&first), "{from}");
        }
        let early = Timestamp(stream.arrived_at(6) - Duration::from_nanos(1));
        assert_eq!(numbers(&read(&stream, early).await).first(), Some(&7));
        let late = Timestamp(stream.arrived_at(6) + Duration::from_nanos(1));
        assert_eq!(numbers(&read(&stream, late).await).first(), Some(&8));
        let tip = read(&stream, Latest).await;
        assert_eq!((numbers(&tip), tip.resume), (vec![], Some(At(11u64.into()))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_finite_ends_with_its_last_record_and_again_after_it() {
        let stream = Synthetic::new(Plan { backlog: 40, allocates: true, payload: 3, ..Plan::default() });
        let batch = read(&stream, TrimHorizon).await;
        assert_eq!((batch.records.len(), batch.end), (10, Some(ShardEnd::default())));
        assert_eq!(batch.records[7].data, [7u8, 7, 7][..]);
        assert_eq!(read(&stream, After(10u64.into())).await.end, Some(ShardEnd::default()));
        let two = NonZeroUsize::new(2).expect("two is not zero");
        let shard = ShardId::from("shardId-000000000000");
        let mut reader = stream.open_shard(&shard, TrimHorizon).await.expect("the shard exists");
        let short = reader.next_batch(two).await.expect("reading does not fail");
        assert_eq!((short.records.len(), short.end, short.behind_latest), (2, None, Some(8 * STEP)));
    }
}
