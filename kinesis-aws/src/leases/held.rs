//! Writing as the holder of a lease: on the condition that nobody else has written since, our own lost writes aside.

use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{HeldLease, Progress, WorkerId};
use kinesis_core::{Error, ErrorKind, Lease, Result};

use super::calls::Written;
use super::item::{self, Item, number_value};
use super::rows::Rows;
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
                    let item = self.now(key, told).await?;
                    if let Some(item) =
                        item.as_ref().filter(|item| end.as_ref().is_some_and(|end| end.is_done(item, &new)))
                    {
                        return Ok(self.read(item)?.lease);
                    }
                    lease = self.still_held(held, &lease, item).await?;
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
    async fn still_held(&self, held: &HeldLease, known: &Lease, item: Option<Item>) -> Result<Lease> {
        let ours = held.lease();
        let lost = |now: String| {
            let message = format!("the lease of {} is lost: {now}", ours.key);
            Error::new(ErrorKind::LeaseLost, message).on_shard(&ours.key.shard)
        };
        let row = match item.map(|item| self.read(&item)).transpose()? {
            None => Err(lost("its item was removed".into())),
            Some(row) => match &row.lease {
                Lease { owner: None, .. } => Err(lost("it was released".into())),
                Lease { owner: Some(owner), nonce, .. }
                    if Some(owner) != ours.owner.as_ref() || *nonce != ours.nonce =>
                {
                    Err(lost(format!("{owner} claimed it")))
                }
                now if now.counter == known.counter => Err(lost("a leader of the KCL 3.x hands it over".into())),
                _ => Ok(row),
            },
        };
        match row {
            Ok(row) => self.resolve(row).await,
            Err(error) => {
                self.moved().remove(&ours.key);
                Err(error)
            }
        }
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
