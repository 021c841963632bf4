//! The store: each method of the trait as one conditional write, by the table in the documentation of the trait.

use std::sync::Arc;
use std::{fmt, future};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kinesis_core::lease::{HeldLease, Nonce, Progress, Renewed, SubscriptionRecord, WorkerId};
use kinesis_core::{Lease, LeaseStore, Result, ShardKey};

use super::builder::DynamoLeaseStoreBuilder;
use super::calls::Written;
use super::checkpoint::Checkpoint;
use super::cursors::Attribute;
use super::held::{End, owner};
use super::item::{self, NoLease, number_value};
use super::rows::Rows;
use super::update::Update;

/// How many items of cursors are read at once.
const AT_ONCE: usize = 16;

/// A [`LeaseStore`] in DynamoDB, in the lease table of the KCL 2.x. Clones share everything.
///
/// What is written and what a worker of the KCL makes of it: [the guide](crate::guide::beside_the_kcl).
#[derive(Clone)]
pub struct DynamoLeaseStore {
    rows: Arc<Rows>,
}

impl DynamoLeaseStore {
    /// Starts a store for an application, whose name the table has unless it is given another one.
    #[must_use = "the store is made by connect()"]
    pub fn builder(application: impl Into<String>) -> DynamoLeaseStoreBuilder {
        DynamoLeaseStoreBuilder::new(application.into())
    }

    pub(super) fn of(rows: Rows) -> Self {
        Self { rows: Arc::new(rows) }
    }

    /// The name of the lease table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.rows.leases.name
    }
}

impl fmt::Debug for DynamoLeaseStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoLeaseStore").field("table", &self.table()).finish_non_exhaustive()
    }
}

