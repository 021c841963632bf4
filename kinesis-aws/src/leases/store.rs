//! The store: each method of the trait as one conditional write, by the table in the documentation of the trait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kinesis_core::lease::{Cursor, HeldLease, Nonce, Progress, Renewed, SubscriptionRecord, WorkerId};
use kinesis_core::{Error, ErrorKind, Lease, LeaseStore, Result, ShardKey};

use super::builder::DynamoLeaseStoreBuilder;
use super::calls::{Table, Written};
use super::checkpoint::Checkpoint;
use super::cursors::{self, Attribute};
use super::item::{self, Item, NoLease, Row, number_value};
use super::key::Keys;
use super::second::Second;
use super::update::Update;

/// Cursors of more bytes than this move to the second table: every renewal pays for the whole item.
const MOST_CURSORS: usize = 4096;
/// How often a write is tried that was refused because an earlier one of ours had been applied. Each of them was lost on the
/// way, so the second try finds the row as it is.
const TRIES: usize = 4;
/// How many items of cursors are read at once.
const AT_ONCE: usize = 16;

/// A [`LeaseStore`] in DynamoDB, in the lease table of the KCL 2.x. Clones share everything.
///
/// What is written and what a worker of the KCL makes of it: [the guide](crate::guide::beside_the_kcl).
#[derive(Debug, Clone)]
pub struct DynamoLeaseStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) leases: Table,
    pub(super) second: Second,
    pub(super) keys: Keys,
    /// Items of cursors that this process has written or named last, by lease. The lease names the last of them, and the
    /// others go.
    pub(super) moved: Mutex<BTreeMap<ShardKey, Vec<String>>>,
}

impl DynamoLeaseStore {
    /// Starts a store for an application, whose name the table has unless it is given another one.
    #[must_use = "the store is made by connect()"]
    pub fn builder(application: impl Into<String>) -> DynamoLeaseStoreBuilder {
        DynamoLeaseStoreBuilder::new(application.into())
    }

    pub(super) fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// The name of the lease table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.shared.leases.name
    }
}

impl Shared {
    fn lease_key(&self, key: &ShardKey) -> Result<String> {
        Ok(self.keys.spell(key)?.lease_key)
    }

    fn item_key(&self, key: &ShardKey) -> Result<Item> {
        Ok(Item::from([(item::LEASE_KEY.to_owned(), AttributeValue::S(self.lease_key(key)?))]))
    }

    fn moved(&self) -> MutexGuard<'_, BTreeMap<ShardKey, Vec<String>>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease that an item is.
    async fn lease(&self, mut item: Item) -> Result<Lease> {
        let mut missing = None;
        loop {
            let row = self.read(&item)?;
            let name = match &row.cursors {
                None => return Ok(row.resolved(None)),
                Some(Attribute::Here(written)) => {
                    let written = written.clone();
                    return Ok(row.resolved(Some(written)));
                }
                Some(Attribute::Elsewhere(name)) => name.clone(),
            };
            let lease_key = self.lease_key(&row.lease.key)?;
            if let Some(written) = self.second.cursors(&lease_key, &name).await? {
                return Ok(row.resolved(Some(written)));
            }
            // The lease has named others by now. Only when it still names these are they gone.
            let gone = || {
                Error::invalid(format!(
                    "the cursors of the lease {lease_key:?} are gone from {}: put their item back, or remove the attribute \
                     `{}` of the lease to go on at its checkpoint",
                    self.second.0.place(),
                    item::CURSORS
                ))
            };
            if missing.as_ref() == Some(&name) {
                return Err(gone());
            }
            item = self.leases.get(self.item_key(&row.lease.key)?).await?.ok_or_else(gone)?;
            missing = Some(name);
        }
    }

    fn read(&self, item: &Item) -> Result<Row> {
        item::read(&self.keys, item).map_err(|no_lease| match no_lease {
            NoLease::Refused(error) => error,
            NoLease::Foreign(why) => {
                let key = item::text(item, item::LEASE_KEY).unwrap_or_default();
                Error::invalid(format!("the item {key:?} of {} is no lease: {why}", self.leases.place()))
            }
        })
    }

