//! The second table: who subscribes, and cursors that are too many for the lease's own item.
//!
//! It has a table of its own because the KCL takes every item of the lease table for a lease.
//!
//! A holder has an item of cursors of its own, which the lease names, and writes it over as long as its subscriptions go
//! forward: one write, and the lease is left alone. Anything else puts a new item, then the lease names it, and only then
//! the one before goes. Every write of an item counts its revision up, so that one which comes late changes nothing.
//! Whoever claims the lease, resets or removes it seals the item that it names: a sealed item is never written over. So a
//! worker whose lease is lost cannot change what the next one reads.

use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{Nonce, SubscriptionRecord};
use kinesis_core::{Error, Result};
use tokio::time::timeout;

use super::calls::{self, Table};
use super::cursors::{Attribute, Written};
use super::item::{self, Item, NONCE, number, number_value, text};
use super::key;
use super::update::Update;

/// The partition key: what kind of item, and of which lease.
pub(super) const KIND: &str = "kind";
/// The sort key.
pub(super) const NAME: &str = "name";
const SUBSCRIPTION: &str = "subscription";
const REVISION: &str = "revision";
const RECORD: &str = "record";
/// Who has sealed an item of cursors: the nonce of its claim or reset.
const SEALED: &str = "sealed";

/// The most that an item of DynamoDB may have ("Quotas" in its developer guide), a little left for its keys.
const MOST: usize = 400 * 1024 - 2048;

/// The revision of an item of cursors that is put.
pub(super) const FIRST: u64 = 1;

/// How long cleaning up may take. A lease is held meanwhile, and has to be renewed.
const CLEANING: Duration = Duration::from_secs(1);

/// The table beside the lease table.
#[derive(Debug, Clone)]
pub(super) struct Second(pub(super) Table);

