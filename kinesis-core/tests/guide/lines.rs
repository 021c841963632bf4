// The stream that the guide's examples read: records in memory, in one shard or in the two that it is split into. Included
// by the examples, which compile it alone, so it imports what it needs.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use kinesis_core::{
    Batch, Error, Record, Result, SequenceNumber, Shard, ShardEnd, ShardId, ShardReader, StartPosition, StreamId,
    StreamSource,
};

/// Records in memory. A record put the nth second arrives in the nth second after 1970.
#[derive(Debug, Clone)]
pub struct Lines {
    id: StreamId,
    shards: Arc<Mutex<Vec<(Shard, Vec<Record>)>>>,
}

impl Lines {
    /// One open shard, "0", without records.
    pub fn new() -> Self {
        Self { id: StreamId::new("lines"), shards: Arc::new(Mutex::new(vec![(Shard::new("0"), Vec::new())])) }
    }

    /// Puts a record into the open shard of its key.
    pub fn put(&self, key: &str, data: &str) -> SequenceNumber {
        let mut shards = self.shards.lock().unwrap();
        let nth = shards.iter().map(|(_, records)| records.len() as u64).sum::<u64>() + 1;
        let mut open: Vec<_> = shards.iter_mut().filter(|(shard, _)| !shard.closed).collect();
        let place = key.bytes().map(usize::from).sum::<usize>() % open.len();
        let record = Record::new(SequenceNumber::from(nth), key, data.to_owned());
        open[place].1.push(record.with_arrived_at(SystemTime::UNIX_EPOCH + Duration::from_secs(nth)));
        SequenceNumber::from(nth)
    }

    /// Closes shard "0"; "1" and "2" carry on.
    pub fn split(&self) {
        self.finish();
        for child in ["1", "2"] {
            let child = Shard::new(child).with_parents([ShardId::from("0")]);
            self.shards.lock().unwrap().push((child, Vec::new()));
        }
    }

    /// Closes every shard: a pipeline that has read them ends.
    pub fn finish(&self) {
        self.shards.lock().unwrap().iter_mut().for_each(|(shard, _)| shard.closed = true);
    }
}

#[async_trait]
impl StreamSource for Lines {
    fn stream(&self) -> &StreamId {
        &self.id
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(self.shards.lock().unwrap().iter().map(|(shard, _)| shard.clone()).collect())
    }
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let shards = self.shards.lock().unwrap();
        let found = shards.iter().position(|(known, _)| known.id == *shard);
        let nth = found.ok_or_else(|| Error::not_found("there is no such shard").on_shard(shard))?;
        let next = from.index_in(&shards[nth].1);
        Ok(Box::new(LinesReader { lines: self.clone(), nth, next }))
    }
}

#[derive(Debug)]
struct LinesReader {
    lines: Lines,
    nth: usize,
    next: usize,
}

#[async_trait]
impl ShardReader for LinesReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let shards = self.lines.shards.lock().unwrap();
        let (shard, all) = &shards[self.nth];
        let records: Vec<_> = all[self.next..].iter().take(max.get()).cloned().collect();
        self.next += records.len();
        let behind = if self.next == all.len() { Duration::ZERO } else { Duration::from_secs(1) };
        let batch = Batch::new(records).with_behind_latest(behind);
        if self.next < all.len() || !shard.closed {
            return Ok(batch);
        }
        // The end comes with the last records, and again whenever it is asked for.
        let children = shards.iter().filter(|(child, _)| child.parents.contains(&shard.id));
        Ok(batch.with_end(ShardEnd::new(children.map(|(child, _)| child.clone()).collect())))
    }
}
