//! Progress apart from the lease: a holder writes its cursors over in the second table, and leaves the lease alone.
//!
//! The lease's checkpoint stays behind until the next renewal. That is safe as long as no cursor is behind it: a worker of
//! the KCL that takes the lease meanwhile reads from the checkpoint on, and what it has done counts for every cursor that is
//! behind its own checkpoint then. So this is for steps forward alone; the rest goes by the lease.

use kinesis_core::lease::{Nonce, Progress};
use kinesis_core::{Error, Lease, Result};

use super::checkpoint::Checkpoint;
use super::cursors::{Attribute, Written};
use super::item::{self, Item};
use super::moved::only_steps_forward;
use super::rows::Rows;

/// What became of progress.
#[derive(Debug)]
pub(super) enum Over {
    /// It is stored; the lease as its holder knows it, with the cursors in it.
    Written(Box<Lease>),
    /// The item is sealed or gone: the lease says whether it is held still.
    Refused,
    /// It has to go by the lease.
    ByTheLease,
}

impl Rows {
    /// Writes the cursors over in their item, when nothing but steps forward leads to the new ones.
    pub(super) async fn write_over(&self, ours: &Lease, progress: &Progress) -> Result<Over> {
        let (Some(place), Some(tried)) = (self.moves.place(ours), self.moves.tried(ours)) else {
            return Ok(Over::ByTheLease);
        };
        let mut new = ours.clone();
        (new.cursors, new.inherited) = (tried.clone(), None);
        new.apply(progress);
        let written = Written { beside: Some(place.stored), cursors: new.cursors.clone() };
        let bytes = written.encode();
        let fits = bytes.len() <= self.most_cursors;
        let Some(reached) = new.checkpoint().map(Checkpoint::of).filter(|_| !fits) else { return Ok(Over::ByTheLease) };
        if new.children != ours.children || !only_steps_forward(&tried, &new.cursors) {
            return Ok(Over::ByTheLease);
        }
        let Some(revision) = self.moves.writes_over(ours, &new.cursors) else { return Ok(Over::ByTheLease) };
        if self.second.write_over(&self.lease_key(&ours.key)?, &place.name, revision, bytes).await? {
            self.moves.has_written_over(ours, reached);
            return Ok(Over::Written(Box::new(new)));
        }
        Ok(Over::Refused)
    }

    /// The row with cursors that nobody writes over any more. `None` when it is not as it was seen.
    ///
    /// A holder that finds its item sealed looks at its lease, and goes on with another item if the lease is its own still.
    pub(super) async fn seal(&self, seen: &Lease, by: Nonce) -> Result<Option<Lease>> {
        let Some(item) = self.as_seen(seen).await? else { return Ok(None) };
        let row = self.read(&item)?;
        let Some(Attribute::Elsewhere(name)) = &row.cursors else { return self.resolve(row).await };
        let lease_key = self.lease_key(&seen.key)?;
        match self.second.seal(&lease_key, name, by).await? {
            Some(written) => Ok(Some(row.resolved(Some(written)))),
            None if self.as_seen(seen).await?.is_some() => Err(self.gone(&lease_key)),
            None => Ok(None),
        }
    }

    async fn as_seen(&self, seen: &Lease) -> Result<Option<Item>> {
        let item = self.now(&seen.key, None).await?;
        Ok(item.filter(|item| item::number(item, item::LEASE_COUNTER) == Some(seen.counter)))
    }

    /// What is wrong when a lease names cursors that are not there.
    pub(super) fn gone(&self, lease_key: &str) -> Error {
        Error::invalid(format!(
            "the cursors of the lease {lease_key:?} are gone from {}: put their item back, or remove the attribute `{}` of \
             the lease to go on at its checkpoint",
            self.second.0.place(),
            item::CURSORS
        ))
    }
}