    /// The item of a lease after a write was refused.
    async fn now(&self, key: &ShardKey, told: Option<Item>) -> Result<Option<Item>> {
        match told {
            Some(item) => Ok(Some(item)),
            None => self.leases.get(self.item_key(key)?).await,
        }
    }

    /// Adds checkpoint and cursors of `lease` to the update that writes it; and the item of the second table, if one was put.
    async fn with_cursors(&self, update: Update, lease: &Lease) -> Result<(Update, Option<String>)> {
        let mut update = update.set(item::OWNER_SWITCHES, number_value(0));
        for pending in item::PENDING {
            update = update.remove(pending);
        }
        if !lease.children.is_empty() {
            update = update.add(item::CHILDREN, item::set_value(&lease.children));
        }
        // What a worker of the KCL has reached stays until there is a cursor.
        if lease.cursors.is_empty() && lease.inherited.is_some() {
            return Ok((update, None));
        }
        let checkpoint = lease.checkpoint().map(Checkpoint::of);
        if let Some(checkpoint) = checkpoint {
            update = update.set(item::CHECKPOINT, AttributeValue::S(checkpoint.word()));
            update = update.set(item::CHECKPOINT_SUB, number_value(checkpoint.sub()));
        }
        let (attribute, put) = self.place_cursors(lease, checkpoint).await?;
        Ok((update.set(item::CURSORS, AttributeValue::B(Blob::new(attribute))), put))
    }

    /// The attribute with the cursors; those that are too many are put into the second table, and their item is named.
    async fn place_cursors(&self, lease: &Lease, beside: Option<Checkpoint>) -> Result<(Vec<u8>, Option<String>)> {
        let written = cursors::Written { beside, cursors: lease.cursors.clone() };
        let bytes = written.encode();
        if bytes.len() <= MOST_CURSORS {
            return Ok((bytes, None));
        }
        let name = self.second.put_cursors(&self.lease_key(&lease.key)?, lease.counter, bytes).await?;
        Ok((Attribute::encode_elsewhere(&name), Some(name)))
    }

    /// Deletes the cursors in the second table that the lease does not name any more.
    async fn drop_old_cursors(&self, item: &Item, key: &ShardKey) -> Result<()> {
        if !self.moved().contains_key(key) {
            return Ok(());
        }
        let named = match self.read(item)?.cursors {
            Some(Attribute::Elsewhere(name)) => Some(name),
            _ => None,
        };
        let old = {
            let mut moved = self.moved();
            let Some(mut old) = moved.remove(key) else { return Ok(()) };
            old.retain(|name| Some(name) != named.as_ref());
            if let Some(named) = named {
                moved.insert(key.clone(), vec![named]);
            }
            old
        };
        self.second.drop_cursors(&self.lease_key(key)?, old).await;
        Ok(())
    }

    /// Gives every subscription that has inherited its place a cursor there, before the first cursor ends the inheritance.
    async fn settle_inheritance(&self, lease: &mut Lease) -> Result<()> {
        let Some(inherited) = lease.inherited else { return Ok(()) };
        for record in self.second.subscriptions().await? {
            let inherits =
                record.stream == lease.key.stream && !record.forgotten && record.generation_on(&lease.key.shard) == 1;
            if inherits {
                lease.cursors.entry(record.name).or_insert(Cursor::new(1, inherited));
            }
        }
        Ok(())
    }

