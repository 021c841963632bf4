//! Changes of who subscribes: of one subscription's record, however many others change it at the same time.

use super::attach::{Patience, pin_tip, starting_at};
use crate::error::{Error, Result};
use crate::lease::{LeaseStore, SubscriptionRecord};
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::SubscriptionName;
use crate::source::StreamSource;

/// What becomes of a subscription's record.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// It is paused, or not.
    Pause(bool),
    /// It goes on from here on every shard listed.
    Seek(StartPosition, &'a [Shard]),
    /// It goes on from here on a shard, and from the beginning on the rest of its family.
    SeekShard(&'a ShardId, StartPosition, &'a [ShardId]),
    /// It is no more.
    Forget,
}

impl Change<'_> {
    /// Writes the record as changed, and returns it.
    pub(crate) async fn write(
        &self,
        source: &dyn StreamSource,
        store: &dyn LeaseStore,
        name: &SubscriptionName,
    ) -> Result<SubscriptionRecord> {
        loop {
            let seen = find(source, store, name).await?;
            let new = self.apply(&seen, source).await?;
            if store.put_subscription(Some(&seen), &new).await? {
                return Ok(SubscriptionRecord { revision: seen.revision + 1, ..new });
            }
        }
    }

    async fn apply(&self, record: &SubscriptionRecord, source: &dyn StreamSource) -> Result<SubscriptionRecord> {
        let generation = record.next_generation();
        Ok(match self {
            Self::Pause(paused) => SubscriptionRecord { paused: *paused, ..record.clone() },
            Self::Forget => SubscriptionRecord { forgotten: true, generation, ..record.clone() },
            Self::Seek(to, listing) => {
                let new = starting_at(source, &record.name, *to, generation, listing, &mut None).await?;
                SubscriptionRecord { paused: record.paused, ..new }
            }
            Self::SeekShard(shard, to, family) => {
                let mut new = record.clone();
                for member in *family {
                    new.sought.insert(member.clone(), generation);
                    new.pins.insert(member.clone(), StartPosition::TrimHorizon);
                }
                let pin = if *to == StartPosition::Latest {
                    pin_tip(source, shard, Patience::begin(source)).await?
                } else {
                    None
                };
                new.pins.insert((*shard).clone(), pin.unwrap_or(*to));
                new
            }
        })
    }
}

async fn find(
    source: &dyn StreamSource,
    store: &dyn LeaseStore,
    name: &SubscriptionName,
) -> Result<SubscriptionRecord> {
    let records = store.subscriptions().await?.into_iter();
    let mut of_name = records.filter(|record| record.stream == *source.stream() && record.name == *name);
    let unknown =
        || Error::not_found(format!("the store knows no subscription {name:?} of stream {}", source.stream()));
    of_name.next().filter(|record| !record.forgotten).ok_or_else(unknown)
}
