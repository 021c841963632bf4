//! A cursor in one shard that is polled, and who asks for it: an iterator while it lasts, and a place to make the next from.

use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use kinesis_core::limit::Limiter;
use kinesis_core::{Batch, Error, Record, Result, ShardId, ShardReader, StartPosition, wall_clock};

use crate::answer::Answer;
use crate::classify::classify;
use crate::cursor::Cursor;
use crate::place::Place;
use crate::polling::Polling;
use crate::served_at::{ServedAt, date_of};

/// The most records that one call can ask for (API reference of `GetRecords`).
const MAX_RECORDS: usize = 10_000;
/// How soon a shard at its tip is asked again, beside readers that are pushed to and so have no interval of their own.
pub(crate) const AGAIN: Duration = Duration::from_millis(250);

/// Asks for the records of one shard: an iterator while it lasts, and limits.
#[derive(Debug)]
pub(crate) struct Poller {
    polling: Arc<Polling>,
    shard: ShardId,
    iterator: Option<String>,
    limiter: Option<Limiter>,
    /// Whether the fast read has refused an answer of this shard.
    plain: bool,
}

impl Poller {
    pub(crate) fn new(polling: Arc<Polling>, shard: ShardId, limiter: Option<Limiter>) -> Self {
        Self { polling, shard, iterator: None, limiter, plain: false }
    }

    /// The next answer is to come from a place that somebody else has moved.
    pub(crate) fn forget(&mut self) {
        self.iterator = None;
    }

    /// Gets an iterator at the tip, and says which instant that is: to go back to should it expire before the first record.
    pub(crate) async fn pin_latest(&mut self) -> Result<SystemTime> {
        let before = wall_clock::now();
        let served_at = ServedAt::default();
        let request = self.iterator_request(Place::Tip).customize().interceptor(served_at.clone());
        let made = request.send().await.map_err(|error| self.error("GetShardIterator", error))?;
        self.iterator = made.shard_iterator;
        Ok(served_at.get().unwrap_or(before))
    }

    /// Makes an iterator at a place; none when that is a time to come, which the service refuses.
    async fn make_iterator(&mut self, place: Place) -> Result<Option<String>> {
        let made = match self.iterator_request(place).send().await {
            Ok(made) => made,
            Err(error) if is_too_early(place, &error) => return Ok(None),
            Err(error) => return Err(self.error("GetShardIterator", error)),
        };
        self.iterator = made.shard_iterator;
        let missing = || Error::contract("GetShardIterator answered without an iterator").on_shard(&self.shard);
        self.iterator.clone().map(Some).ok_or_else(missing)
    }

    fn iterator_request(&self, place: Place) -> GetShardIteratorFluentBuilder {
        let Polling { client, target, .. } = &*self.polling;
        let (kind, number, time) = place.in_words();
        client
            .get_shard_iterator()
            .set_stream_name(target.call_name())
            .set_stream_arn(target.call_arn())
            .shard_id(self.shard.as_str())
            .shard_iterator_type(kind)
            .set_starting_sequence_number(number)
            .set_timestamp(time)
    }

    /// Asks the service once, or twice when the iterator turns out to be stale, for what is at `place` where there is no
    /// iterator; says when it answered. None when it is too early to ask.
    ///
    /// # Cancel safety
    ///
    /// What changes before the last await is a new iterator for the same place. After it nothing is waited for, so that
    /// whoever takes the answer in at once loses nothing.
    pub(crate) async fn fetch(
        &mut self,
        place: Place,
        max: NonZeroUsize,
    ) -> Result<Option<(Answer, Option<SystemTime>)>> {
        let limit = max.get().min(MAX_RECORDS) as i32;
        let mut remade = false;
        loop {
            let iterator = match &self.iterator {
                Some(iterator) => iterator.clone(),
                None => match self.make_iterator(place).await? {
                    Some(iterator) => iterator,
                    None => return Ok(None),
                },
            };
            if let Some(limiter) = &self.limiter {
                limiter.acquire().await;
            }
            match self.polling.ask(&self.shard, &iterator, limit, &mut self.plain).await {
                Ok(answered) => {
                    let (answer, served_at) = answered.map_err(|error| error.on_shard(&self.shard))?;
                    if let Some(limiter) = &self.limiter {
                        limiter.charge(answer.records.iter().map(Record::size).sum());
                    }
                    self.iterator = answer.next.clone();
                    return Ok(Some((answer, served_at)));
                }
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

    fn error<E>(&self, operation: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        classify(operation, self.polling.target.name(), error).on_shard(&self.shard)
    }
}

/// Whether an iterator was refused because it is to start at a time to come, by the clock of the service.
fn is_too_early(place: Place, error: &SdkError<GetShardIteratorError>) -> bool {
    let refused = error.as_service_error().is_some_and(GetShardIteratorError::is_invalid_argument_exception);
    refused && place.is_later_than(error.raw_response().and_then(date_of).unwrap_or_else(wall_clock::now))
}

/// Whether a new iterator at the same position helps. The service calls an iterator that it cannot read an argument.
fn is_stale(error: &GetRecordsError) -> bool {
    error.is_expired_iterator_exception() || error.is_invalid_argument_exception()
}

/// Reads one shard with `GetRecords`.
#[derive(Debug)]
pub(crate) struct KinesisReader {
    poller: Poller,
    cursor: Cursor,
}

impl KinesisReader {
    /// Opens a cursor. Only the tip costs a call: any other position is fixed by itself.
    pub(crate) async fn open(mut poller: Poller, from: StartPosition, mut cursor: Cursor) -> Result<Self> {
        if from == StartPosition::Latest {
            cursor.pin(poller.pin_latest().await?);
        }
        Ok(Self { poller, cursor })
    }
}

#[async_trait]
impl ShardReader for KinesisReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        // The place moves after the last await: dropping this is safe.
        if self.cursor.is_empty()
            && let Some((answer, served_at)) = self.poller.fetch(self.cursor.place(), max).await?
        {
            self.cursor.accept(answer, served_at);
        }
        let mut batch = self.cursor.hand_out(max);
        if self.poller.polling.beside_fan_out && batch.records.is_empty() {
            batch.again = Some(AGAIN);
        }
        Ok(batch)
    }
}
