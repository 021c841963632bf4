//! What each operation of a store makes of a row: the conditions and the changes, for stores that can look at a row and
//! write it without anybody in between. Pure.

use super::{Lease, Nonce, Progress, Renewed, SubscriptionRecord, WorkerId};
use crate::error::{Error, ErrorKind, Result};

/// The row that a creation stores: nobody holds it.
pub(crate) fn create(lease: &Lease) -> Lease {
    Lease { owner: None, counter: 0, nonce: None, wanted_by: None, ..lease.clone() }
}

/// Whether no holder has written the row since it was seen.
pub(crate) fn is_unchanged(row: &Lease, seen: &Lease) -> bool {
    row.counter == seen.counter
}

/// Takes the lease for `me`; not when somebody was faster.
pub(crate) fn claim(row: &mut Lease, seen: &Lease, me: &WorkerId) -> bool {
    let unchanged = is_unchanged(row, seen);
    if unchanged {
        row.owner = Some(me.clone());
        row.nonce = Some(Nonce::random());
        row.wanted_by = None;
        row.counter += 1;
    }
    unchanged
}

/// Asks the holder to hand over to `me`; not when the holder is another one, or somebody else has asked.
pub(crate) fn request(row: &mut Lease, seen: &Lease, me: &WorkerId) -> bool {
    let may = row.owner.is_some() && row.owner == seen.owner && row.wanted_by.as_ref().is_none_or(|asker| asker == me);
    if may {
        row.wanted_by = Some(me.clone());
    }
    may
}

/// Renews the lease that its holder knows as `ours`, and takes progress in.
pub(crate) fn advance(row: Option<&mut Lease>, ours: &Lease, progress: Option<&Progress>) -> Result<Renewed> {
    let row = held(row, ours)?;
    if let Some(progress) = progress {
        row.apply(progress);
    }
    row.counter += 1;
    Ok(row.wanted_by.clone().map_or(Renewed::Held, Renewed::WantedBy))
}

/// Takes the last progress in and lets the lease that its holder knows as `ours` go.
pub(crate) fn release(
    row: Option<&mut Lease>,
    ours: &Lease,
    last: Option<&Progress>,
    to: Option<WorkerId>,
) -> Result<()> {
    let row = held(row, ours)?;
    if let Some(progress) = last {
        row.apply(progress);
    }
    row.owner = to;
    row.wanted_by = None;
    row.counter += 1;
    // A hand-over to the same worker is a new lease too: the old value must not write again.
    row.nonce = None;
    Ok(())
}

/// Sets cursors, backwards too; not when a holder has written since the row was seen.
pub(crate) fn reset(row: &mut Lease, seen: &Lease, to: &Progress) -> bool {
    let unchanged = is_unchanged(row, seen);
    if unchanged {
        row.cursors.retain(|name, _| !to.forgotten.contains(name));
        row.cursors.extend(to.cursors.clone());
        row.inherited = row.inherited.filter(|_| row.cursors.is_empty());
        row.children.extend(to.children.iter().cloned());
        row.nonce = Some(Nonce::random());
        row.counter += 1;
    }
    unchanged
}

/// The record that is stored in place of `stored`; none when that is not as it was seen.
pub(crate) fn put_subscription(
    stored: Option<&SubscriptionRecord>,
    seen: Option<&SubscriptionRecord>,
    new: &SubscriptionRecord,
) -> Option<SubscriptionRecord> {
    let stored = stored.map(|record| record.revision);
    let unchanged = stored == seen.map(|record| record.revision);
    unchanged.then(|| SubscriptionRecord { revision: stored.unwrap_or(0) + 1, ..new.clone() })
}

/// The row that `ours` stands for. Owner and nonce decide, not the counter: when the answer to a write was lost, the row
/// is ahead of its holder and still its own.
fn held<'a>(row: Option<&'a mut Lease>, ours: &Lease) -> Result<&'a mut Lease> {
    let lost = |now: String| {
        Error::new(ErrorKind::LeaseLost, format!("the lease of {} is lost: {now}", ours.key)).on_shard(&ours.key.shard)
    };
    match row {
        Some(row) if row.owner == ours.owner && row.nonce == ours.nonce => Ok(row),
        Some(Lease { owner: Some(owner), .. }) => Err(lost(format!("{owner} claimed it"))),
        Some(_) => Err(lost("it was released".into())),
        None => Err(lost("its row was removed".into())),
    }
}
