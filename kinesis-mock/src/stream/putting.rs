//! How records come into the stream.

use bytes::Bytes;
#[cfg(feature = "wire")]
use kinesis_core::ErrorKind;
use kinesis_core::{Error, PartitionKey, Result, SequenceNumber, ShardId};
#[cfg(feature = "wire")]
use tokio::time::Instant;

use super::{MemoryStream, NewRecord};

impl MemoryStream {
    /// Puts a record on the shard of its partition key; answers where it went.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for a key or payload that the service would refuse, and when the
    /// stream was [finished](Self::finish).
    pub fn put(
        &self,
        partition_key: impl Into<PartitionKey>,
        data: impl Into<Bytes>,
    ) -> Result<(ShardId, SequenceNumber)> {
        self.put_record(NewRecord::new(partition_key, data))
    }

    /// Puts a record; answers where it went.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn put_record(&self, record: NewRecord) -> Result<(ShardId, SequenceNumber)> {
        record.check(self.settings().max_record_size)?;
        let put = self.with_log(|log, now| log.put(record, now))?;
        self.shared.changed.notify_waiters();
        Ok(put)
    }

    /// Puts many records in this order, all at one instant; answers where each went.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); then none of them was put.
    pub fn put_all<R: Into<NewRecord>>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Vec<(ShardId, SequenceNumber)>> {
        // Collected first: an iterator of the caller's must not run under the lock.
        let records: Vec<NewRecord> = records.into_iter().map(Into::into).collect();
        for (index, record) in records.iter().enumerate() {
            let check = record.check(self.settings().max_record_size);
            check.map_err(|error| Error::invalid(format!("record {index}: {error}")))?;
        }
        let put = self
            .with_log(|log, now| records.into_iter().map(|record| log.put(record, now)).collect::<Result<Vec<_>>>())?;
        self.shared.changed.notify_waiters();
        Ok(put)
    }

    /// Puts many records in this order within the write limits of their shards; answers what became of each.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); then none of them was put. Only throttling refuses a record alone.
    #[cfg(feature = "wire")]
    pub(crate) fn put_each(&self, records: Vec<NewRecord>) -> Result<Vec<Result<(ShardId, SequenceNumber)>>> {
        let settings = self.settings();
        for (index, record) in records.iter().enumerate() {
            let check = record.check(settings.max_record_size);
            check.map_err(|error| Error::invalid(format!("record {index}: {error}")))?;
        }
        let instant = Instant::now();
        let put = self.with_log(|log, now| {
            let one = |record: NewRecord| {
                if let Some(limits) = &settings.write_limits {
                    match log.admit(&record, limits, instant) {
                        Ok(()) => {}
                        Err(error) if matches!(error.kind(), ErrorKind::Throttled { .. }) => return Ok(Err(error)),
                        Err(error) => return Err(error),
                    }
                }
                log.put(record, now).map(Ok)
            };
            records.into_iter().map(one).collect::<Result<Vec<_>>>()
        })?;
        self.shared.changed.notify_waiters();
        Ok(put)
    }
}
