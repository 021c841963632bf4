//! A cursor in one shard: an iterator while it lasts, and the position to make the next one from.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use aws_sdk_kinesis::types::ShardIteratorType;
use kinesis_core::{
    Batch, Error, Record, Result, SequenceNumber, ShardEnd, ShardId, ShardReader, StartPosition, StreamName, wall_clock,
};

use crate::classify::classify;
use crate::convert;
use crate::served_at::{ServedAt, date_of};

/// The most records that one call can ask for (API reference of `GetRecords`).
const MAX_RECORDS: usize = 10_000;

/// Reads one shard with `GetRecords`.
pub(crate) struct KinesisReader {
    client: Client,
    stream: StreamName,
    shard: ShardId,
    /// From where an iterator is made; moves with the records *read*, not with those that somebody has settled.
    position: StartPosition,
    iterator: Option<String>,
    /// No record was read yet, so that re-opening has to go by `position`.
    untouched: bool,
    /// Records of an answer that held more than it was asked for.
    surplus: VecDeque<Record>,
    behind_latest: Option<Duration>,
    /// When the last answer was given, by the clock of the service.
    served_at: Option<SystemTime>,
    end: Option<ShardEnd>,
}

impl KinesisReader {
    /// Opens a cursor. Only the tip costs a call: any other position is fixed by itself.
    pub(crate) async fn open(client: Client, stream: StreamName, shard: ShardId, from: StartPosition) -> Result<Self> {
        let mut reader = Self {
            client,
            stream,
            shard,
            position: from,
            iterator: None,
            untouched: true,
            surplus: VecDeque::new(),
            behind_latest: None,
            served_at: None,
            end: None,
        };
        if from == StartPosition::Latest {
            reader.pin_latest().await?;
        }
        Ok(reader)
    }

    /// Gets an iterator at the tip, and the instant to go back to should it expire before the first record.
    async fn pin_latest(&mut self) -> Result<()> {
        let before = wall_clock::now();
        let served_at = ServedAt::default();
        let request = self.iterator_request(ShardIteratorType::Latest).customize().interceptor(served_at.clone());
        let made = request.send().await.map_err(|error| self.error("GetShardIterator", error))?;
        self.position = StartPosition::Timestamp(served_at.get().unwrap_or(before));
        self.iterator = made.shard_iterator;
        Ok(())
    }

    /// Makes an iterator at the position; none when that is a time to come, which the service refuses.
    async fn make_iterator(&mut self) -> Result<Option<String>> {
        let request = match self.position {
            StartPosition::At(number) if number.sub() == 0 => {
                self.numbered_request(ShardIteratorType::AtSequenceNumber, number)
            }
            // A plain record has the sub-number 0, so from any other on the next record is the one after.
            StartPosition::At(number) | StartPosition::After(number) => {
                self.numbered_request(ShardIteratorType::AfterSequenceNumber, number)
            }
            StartPosition::Timestamp(time) => {
                self.iterator_request(ShardIteratorType::AtTimestamp).timestamp(time.into())
            }
            _ => self.iterator_request(ShardIteratorType::TrimHorizon),
        };
        let made = match request.send().await {
            Ok(made) => made,
            Err(error) if self.is_too_early(&error) => return Ok(None),
            Err(error) => return Err(self.error("GetShardIterator", error)),
        };
        self.iterator = made.shard_iterator;
        let missing = || Error::contract("GetShardIterator answered without an iterator").on_shard(&self.shard);
        self.iterator.clone().map(Some).ok_or_else(missing)
    }

    /// Whether an iterator was refused because it is to start at a time to come, by the clock of the service.
    fn is_too_early(&self, error: &SdkError<GetShardIteratorError>) -> bool {
        let refused = error.as_service_error().is_some_and(GetShardIteratorError::is_invalid_argument_exception);
        let date = || error.raw_response().and_then(date_of).unwrap_or_else(wall_clock::now);
        matches!(self.position, StartPosition::Timestamp(time) if refused && time > date())
    }