    /// Writes as the holder, and returns the row as it is then.
    async fn write_held(&self, held: &HeldLease, progress: Option<&Progress>, end: Option<End>) -> Result<Lease> {
        let key = held.key();
        let mut lease = held.lease().clone();
        for _ in 0..TRIES {
            let mut new = lease.clone();
            new.counter += 1;
            let update = Update::default()
                .set(item::LEASE_COUNTER, number_value(new.counter))
                .when_equal(item::LEASE_COUNTER, number_value(lease.counter))
                .when_equal(item::LEASE_OWNER, AttributeValue::S(owner(&lease)));
            let mut update = match progress {
                None => update.when_absent(item::CHECKPOINT_OWNER),
                Some(progress) => {
                    if !progress.cursors.is_empty() {
                        self.settle_inheritance(&mut new).await?;
                    }
                    new.apply(progress);
                    let (update, put) = self.with_cursors(update, &new).await?;
                    if let Some(put) = put {
                        self.moved().entry(key.clone()).or_default().push(put);
                    }
                    update
                }
            };
            if let Some(end) = &end {
                update = end.on(update, progress.is_some());
            }
            let item = match self.leases.update(self.item_key(key)?, update).await? {
                Written::Done(item) => item,
                Written::Refused(told) => {
                    lease = self.still_held(held, &lease, told).await?;
                    continue;
                }
            };
            if progress.is_some() {
                self.drop_old_cursors(&item, key).await?;
            }
            let mut row = self.read(&item)?.lease;
            (row.cursors, row.inherited) = (new.cursors, new.inherited);
            return Ok(row);
        }
        Err(Error::transient("the lease is written by somebody else in this worker's name again and again")
            .on_shard(&key.shard))
    }

    /// The row after a write of the holder was refused: its own, when an earlier write of its was applied; else it is lost.
    async fn still_held(&self, held: &HeldLease, known: &Lease, told: Option<Item>) -> Result<Lease> {
        let ours = held.lease();
        let lost = |now: String| {
            let message = format!("the lease of {} is lost: {now}", ours.key);
            Error::new(ErrorKind::LeaseLost, message).on_shard(&ours.key.shard)
        };
        let item = self.now(&ours.key, told).await?;
        let row = match item {
            None => Err(lost("its item was removed".into())),
            Some(item) => match self.read(&item)?.lease {
                Lease { owner: None, .. } => Err(lost("it was released".into())),
                Lease { owner: Some(owner), nonce, .. }
                    if Some(&owner) != ours.owner.as_ref() || nonce != ours.nonce =>
                {
                    Err(lost(format!("{owner} claimed it")))
                }
                row if row.counter == known.counter => Err(lost("it is being handed over by a KCL 3.x leader".into())),
                _ => Ok(item),
            },
        };
        match row {
            Ok(item) => self.lease(item).await,
            Err(error) => {
                self.moved().remove(&ours.key);
                Err(error)
            }
        }
    }
}

/// How a lease is let go.
struct End {
    to: Option<WorkerId>,
}

impl End {
    fn on(&self, update: Update, stores: bool) -> Update {
        // A hand-over to the same worker is a new lease too: the old value must not write again.
        let update = update.remove(item::NONCE).remove(item::WANTED_BY);
        match &self.to {
            None => update.remove(item::LEASE_OWNER),
            // Stored progress has just set the switches to nothing; the next claim finds its own name and counts none.
            Some(to) if stores => update.set(item::LEASE_OWNER, AttributeValue::S(to.to_string())),
            Some(to) => update
                .set(item::LEASE_OWNER, AttributeValue::S(to.to_string()))
                .add(item::OWNER_SWITCHES, number_value(1)),
        }
    }
}

