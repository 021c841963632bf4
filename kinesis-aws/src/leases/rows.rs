//! Rows: what an item is, where its cursors are, and how they are written back.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::Cursor;
use kinesis_core::{Error, Lease, Result, ShardKey};

use super::calls::Table;
use super::checkpoint::Checkpoint;
use super::cursors::{Attribute, Written};
use super::item::{self, Item, NoLease, Row, number_value};
use super::key::Keys;
use super::moved::Moves;
use super::second::Second;
use super::update::Update;

/// Cursors of more bytes than this move to the second table: every renewal pays for the whole item.
pub(super) const MOST_CURSORS: usize = 4096;

/// The two tables, and what this process has written into them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) leases: Table,
    pub(super) second: Second,
    pub(super) keys: Keys,
    /// The most bytes of cursors that a lease has in its own item.
    pub(super) most_cursors: usize,
    pub(super) moves: Moves,
}

impl Rows {
    pub(super) fn lease_key(&self, key: &ShardKey) -> Result<String> {
        Ok(self.keys.spell(key)?.lease_key)
    }

    pub(super) fn item_key(&self, key: &ShardKey) -> Result<Item> {
        Ok(Item::from([(item::LEASE_KEY.to_owned(), AttributeValue::S(self.lease_key(key)?))]))
    }

    /// The lease that a row is, with its cursors, wherever they are. `None`: it was removed meanwhile.
    pub(super) async fn resolve(&self, mut row: Row) -> Result<Option<Lease>> {
        let mut missing = None;
        loop {
            let name = match row.cursors.take() {
                None => return Ok(Some(row.resolved(None))),
                Some(Attribute::Here(written)) => return Ok(Some(row.resolved(Some(written)))),
                Some(Attribute::Elsewhere(name)) => name,
            };
            let lease_key = self.lease_key(&row.lease.key)?;
            if let Some(written) = self.second.cursors(&lease_key, &name).await? {
                return Ok(Some(row.resolved(Some(written))));
            }
            // The lease has named others by now. Only when it still names these are they gone.
            if missing.as_ref() == Some(&name) {
                return Err(self.gone(&lease_key));
            }
            let Some(now) = self.leases.get(self.item_key(&row.lease.key)?).await? else { return Ok(None) };
            (row, missing) = (self.read(&now)?, Some(name));
        }
    }

    pub(super) fn read(&self, item: &Item) -> Result<Row> {
        item::read(&self.keys, item).map_err(|no_lease| match no_lease {
            NoLease::Refused(error) => error,
            NoLease::Foreign(why) => {
                let key = item::text(item, item::LEASE_KEY).unwrap_or_default();
                Error::invalid(format!("the item {key:?} of {} is no lease: {why}", self.leases.place()))
            }
        })
    }

    /// The item of a lease after a write was refused.
    pub(super) async fn now(&self, key: &ShardKey, told: Option<Item>) -> Result<Option<Item>> {
        match told {
            Some(item) => Ok(Some(item)),
            None => self.leases.get(self.item_key(key)?).await,
        }
    }

    /// Adds checkpoint and cursors of `lease` to the update that writes it; and the item of the second table, if one was put.
    pub(super) async fn with_cursors(&self, update: Update, lease: &Lease) -> Result<(Update, Option<String>)> {
        let mut update = without_pending(update);
        if !lease.children.is_empty() {
            update = update.add(item::CHILDREN, item::set_value(&lease.children));
        }
        // What a worker of the KCL has reached stays until there is a cursor.
        if lease.cursors.is_empty() && lease.inherited.is_some() {
            return Ok((update, None));
        }
        let checkpoint = lease.checkpoint().map(Checkpoint::of);
        if let Some(checkpoint) = checkpoint {
            update = at(update, checkpoint);
        }
        let (attribute, put) = self.place_cursors(lease, checkpoint).await?;
        Ok((update.set(item::CURSORS, AttributeValue::B(Blob::new(attribute))), put))
    }

    /// The attribute with the cursors; those that are too many are put into the second table, and their item is named.
    pub(super) async fn place_cursors(
        &self,
        lease: &Lease,
        beside: Option<Checkpoint>,
    ) -> Result<(Vec<u8>, Option<String>)> {
        let written = Written { beside, cursors: lease.cursors.clone() };
        let bytes = written.encode();
        if bytes.len() <= self.most_cursors {
            return Ok((bytes, None));
        }
        let name = self.second.put_cursors(&self.lease_key(&lease.key)?, lease.counter, bytes).await?;
        Ok((Attribute::encode_elsewhere(&name), Some(name)))
    }

    /// Deletes cursors that were put for a write that was refused. The lease may name them all the same, by a call that the
    /// SDK made twice.
    pub(super) async fn drop_unless_named(
        &self,
        key: &ShardKey,
        put: Option<String>,
        now: Option<&Item>,
    ) -> Result<()> {
        let Some(put) = put else { return Ok(()) };
        let named = match now.map(|item| self.read(item)).transpose()? {
            Some(Row { cursors: Some(Attribute::Elsewhere(name)), .. }) => name == put,
            _ => false,
        };
        if !named {
            self.second.drop_cursors(&self.lease_key(key)?, vec![put]).await;
        }
        Ok(())
    }

    /// Gives every subscription that has inherited its place a cursor there, before the first cursor ends the inheritance.
    pub(super) async fn settle_inheritance(&self, lease: &mut Lease) -> Result<()> {
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
}

/// Moves the checkpoint in a renewal.
pub(super) fn with_checkpoint(update: Update, checkpoint: Checkpoint) -> Update {
    at(without_pending(update), checkpoint)
}

fn at(update: Update, checkpoint: Checkpoint) -> Update {
    update
        .set(item::CHECKPOINT, AttributeValue::S(checkpoint.word()))
        .set(item::CHECKPOINT_SUB, number_value(checkpoint.sub()))
}

/// As each checkpoint of the KCL does it.
fn without_pending(update: Update) -> Update {
    item::PENDING
        .iter()
        .fold(update.set(item::OWNER_SWITCHES, number_value(0)), |update, pending| update.remove(pending))
}
