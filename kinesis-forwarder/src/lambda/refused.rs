//! Records that a subscriber refused for good: kept in mind until the call ends, to be reported as not delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kinesis_core::{Delivery, Outcome, Outcomes, Result, SequenceNumber, ShardKey, Sink, SubscriptionName};

/// The dead letters of one call. They are stored nowhere: Lambda's on-failure destination is where they end. Clones share
/// them.
#[derive(Debug, Clone, Default)]
pub struct Refused(Arc<Mutex<Vec<Refusal>>>);

/// A record that a subscriber refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) shard: ShardKey,
    pub(super) subscription: SubscriptionName,
    pub(super) number: SequenceNumber,
    pub(super) reason: String,
}

impl Refused {
    /// What was refused since it was asked last, in the order of the numbers, by shard.
    pub(super) fn take(&self) -> BTreeMap<ShardKey, Vec<Refusal>> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.sort_by_key(|refusal| refusal.number);
        let mut by_shard: BTreeMap<ShardKey, Vec<Refusal>> = BTreeMap::new();
        for refusal in all {
            by_shard.entry(refusal.shard.clone()).or_default().push(refusal);
        }
        by_shard
    }
}

#[async_trait]
impl Sink for Refused {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let refusal = |entry: kinesis_core::Entry<'_>| Refusal {
            shard: ShardKey::new(delivery.stream(), delivery.shard()),
            subscription: delivery.subscription().clone(),
            number: entry.sequence_number,
            reason: entry.rejection().map(|rejection| rejection.reason.clone()).unwrap_or_default(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(delivery.iter().map(refusal));
        Ok(delivery.iter().map(|_| Outcome::Delivered).collect())
    }
}
