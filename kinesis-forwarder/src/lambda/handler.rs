//! One call: from the event to the answer, within the time that Lambda gives.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use kinesis_aws::kpl;
use kinesis_core::{Deliverer, Record, SequenceNumber, Settlement, ShardKey, SubscriptionName, wall_clock};
use lambda_runtime::Diagnostic;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::event::KinesisEvent;
use super::had::Had;
use super::refused::{Refusal, Refused};
use crate::output::note;

/// How long before the time of a call is up it ends: to write the answer and the log on the sixteenth of a core that the
/// smallest function has (128 MB of the 1,769 MB that make one, Lambda's guide), with a wide margin. Of a call shorter than two
/// seconds, a quarter.
pub const MARGIN: Duration = Duration::from_millis(500);

/// Answers the calls of Lambda. It does not mind where its subscriptions come from.
#[derive(Debug)]
pub struct Handler {
    deliverer: Deliverer,
    refused: Refused,
    had: Mutex<Had>,
    max_age: Option<Duration>,
}

/// What Lambda is answered: from where on it has to call again.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The lowest record of each shard that is not settled; Lambda calls again with it and everything behind it.
    pub batch_item_failures: Vec<Failure>,
}

/// A record that is not settled.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its sequence number.
    pub item_identifier: String,
}

impl Handler {
    /// Delivers by `deliverer`. Records that its subscriptions give to `refused`, as
    /// [dead letters](kinesis_core::OnReject::DeadLetter), count as not delivered; in other respects the subscriptions are
    /// their makers' concern.
    #[must_use]
    pub fn new(deliverer: Deliverer, refused: Refused) -> Self {
        Self { deliverer, refused, had: Mutex::default(), max_age: None }
    }

    /// How long one call goes on trying at most. Default: until [`MARGIN`] before its time is up.
    #[must_use]
    pub fn max_age(mut self, max_age: Option<Duration>) -> Self {
        self.max_age = max_age;
        self
    }

    /// Delivers what an event holds, and says what is not settled shortly before `deadline`.
    ///
    /// # Errors
    ///
    /// What is wrong with the event. Lambda then calls again with all of it, or with a half.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown what has become of the records.
    pub async fn handle(&self, event: &str, deadline: SystemTime) -> Result<Answer, Diagnostic> {
        let until = Instant::now() + self.time(deadline);
        let event = KinesisEvent::read(event).map_err(|bad| failure("BadEvent", &bad.to_string()))?;
        // A call that was cut off may have left something.
        self.refused.take();
        let shards = event.shards.into_iter().map(|(shard, stored)| self.deliver(shard, stored, until));
        let settled = try_join_all(shards).await.map_err(|error| failure("Internal", &error.chain()))?;
        let mut refused = self.refused.take();
        let lowest = settled.into_iter().filter_map(|(shard, numbers, settlement)| {
            let refused = refused.remove(&shard).unwrap_or_default();
            tell(&shard, &numbers, &settlement, &refused);
            let left = settlement.first_left().map(|place| numbers[place]);
            let lowest = left.into_iter().chain(refused.first().map(|refusal| refusal.number)).min()?;
            self.had().keep(shard, lowest, &numbers, &settlement, &refused);
            Some(lowest)
        });
        let failure = |number: SequenceNumber| Failure { item_identifier: number.without_sub().to_string() };
        Ok(Answer { batch_item_failures: lowest.map(failure).collect() })
    }

    async fn deliver(
        &self,
        shard: ShardKey,
        stored: Vec<Record>,
        until: Instant,
    ) -> kinesis_core::Result<(ShardKey, Vec<SequenceNumber>, Settlement)> {
        let records = kpl::unpack(&shard.shard, stored);
        let numbers = records.iter().map(|record| record.sequence_number).collect();
        let had = self.had().take(&shard);
        let has = |name: &SubscriptionName, record: &Record| {
            had.get(name).is_some_and(|numbers| numbers.contains(&record.sequence_number))
        };
        let settlement = self.deliverer.deliver_rest_until(&shard, records, has, sleep_until(until)).await?;
        Ok((shard, numbers, settlement))
    }

    fn had(&self) -> MutexGuard<'_, Had> {
        self.had.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a call may go on delivering.
    fn time(&self, deadline: SystemTime) -> Duration {
        let whole = deadline.duration_since(wall_clock::now()).unwrap_or_default();
        let time = whole - MARGIN.min(whole / 4);
        self.max_age.map_or(time, |max_age| time.min(max_age))
    }
}

/// Says of each subscription what is not settled, in one line.
fn tell(shard: &ShardKey, numbers: &[SequenceNumber], settlement: &Settlement, refused: &[Refusal]) {
    for (name, settled) in &settlement.subscriptions {
        let left = settled.fates.iter().filter(|fate| !fate.is_settled()).count();
        if let Some(first) = settled.first_left() {
            let why = settled.halted.as_deref().or(settled.last_failure.as_deref());
            let why = why.unwrap_or("time was up before it answered");
            note(&format!("{shard}: {name} did not take {left} records, from {} on: {why}", numbers[first]));
        }
        let skipped = settled.fates.iter().filter(|fate| **fate == kinesis_core::Fate::Skipped).count();
        if skipped > 0 {
            note(&format!("{shard}: {name} refused {skipped} records, which are passed over"));
        }
    }
    let mut by_name: BTreeMap<_, Vec<&Refusal>> = BTreeMap::new();
    for refusal in refused {
        by_name.entry(&refusal.subscription).or_default().push(refusal);
    }
    for (name, refusals) in by_name {
        let (count, Refusal { number, reason, .. }) = (refusals.len(), refusals[0]);
        note(&format!("{shard}: {name} refused {count} records, from {number} on: {reason}"));
    }
}

fn failure(kind: &str, what: &str) -> Diagnostic {
    note(&format!("error: {what}"));
    Diagnostic { error_type: kind.to_owned(), error_message: what.to_owned() }
}

#[cfg(test)]
mod tests;