impl Second {
    pub(super) async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        let items = self.0.query((KIND, SUBSCRIPTION), None).await?;
        items.iter().map(|item| self.read_record(item)).collect()
    }

    fn read_record(&self, item: &Item) -> Result<SubscriptionRecord> {
        let broken = |why: String| {
            let name = text(item, NAME).unwrap_or_default();
            Error::invalid(format!("the subscription {name:?} in {} cannot be read: {why}", self.0.place()))
        };
        let record = text(item, RECORD).ok_or_else(|| broken("it has no record".into()))?;
        let mut record: SubscriptionRecord =
            serde_json::from_str(record).map_err(|error| broken(error.to_string()).because(error))?;
        record.revision = number(item, REVISION).ok_or_else(|| broken("it has no revision".into()))?;
        Ok(record)
    }

    pub(super) async fn put_subscription(
        &self,
        seen: Option<&SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        let revision = seen.map_or(0, |seen| seen.revision) + 1;
        let mut record = new.clone();
        record.revision = revision;
        let json = serde_json::to_string(&record)
            .map_err(|error| Error::contract("a subscription cannot be written as JSON").because(error))?;
        if json.len() > MOST {
            return Err(Error::invalid(format!(
                "the record of the subscription {:?} has {} bytes, because it names {} shards, and an item of DynamoDB has at \
                 most {MOST}: start it at the trim horizon or at a time, which pins no shards",
                new.name,
                json.len(),
                new.shards.len()
            )));
        }
        let nonce = Nonce::random();
        let mut item = item_key(SUBSCRIPTION, &format!("{}:{}", key::spell(&new.stream), new.name));
        item.insert(REVISION.to_owned(), number_value(revision));
        item.insert(RECORD.to_owned(), AttributeValue::S(json));
        item.insert(NONCE.to_owned(), number_value(nonce.value()));
        let condition = match seen {
            None => Update::default().when_absent(KIND),
            Some(seen) => Update::default().when_equal(REVISION, number_value(seen.revision)),
        };
        let key = item_key(SUBSCRIPTION, text(&item, NAME).unwrap_or_default());
        Ok(match self.0.put(item, condition).await? {
            calls::Written::Done(_) => true,
            calls::Written::Refused(now) => {
                let now = match now {
                    Some(now) => Some(now),
                    None => self.0.get(key).await?,
                };
                // Ours, by a call that the SDK made twice.
                now.and_then(|now| number(&now, NONCE)) == Some(nonce.value())
            }
        })
    }

    /// Puts cursors of a lease, as of its `counter`, and returns the name of their item, which is at its first revision.
    pub(super) async fn put_cursors(&self, lease_key: &str, counter: u64, cursors: Vec<u8>) -> Result<String> {
        let name = format!("{}{:016x}", before(counter), Nonce::random().value());
        let item = self.item(lease_key, &name, FIRST, cursors)?;
        // An item that is there is this one, by a call that the SDK made twice; by now it may have been written over.
        self.0.put(item, Update::default().when_absent(KIND)).await?;
        Ok(name)
    }

    /// Writes cursors over those in an item. `false`: it is sealed or gone.
    pub(super) async fn write_over(
        &self,
        lease_key: &str,
        name: &str,
        revision: u64,
        cursors: Vec<u8>,
    ) -> Result<bool> {
        let item = self.item(lease_key, name, revision, cursors)?;
        // An item that is gone is of no revision at all.
        let condition = Update::default().when_less(REVISION, number_value(revision)).when_absent(SEALED);
        Ok(match self.0.put(item, condition).await? {
            calls::Written::Done(_) => true,
            calls::Written::Refused(now) => {
                let now = match now {
                    Some(now) => Some(now),
                    None => self.0.get(item_key(&kind(lease_key), name)).await?,
                };
                // Ours, by a call that the SDK made twice: nobody but the holder counts up.
                now.is_some_and(|now| !now.contains_key(SEALED) && number(&now, REVISION) >= Some(revision))
            }
        })
    }

    /// Has an item of cursors never written over any more, and reads them; `None` when the lease has named others since.
    pub(super) async fn seal(&self, lease_key: &str, name: &str, by: Nonce) -> Result<Option<Written>> {
        let update = Update::default().set(SEALED, number_value(by.value())).when_present(KIND);
        match self.0.update(item_key(&kind(lease_key), name), update).await? {
            calls::Written::Done(item) => self.read_cursors(lease_key, &item).map(Some),
            calls::Written::Refused(_) => Ok(None),
        }
    }

    /// Reads cursors; `None` when the lease has named others since.
    pub(super) async fn cursors(&self, lease_key: &str, name: &str) -> Result<Option<Written>> {
        let item = self.0.get(item_key(&kind(lease_key), name)).await?;
        item.map(|item| self.read_cursors(lease_key, &item)).transpose()
    }

    fn item(&self, lease_key: &str, name: &str, revision: u64, cursors: Vec<u8>) -> Result<Item> {
        if cursors.len() > MOST {
            return Err(Error::invalid(format!(
                "the cursors of the lease {lease_key:?} have {} bytes, and an item of DynamoDB has at most {MOST}: forget \
                 subscriptions that are no more",
                cursors.len()
            )));
        }
        let mut item = item_key(&kind(lease_key), name);
        item.insert(item::CURSORS.to_owned(), AttributeValue::B(Blob::new(cursors)));
        item.insert(REVISION.to_owned(), number_value(revision));
        Ok(item)
    }

    fn read_cursors(&self, lease_key: &str, item: &Item) -> Result<Written> {
        let damaged = || {
            let place = self.0.place();
            Error::invalid(format!("the cursors of the lease {lease_key:?} in {place} are damaged: reset the lease"))
        };
        let Some(AttributeValue::B(bytes)) = item.get(item::CURSORS) else { return Err(damaged()) };
        match Attribute::decode(bytes.as_ref()) {
            Ok(Attribute::Here(written)) => Ok(written),
            Ok(Attribute::Elsewhere(_)) => Err(damaged()),
            Err(unreadable) => {
                Err(Error::invalid(format!("the lease {lease_key:?} cannot be read: {unreadable}")).because(unreadable))
            }
        }
    }

    /// Deletes cursors that no lease names any more. What stays behind goes when the lease is claimed next.
    pub(super) async fn drop_cursors(&self, lease_key: &str, names: Vec<String>) {
        if !names.is_empty() {
            self.clean(lease_key, self.delete(lease_key, names)).await;
        }
    }

    /// Deletes what was left behind by those who held the lease before it had this `counter`, except `keep`.
    pub(super) async fn sweep(&self, lease_key: &str, counter: Option<u64>, keep: Option<&str>) {
        let sweep = async {
            let (kind, below) = (kind(lease_key), counter.map(before));
            let items = self.0.query((KIND, &kind), below.as_deref().map(|below| (NAME, below))).await?;
            let mut names: Vec<String> = items.iter().filter_map(|item| Some(text(item, NAME)?.to_owned())).collect();
            names.retain(|name| Some(&**name) != keep);
            self.delete(lease_key, names).await
        };
        self.clean(lease_key, sweep).await;
    }

    async fn delete(&self, lease_key: &str, names: Vec<String>) -> Result<()> {
        for name in names {
            self.0.delete(item_key(&kind(lease_key), &name), Update::default()).await?;
        }
        Ok(())
    }

    /// Nobody reads what is deleted, so nobody has to know when it could not be.
    async fn clean(&self, lease_key: &str, cleaning: impl Future<Output = Result<()>>) {
        match timeout(CLEANING, cleaning).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(lease_key, error = error.chain(), "old cursors could not be deleted"),
            Err(_) => tracing::debug!(lease_key, "old cursors could not be deleted in time"),
        }
    }
}

fn kind(lease_key: &str) -> String {
    format!("cursors:{lease_key}")
}

/// Comes before the names of all cursors that were written at this counter or later.
fn before(counter: u64) -> String {
    format!("{counter:020}-")
}

fn item_key(kind: &str, name: &str) -> Item {
    Item::from([
        (KIND.to_owned(), AttributeValue::S(kind.to_owned())),
        (NAME.to_owned(), AttributeValue::S(name.to_owned())),
    ])
}
