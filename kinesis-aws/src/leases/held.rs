//! Writing as the holder of a lease: on the condition that nobody else has written since, our own lost writes aside.

use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{HeldLease, Progress, WorkerId};
use kinesis_core::{Error, ErrorKind, Lease, Result};

use super::calls::Written;
use super::checkpoint::Checkpoint;
use super::cursors::Attribute;
use super::item::{self, Item, Row, number_value};
use super::moved::Place;
use super::over::Over;
use super::rows::{Rows, with_checkpoint};
use super::second;
use super::update::Update;

/// How often a write is tried that was refused because an earlier one of ours had been applied. Each of them was lost on the
/// way, so the second try finds the row as it is.
const TRIES: usize = 4;

impl Rows {
    /// Writes as the holder, and returns the row as it is then.
    pub(super) async fn write_held(
        &self,
        held: &HeldLease,
        progress: Option<&Progress>,
        end: Option<End>,
    ) -> Result<Lease> {
        let (key, ours) = (held.key(), held.lease());
        let mut lease = ours.clone();
        for _ in 0..TRIES {
            if let (Some(progress), None) = (progress, &end) {
                match self.write_over(&lease, progress).await? {
                    Over::Written(lease) => return Ok(*lease),
                    Over::Refused => {
                        let item = self.now(key, None).await?;
                        lease = self.still_held(held, None, item, true).await?;
                    }
                    Over::ByTheLease => {}
                }
            }
            let mut new = lease.clone();
            new.counter += 1;
            let update = Update::default()
                .set(item::LEASE_COUNTER, number_value(new.counter))
                .when_equal(item::LEASE_COUNTER, number_value(lease.counter))
                .when_equal(item::LEASE_OWNER, AttributeValue::S(owner(&lease)));
            // Cursors that were written over since the lease was take its checkpoint along.
            let reached = self.moves.reached(ours).filter(|_| progress.is_none());
            let (mut update, put) = match (progress, reached) {
                (None, None) => (update.when_absent(item::CHECKPOINT_OWNER), None),
                (None, Some(reached)) => (with_checkpoint(update.when_absent(item::CHECKPOINT_OWNER), reached), None),
                (Some(progress), _) => {
                    if let Some(tried) = self.moves.tried(ours) {
                        new.inherited = new.inherited.filter(|_| tried.is_empty());
                        new.cursors = tried;
                    }
                    if !progress.cursors.is_empty() {
                        self.settle_inheritance(&mut new).await?;
                    }
                    new.apply(progress);
                    let (update, put) = self.with_cursors(update, &new).await?;
                    self.moves.names(ours, put.clone(), &new.cursors);
                    (update, put)
                }
            };
            if let Some(end) = &end {
                update = end.on(update, progress.is_some() || reached.is_some());
            }
            let item = match self.leases.update(self.item_key(key)?, update).await? {
                Written::Done(item) => item,
                Written::Refused(told) => {
                    let item = self.now(key, told).await?;
                    if let Some(item) =
                        item.as_ref().filter(|item| end.as_ref().is_some_and(|end| end.is_done(item, &new)))
                    {
                        return Ok(self.read(item)?.lease);
                    }
                    lease = self.still_held(held, Some(lease.counter), item, progress.is_some()).await?;
                    continue;
                }
            };
            let row = self.read(&item)?;
            match progress {
                Some(_) => self.has_named(&row, put, &new).await?,
                None => self.moves.renewed(ours, new.counter, reached),
            }
            let mut row = row.lease;
            (row.cursors, row.inherited) = (new.cursors, new.inherited);
            return Ok(row);
        }
        Err(Error::transient("the lease is written by somebody else in this worker's name again and again")
            .on_shard(&key.shard))
    }

    /// The row was written: its holder goes on with the item that it names, and the cursors that no lease names are deleted.
    async fn has_named(&self, row: &Row, put: Option<String>, new: &Lease) -> Result<()> {
        let named = match &row.cursors {
            Some(Attribute::Elsewhere(name)) => Some(name.clone()),
            _ => None,
        };
        let place = put.zip(new.checkpoint().map(Checkpoint::of)).map(|(name, checkpoint)| Place {
            name,
            revision: second::FIRST,
            counter: new.counter,
            stored: checkpoint,
            reached: checkpoint,
        });
        let old = self.moves.has_named(new, named, place);
        self.second.drop_cursors(&self.lease_key(&new.key)?, old).await;
        Ok(())
    }

    /// The row after a write of the holder was refused, one at this counter where it was to the lease: its own, when an
    /// earlier write of its was applied; else it is lost. Who stores needs no cursors that it has tried to store itself.
    async fn still_held(
        &self,
        held: &HeldLease,
        refused_at: Option<u64>,
        item: Option<Item>,
        stores: bool,
    ) -> Result<Lease> {
        let ours = held.lease();
        let lost = |now: String| {
            let message = format!("the lease of {} is lost: {now}", ours.key);
            Error::new(ErrorKind::LeaseLost, message).on_shard(&ours.key.shard)
        };
        let removed = || lost("its item was removed".into());
        let row = match item.map(|item| self.read(&item)).transpose()? {
            None => Err(removed()),
            Some(row) => match &row.lease {
                Lease { owner: None, .. } => Err(lost("it was released".into())),
                Lease { owner: Some(owner), nonce, .. }
                    if Some(owner) != ours.owner.as_ref() || *nonce != ours.nonce =>
                {
                    Err(lost(format!("{owner} claimed it")))
                }
                now if Some(now.counter) == refused_at => Err(lost("a leader of the KCL 3.x hands it over".into())),
                _ => Ok(row),
            },
        };
        let now = match row {
            Ok(row) if stores && self.moves.tried(ours).is_some_and(|tried| !tried.is_empty()) => Ok(row.lease),
            Ok(row) => self.resolve(row).await?.ok_or_else(removed),
            Err(error) => Err(error),
        };
        now.inspect_err(|_| self.moves.forget(ours))
    }
}

/// How a lease is let go.
#[derive(Debug)]
pub(super) struct End {
    pub(super) to: Option<WorkerId>,
}

impl End {
    /// Whether an item is as letting go makes it. Nobody else takes the nonce away, so it was done, and the answer lost.
    fn is_done(&self, item: &Item, new: &Lease) -> bool {
        let owner = item::text(item, item::LEASE_OWNER);
        let counter = item::number(item, item::LEASE_COUNTER);
        owner == self.to.as_deref() && counter == Some(new.counter) && !item.contains_key(item::NONCE)
    }

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

pub(super) fn owner(lease: &Lease) -> String {
    lease.owner.as_ref().map(ToString::to_string).unwrap_or_default()
}