fn owner(lease: &Lease) -> String {
    lease.owner.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[async_trait]
impl LeaseStore for DynamoLeaseStore {
    async fn list(&self) -> Result<Vec<Lease>> {
        let Shared { leases, keys, .. } = &*self.shared;
        let mut rows = Vec::new();
        for item in leases.scan().await? {
            match item::read(keys, &item) {
                Ok(_) => rows.push(item),
                Err(NoLease::Refused(error)) => return Err(error),
                Err(NoLease::Foreign(why)) => {
                    let key = item::text(&item, item::LEASE_KEY).unwrap_or_default();
                    tracing::debug!(table = leases.name, key, why, "an item that is no lease is left alone");
                }
            }
        }
        stream::iter(rows).map(|item| self.shared.lease(item)).buffered(AT_ONCE).try_collect().await
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        match self.shared.leases.get(self.shared.item_key(key)?).await? {
            Some(item) => self.shared.lease(item).await.map(Some),
            None => Ok(None),
        }
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        let shared = &*self.shared;
        let checkpoint = lease.checkpoint().map_or(Checkpoint::TrimHorizon, Checkpoint::of);
        let cursors = match lease.inherited {
            Some(_) if lease.cursors.is_empty() => None,
            _ => Some(shared.place_cursors(lease, Some(checkpoint)).await?.0),
        };
        let item = item::create(&shared.keys, lease, checkpoint, cursors)?;
        let put = shared.leases.put(item, Update::default().when_absent(item::LEASE_KEY)).await?;
        Ok(matches!(put, Written::Done(_)))
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        let shared = &*self.shared;
        let nonce = Nonce::random();
        let mut update = Update::default()
            .set(item::LEASE_OWNER, AttributeValue::S(me.to_string()))
            .set(item::LEASE_COUNTER, number_value(seen.counter + 1))
            .set(item::NONCE, number_value(nonce.value()))
            .remove(item::CHECKPOINT_OWNER)
            .remove(item::WANTED_BY)
            .when_equal(item::LEASE_COUNTER, number_value(seen.counter));
        if let Some(stream) = shared.keys.of_stream() {
            update = update.set(item::OF_STREAM, AttributeValue::S(stream));
        }
        if seen.owner.as_ref().is_some_and(|owner| owner != me) {
            update = update.add(item::OWNER_SWITCHES, number_value(1));
        }
        let item = match shared.leases.update(shared.item_key(&seen.key)?, update).await? {
            Written::Done(item) => item,
            // Ours, by a call that the SDK made twice, or somebody was faster.
            Written::Refused(told) => match shared.now(&seen.key, told).await? {
                Some(item) if item::number(&item, item::NONCE) == Some(nonce.value()) => item,
                _ => return Ok(None),
            },
        };
        let row = shared.read(&item)?;
        if let Some(Attribute::Elsewhere(name)) = row.cursors {
            shared.moved().insert(seen.key.clone(), vec![name.clone()]);
            let lease_key = shared.lease_key(&seen.key)?;
            shared.second.sweep(&lease_key, Some(row.lease.counter), Some(&name)).await;
        }
        Ok(Some(HeldLease::new(shared.lease(item).await?)))
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        if seen.owner.is_none() {
            return Ok(false);
        }
        let update = Update::default()
            .set(item::WANTED_BY, AttributeValue::S(me.to_string()))
            .when_equal(item::LEASE_OWNER, AttributeValue::S(owner(seen)))
            .when_absent_or_equal(item::WANTED_BY, AttributeValue::S(me.to_string()));
        let written = self.shared.leases.update(self.shared.item_key(&seen.key)?, update).await?;
        Ok(matches!(written, Written::Done(_)))
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let lease = self.shared.write_held(held, progress, None).await?;
        let renewed = lease.wanted_by.clone().map_or(Renewed::Held, Renewed::WantedBy);
        held.written(lease);
        Ok(renewed)
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        self.shared.write_held(held, last.as_ref(), Some(End { to })).await?;
        self.shared.moved().remove(held.key());
        Ok(())
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        let shared = &*self.shared;
        let nonce = Nonce::random();
        let mut new = seen.clone();
        if !to.cursors.is_empty() {
            shared.settle_inheritance(&mut new).await?;
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
        let (update, put) = shared.with_cursors(update, &new).await?;
        let done = match shared.leases.update(shared.item_key(&seen.key)?, update).await? {
            Written::Done(_) => true,
            Written::Refused(told) => {
                let item = shared.now(&seen.key, told).await?;
                item.and_then(|item| item::number(&item, item::NONCE)) == Some(nonce.value())
            }
        };
        let lease_key = shared.lease_key(&seen.key)?;
        if done {
            shared.second.sweep(&lease_key, Some(new.counter), put.as_deref()).await;
        } else {
            shared.second.drop_cursors(&lease_key, put.into_iter().collect()).await;
        }
        Ok(done)
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        let shared = &*self.shared;
        let condition = Update::default().when_equal(item::LEASE_COUNTER, number_value(seen.counter));
        let deleted = shared.leases.delete(shared.item_key(&seen.key)?, condition).await?;
        let removed = matches!(deleted, Written::Done(_));
        if removed {
            shared.moved().remove(&seen.key);
            shared.second.sweep(&shared.lease_key(&seen.key)?, None, None).await;
        }
        Ok(removed)
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.shared.second.subscriptions().await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        self.shared.second.put_subscription(seen, new).await
    }
}