    fn iterator_request(&self, from: ShardIteratorType) -> GetShardIteratorFluentBuilder {
        let request = self.client.get_shard_iterator();
        request.stream_name(self.stream.as_str()).shard_id(self.shard.as_str()).shard_iterator_type(from)
    }

    fn numbered_request(&self, from: ShardIteratorType, number: SequenceNumber) -> GetShardIteratorFluentBuilder {
        self.iterator_request(from).starting_sequence_number(number.without_sub().to_string())
    }

    /// Asks the service once, or twice when the iterator turns out to be stale; says when it answered. None when it is too
    /// early to ask.
    async fn fetch(&mut self, max: NonZeroUsize) -> Result<Option<(GetRecordsOutput, Option<SystemTime>)>> {
        let limit = max.get().min(MAX_RECORDS) as i32;
        let mut remade = false;
        loop {
            let iterator = match &self.iterator {
                Some(iterator) => iterator.clone(),
                None => match self.make_iterator().await? {
                    Some(iterator) => iterator,
                    None => return Ok(None),
                },
            };
            let served_at = ServedAt::default();
            let request = self.client.get_records().shard_iterator(iterator).limit(limit);
            match request.customize().interceptor(served_at.clone()).send().await {
                Ok(output) => return Ok(Some((output, served_at.get()))),
                Err(error) => {
                    let stale = error.as_service_error().is_some_and(is_stale);
                    if stale {
                        self.iterator = None;
                    }
                    if !stale || mem::replace(&mut remade, true) {
                        return Err(self.error("GetRecords", error));
                    }
                }
            }
        }
    }

    /// Moves the cursor behind an answer. Nothing is moved when any part of it is broken.
    fn accept(&mut self, output: GetRecordsOutput, served_at: Option<SystemTime>) -> Result<()> {
        let on_shard = |error: Error| error.on_shard(&self.shard);
        let records: Vec<Record> =
            output.records.into_iter().map(convert::record).collect::<Result<_>>().map_err(on_shard)?;
        let children = output.child_shards.unwrap_or_default();
        let children = children.iter().map(convert::child).collect::<Result<Vec<_>>>().map_err(on_shard)?;
        if let Some(last) = records.last() {
            self.position = StartPosition::After(last.sequence_number);
            self.untouched = false;
        }
        self.behind_latest = output.millis_behind_latest.map(|millis| Duration::from_millis(millis.max(0) as u64));
        self.served_at = served_at;
        self.end = output.next_shard_iterator.is_none().then(|| ShardEnd::new(children));
        self.iterator = output.next_shard_iterator;
        self.surplus = records.into();
        Ok(())
    }

    /// Hands out what was read, up to `max`.
    fn hand_out(&mut self, max: NonZeroUsize) -> Batch {
        let records = match self.surplus.len() > max.get() {
            true => self.surplus.drain(..max.get()).collect(),
            false => mem::take(&mut self.surplus).into(),
        };
        let mut batch = Batch::new(records);
        if self.surplus.is_empty() {
            batch.behind_latest = self.behind_latest;
            batch.end = self.end.clone();
        }
        batch.resume = self.untouched.then_some(self.position);
        batch.served_at = self.served_at;
        batch
    }

    fn error<E>(&self, operation: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        classify(operation, &self.stream, error).on_shard(&self.shard)
    }
}

/// Whether a new iterator at the same position helps. The service calls an iterator that it cannot read an argument.
fn is_stale(error: &GetRecordsError) -> bool {
    error.is_expired_iterator_exception() || error.is_invalid_argument_exception()
}

#[async_trait]
impl ShardReader for KinesisReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        // All state changes after the last await, save for a new iterator at the same position: dropping this is safe.
        if self.surplus.is_empty()
            && self.end.is_none()
            && let Some((output, served_at)) = self.fetch(max).await?
        {
            self.accept(output, served_at)?;
        }
        Ok(self.hand_out(max))
    }
}

impl fmt::Debug for KinesisReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisReader")
            .field("shard", &self.shard)
            .field("position", &self.position)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
