//! The tables of the file within one transaction: rows as JSON, under their keys as JSON.

use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::lease::{Lease, SubscriptionRecord};
use crate::shard::{ShardKey, StreamId};
use crate::sink::SubscriptionName;

type Bytes = &'static [u8];

const LEASES: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("leases");
const SUBSCRIPTIONS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("subscriptions");

/// What an operation reads and writes.
pub(super) struct Tables<'t> {
    leases: Table<'t, Bytes, Bytes>,
    subscriptions: Table<'t, Bytes, Bytes>,
    /// Whether there is anything to store.
    pub(super) changed: bool,
}

impl<'t> Tables<'t> {
    /// Opens the tables, and makes them in a new file.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let (leases, subscriptions) = (transaction.open_table(LEASES)?, transaction.open_table(SUBSCRIPTIONS)?);
        Ok(Self { leases, subscriptions, changed: false })
    }

    pub(super) fn leases(&self) -> Result<Vec<Lease>> {
        all(&self.leases)
    }

    pub(super) fn lease(&self, key: &ShardKey) -> Result<Option<Lease>> {
        get(&self.leases, key)
    }

    pub(super) fn put_lease(&mut self, row: &Lease) -> Result<()> {
        self.changed = true;
        put(&mut self.leases, &row.key, row)
    }

    pub(super) fn remove_lease(&mut self, key: &ShardKey) -> Result<()> {
        self.changed = true;
        self.leases.remove(&*encode(key)?).map(drop).map_err(|error| failed(error.into()))
    }

    /// Stores a row as `change` makes it, unless there is none or `change` declines; the row as it is then.
    pub(super) fn change(&mut self, key: &ShardKey, change: impl FnOnce(&mut Lease) -> bool) -> Result<Option<Lease>> {
        let Some(mut row) = self.lease(key)? else { return Ok(None) };
        if !change(&mut row) {
            return Ok(None);
        }
        self.put_lease(&row)?;
        Ok(Some(row))
    }

    pub(super) fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        all(&self.subscriptions)
    }

    pub(super) fn subscription(
        &self,
        stream: &StreamId,
        name: &SubscriptionName,
    ) -> Result<Option<SubscriptionRecord>> {
        get(&self.subscriptions, &(stream, name))
    }

    pub(super) fn put_subscription(&mut self, record: &SubscriptionRecord) -> Result<()> {
        self.changed = true;
        put(&mut self.subscriptions, &(&record.stream, &record.name), record)
    }
}

/// Lets every lease go.
pub(super) fn let_go(tables: &mut Tables<'_>) -> Result<()> {
    for row in tables.leases()?.into_iter().filter(|row| row.owner.is_some()) {
        let counter = row.counter + 1;
        tables.put_lease(&Lease { owner: None, nonce: None, wanted_by: None, counter, ..row })?;
    }
    Ok(())
}

fn all<T: DeserializeOwned>(table: &Table<'_, Bytes, Bytes>) -> Result<Vec<T>> {
    let read = |entry: redb::Result<_, redb::StorageError>| {
        let (_, value): (redb::AccessGuard<'_, Bytes>, redb::AccessGuard<'_, Bytes>) =
            entry.map_err(|error| failed(error.into()))?;
        decode(value.value())
    };
    table.iter().map_err(|error| failed(error.into()))?.map(read).collect()
}

fn get<T: DeserializeOwned>(table: &Table<'_, Bytes, Bytes>, key: &impl Serialize) -> Result<Option<T>> {
    let value = table.get(&*encode(key)?).map_err(|error| failed(error.into()))?;
    value.map(|value| decode(value.value())).transpose()
}

fn put(table: &mut Table<'_, Bytes, Bytes>, key: &impl Serialize, value: &impl Serialize) -> Result<()> {
    let (key, value) = (encode(key)?, encode(value)?);
    table.insert(&*key, &*value).map(drop).map_err(|error| failed(error.into()))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::invalid("a row cannot be written as JSON").because(error))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let damaged = "a row cannot be understood: it is damaged, or of a newer version";
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(damaged).because(error))
}

/// A failure of the file itself, which repeating does not mend: it has to be opened anew.
fn failed(error: redb::Error) -> Error {
    Error::permanent("it cannot be read or written; what was stored before is kept").because(error)
}