#[async_trait]
impl LeaseStore for DynamoLeaseStore {
    async fn list(&self) -> Result<Vec<Lease>> {
        let mut read = Vec::new();
        for item in self.rows.leases.scan().await? {
            match item::read(&self.rows.keys, &item) {
                Ok(row) => read.push(row),
                Err(NoLease::Refused(error)) => return Err(error),
                Err(NoLease::Foreign(why)) => {
                    let key = item::text(&item, item::LEASE_KEY).unwrap_or_default();
                    tracing::debug!(table = self.table(), key, why, "an item that is no lease is left alone");
                }
            }
        }
        let resolved = stream::iter(read).map(|row| self.rows.resolve(row)).buffered(AT_ONCE);
        resolved.try_filter_map(|lease| future::ready(Ok(lease))).try_collect().await
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        match self.rows.now(key, None).await? {
            Some(item) => self.rows.resolve(self.rows.read(&item)?).await,
            None => Ok(None),
        }
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        let rows = &*self.rows;
        let checkpoint = lease.checkpoint().map_or(Checkpoint::TrimHorizon, Checkpoint::of);
        let (cursors, put) = match lease.inherited {
            Some(_) if lease.cursors.is_empty() => (None, None),
            _ => {
                let (attribute, put) = rows.place_cursors(lease, Some(checkpoint)).await?;
                (Some(attribute), put)
            }
        };
        let item = item::create(&rows.keys, lease, checkpoint, cursors)?;
        let now = match rows.leases.put(item, Update::default().when_absent(item::LEASE_KEY)).await? {
            Written::Done(_) => return Ok(true),
            Written::Refused(told) => rows.now(&lease.key, told).await?,
        };
        rows.drop_unless_named(&lease.key, put, now.as_ref()).await?;
        Ok(false)
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        let rows = &*self.rows;
        let nonce = Nonce::random();
        let mut update = Update::default()
            .set(item::LEASE_OWNER, AttributeValue::S(me.to_string()))
            .set(item::LEASE_COUNTER, number_value(seen.counter + 1))
            .set(item::NONCE, number_value(nonce.value()))
            .remove(item::CHECKPOINT_OWNER)
            .remove(item::WANTED_BY)
            .when_equal(item::LEASE_COUNTER, number_value(seen.counter));
        if let Some(stream) = rows.keys.of_stream() {
            update = update.set(item::OF_STREAM, AttributeValue::S(stream));
        }
        if seen.owner.as_ref().is_some_and(|owner| owner != me) {
            update = update.add(item::OWNER_SWITCHES, number_value(1));
        }
        let item = match rows.leases.update(rows.item_key(&seen.key)?, update).await? {
            Written::Done(item) => item,
            // Ours, by a call that the SDK made twice, or somebody was faster.
            Written::Refused(told) => match rows.now(&seen.key, told).await? {
                Some(item) if item::number(&item, item::NONCE) == Some(nonce.value()) => item,
                _ => return Ok(None),
            },
        };
        let row = rows.read(&item)?;
        let (counter, lease_key) = (row.lease.counter, rows.lease_key(&seen.key)?);
        let name = match &row.cursors {
            Some(Attribute::Elsewhere(name)) => name.clone(),
            _ => {
                rows.moves.claimed(&row.lease, None);
                return Ok(rows.resolve(row).await?.map(HeldLease::new));
            }
        };
        // The holder before may write over what it had until then; what it wrote is read with it.
        let Some(written) = rows.second.seal(&lease_key, &name, nonce).await? else {
            let now = rows.now(&seen.key, None).await?;
            return match now.and_then(|now| item::number(&now, item::NONCE)) == Some(nonce.value()) {
                true => Err(rows.gone(&lease_key)),
                // Somebody has taken it from us already.
                false => Ok(None),
            };
        };
        rows.moves.claimed(&row.lease, Some(name.clone()));
        rows.second.sweep(&lease_key, Some(counter), Some(&name)).await;
        Ok(Some(HeldLease::new(row.resolved(Some(written)))))
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        if seen.owner.is_none() {
            return Ok(false);
        }
        let update = Update::default()
            .set(item::WANTED_BY, AttributeValue::S(me.to_string()))
            .when_equal(item::LEASE_OWNER, AttributeValue::S(owner(seen)))
            .when_absent_or_equal(item::WANTED_BY, AttributeValue::S(me.to_string()));
        let written = self.rows.leases.update(self.rows.item_key(&seen.key)?, update).await?;
        Ok(matches!(written, Written::Done(_)))
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let lease = self.rows.write_held(held, progress, None).await?;
        let renewed = lease.wanted_by.clone().map_or(Renewed::Held, Renewed::WantedBy);
        held.written(lease);
        Ok(renewed)
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        let released = self.rows.write_held(held, last.as_ref(), Some(End { to })).await?;
        self.rows.moves.forget(held.lease());
        // What is held knows of its end: letting go once more finds that it is lost.
        let mut lease = held.lease().clone();
        lease.counter = released.counter;
        held.written(lease);
        Ok(())
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        let rows = &*self.rows;
        let nonce = Nonce::random();
        let Some(mut new) = rows.seal(seen, nonce).await? else { return Ok(false) };
        if !to.cursors.is_empty() {
            rows.settle_inheritance(&mut new).await?;
            new.inherited = None;
        }
        new.cursors.retain(|name, _| !to.forgotten.contains(name));
        new.cursors.extend(to.cursors.clone());
        new.children.extend(to.children.iter().cloned());
        // One step more than a holder takes: a worker of the KCL that finds its own name and the next counter takes a
        // write for its own.
        new.counter += 2;
        let update = Update::default()
            .set(item::LEASE_COUNTER, number_value(new.counter))
            .set(item::NONCE, number_value(nonce.value()))
            .when_equal(item::LEASE_COUNTER, number_value(seen.counter));
        let (update, put) = rows.with_cursors(update, &new).await?;
        let now = match rows.leases.update(rows.item_key(&seen.key)?, update).await? {
            Written::Done(item) => Some(item),
            Written::Refused(told) => rows.now(&seen.key, told).await?,
        };
        let done = now.as_ref().and_then(|item| item::number(item, item::NONCE)) == Some(nonce.value());
        if done {
            rows.second.sweep(&rows.lease_key(&seen.key)?, Some(new.counter), put.as_deref()).await;
        } else {
            rows.drop_unless_named(&seen.key, put, now.as_ref()).await?;
        }
        Ok(done)
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        let rows = &*self.rows;
        if rows.seal(seen, Nonce::random()).await?.is_none() {
            return Ok(false);
        }
        let condition = Update::default().when_equal(item::LEASE_COUNTER, number_value(seen.counter));
        let deleted = rows.leases.delete(rows.item_key(&seen.key)?, condition).await?;
        let removed = matches!(deleted, Written::Done(_));
        if removed {
            rows.second.sweep(&rows.lease_key(&seen.key)?, None, None).await;
        }
        Ok(removed)
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.rows.second.subscriptions().await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        self.rows.second.put_subscription(seen, new).await
    }
}
