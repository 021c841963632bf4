//! Records put on a Kinesis stream: as a pipeline's sink, and as the place for its dead letters.

mod builder;
mod rounds;
#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kinesis_core::{Delivery, Error, Outcome, Outcomes, Record, Result, Sink};
use tokio::sync::Semaphore;

use crate::classify::{classify, kind_of, one_line};
use crate::target::Target;

pub use builder::KinesisSinkBuilder;
use rounds::{Entry, Rounds};

/// The most characters of a partition key (API reference of `PutRecords`).
const MAX_KEY: usize = 256;

/// Puts records on a stream with `PutRecords`.
///
/// A record keeps its partition key and its explicit hash key, so that it lands where it would have landed in the first
/// place. Records of one key arrive in their order: `PutRecords` takes some entries of a request and refuses others, so a
/// request has one entry of each key at most, and what follows a refused one waits for it.
/// [`aggregate`](KinesisSinkBuilder::aggregate) puts all records of a key into one entry, which is much faster where keys
/// repeat; [`unordered`](KinesisSinkBuilder::unordered) fills requests without regard to keys.
///
/// Nothing is tried again here: what was refused is the pipeline's to send again. The largest record and the keys are
/// checked first, because one bad entry would refuse the whole request.
///
/// ```no_run
/// # async fn run(source: kinesis_core::Result<kinesis_aws::KinesisSource>) -> kinesis_core::Result<()> {
/// use kinesis_aws::KinesisSink;
/// use kinesis_core::{BatchPolicy, Ordering, Pipeline, Subscription};
///
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let copies = KinesisSink::connect(&config, "orders-copy").await?;
/// Pipeline::builder("copier", source?)
///     .subscribe(Subscription::new("copies", copies).ordering(Ordering::per_key(8)).batch(BatchPolicy::of(500)))
///     .build()?
///     .run_until(async { tokio::signal::ctrl_c().await.expect("Ctrl-C can be heard") })
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct KinesisSink {
    client: Client,
    target: Target,
    aggregate: bool,
    ordered: bool,
    max_record: usize,
    turns: Semaphore,
}

impl KinesisSink {
    /// Whether the service would take it, but for the rate.
    fn check(&self, record: &Record) -> std::result::Result<(), String> {
        let characters = record.partition_key.chars().count();
        let (size, most) = (record.size(), self.max_record);
        if !(1..=MAX_KEY).contains(&characters) {
            return Err(format!("its partition key has {characters} characters, but must have 1 to {MAX_KEY}"));
        }
        if size > most {
            return Err(format!(
                "it has {size} bytes with its partition key, but the stream {} takes {most} at most: see \
                 KinesisSinkBuilder::max_record_bytes",
                self.target
            ));
        }
        Ok(())
    }

    /// Sends one request; says of each entry whether it was taken.
    async fn put(&self, entries: &[Entry<'_>]) -> Result<Vec<Outcome>> {
        let request = entries.iter().map(|entry| {
            let record = entry.first;
            PutRecordsRequestEntry::builder()
                .data(Blob::new(entry.data.clone()))
                .partition_key(record.partition_key.as_str())
                .set_explicit_hash_key(record.explicit_hash_key.map(|key| key.to_string()))
                .build()
                .map_err(|error| Error::contract("an entry has data and a key").because(error))
        });
        let request = request.collect::<Result<Vec<_>>>()?;
        let call = self.client.put_records();
        let call = call.set_stream_name(self.target.call_name()).set_stream_arn(self.target.call_arn());
        let _turn = self.turns.acquire().await.map_err(|_| Error::contract("the sink has no turns left"))?;
        let put = call.set_records(Some(request)).send().await;
        let put = put.map_err(|error| classify("PutRecords", self.target.name(), error))?;
        self.outcomes(&put, entries.len())
    }

    fn outcomes(&self, put: &PutRecordsOutput, entries: usize) -> Result<Vec<Outcome>> {
        let answered = put.records().len();
        if answered != entries {
            let target = &self.target;
            let message =
                format!("PutRecords on the stream {target} answered {answered} outcomes for {entries} entries");
            return Err(Error::contract(message));
        }
        let mut refused = None;
        let outcomes = put.records().iter().map(|entry| match entry.error_code() {
            None => Outcome::Delivered,
            Some(code) => {
                refused.get_or_insert((code, entry.error_message().unwrap_or("no message")));
                // The stream is full, or an entry failed inside: neither says anything of the record.
                if kind_of(code, 500).is_retryable() { Outcome::busy(None) } else { Outcome::Retry }
            }
        });
        let outcomes = outcomes.collect();
        if let Some((code, message)) = refused {
            tracing::debug!(stream = %self.target, code, message = one_line(message), "entries were refused");
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl Sink for KinesisSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let records: Vec<&Record> = delivery.records().collect();
        let mut outcomes = Outcomes::unmarked(records.len());
        let mut fit = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            match self.check(record) {
                Ok(()) => fit.push((index, *record)),
                Err(reason) => outcomes.mark(index, Outcome::rejected(reason)),
            }
        }
        let mut rounds = Rounds::new(fit, self.ordered, self.aggregate.then_some(self.max_record));
        while let Some(entries) = rounds.next() {
            let put = match self.put(&entries).await {
                Ok(put) => put,
                // What earlier requests have put stays delivered; of the rest nothing is known.
                Err(error) if outcomes.iter().any(|outcome| *outcome == Outcome::Delivered) => {
                    tracing::debug!(stream = %self.target, error = error.chain(), "a request of several failed");
                    return Ok(outcomes);
                }
                Err(error) => return Err(error),
            };
            for (entry, outcome) in entries.iter().zip(put) {
                if outcome != Outcome::Delivered {
                    rounds.hold(entry);
                }
                entry.records.iter().for_each(|index| outcomes.mark(*index, outcome.clone()));
            }
        }
        rounds.held().for_each(|index| outcomes.mark(index, Outcome::busy(None)));
        Ok(outcomes)
    }
}

impl fmt::Debug for KinesisSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSink").field("stream", self.target.name()).finish_non_exhaustive()
    }
}
