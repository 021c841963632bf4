//! Subscriptions as the store has them: where they stand and how they are moved while no pipeline of theirs runs.
//!
//! A move here is the very write that [`Handle::seek`](super::Handle::seek) makes: the subscription's next generation. A
//! worker that is at work meanwhile takes it in when it looks at the store next.

use crate::error::{Error, Result};
use crate::lease::{CursorPosition, Lease, LeaseStore, SubscriptionRecord};
use crate::lineage::Lineage;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::SubscriptionName;
use crate::source::StreamSource;
use crate::worker::{Change, Place};

/// Where a subscription goes on in the shard of `row`. A cursor of an older generation does not count.
#[must_use]
pub fn position(record: &SubscriptionRecord, row: &Lease) -> CursorPosition {
    let has_ended = row.cursors.values().any(|cursor| cursor.position == CursorPosition::End);
    let closed = has_ended || !row.children.is_empty();
    match Place::of(record, &row.key.shard, closed, Some(row)) {
        Place::Finished => CursorPosition::End,
        Place::Reading(start) | Place::Unread(start) => CursorPosition::Next(start.position),
    }
}

/// Moves a subscription to the horizon, to the tip or to a time, on every shard of the source. The tip is the one of now,
/// unless the source cannot be read twice.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) when the store does not know the subscription,
/// [`Invalid`](crate::ErrorKind::Invalid) for a sequence number, [`Unsupported`](crate::ErrorKind::Unsupported) for a time
/// where the source knows none, and what the source or the store met.
pub async fn seek(
    source: &dyn StreamSource,
    store: &dyn LeaseStore,
    name: &SubscriptionName,
    to: StartPosition,
) -> Result<SubscriptionRecord> {
    if let StartPosition::At(number) | StartPosition::After(number) = to {
        return Err(Error::invalid(format!(
            "subscription {name:?} cannot go to record {number} on every shard: a sequence number belongs to one shard"
        )));
    }
    check_time(source, to)?;
    let listing = source.list_shards().await?;
    Change::Seek(to, &listing).write(source, store, name).await
}

/// Moves a subscription on one shard. The shards that came from it are read again from their beginning, after it.
///
/// # Errors
///
/// As [`seek`], but for numbers; [`NotFound`](crate::ErrorKind::NotFound) for a shard that the source does not list.
pub async fn seek_shard(
    source: &dyn StreamSource,
    store: &dyn LeaseStore,
    name: &SubscriptionName,
    shard: &ShardId,
    to: StartPosition,
) -> Result<SubscriptionRecord> {
    check_time(source, to)?;
    let listing = source.list_shards().await?;
    let family = family(&listing, shard)
        .ok_or_else(|| Error::not_found("there is no such shard, or the stream does not retain it").on_shard(shard))?;
    Change::SeekShard(shard, to, &family).write(source, store, name).await
}

fn check_time(source: &dyn StreamSource, to: StartPosition) -> Result<()> {
    if matches!(to, StartPosition::Timestamp(_)) && !source.caps().timestamps {
        return Err(Error::unsupported(format!("the source cannot be read from a time on; {to} was asked for")));
    }
    Ok(())
}

/// A shard of a listing and every shard that came from it; nothing when it is not listed.
fn family(listing: &[Shard], shard: &ShardId) -> Option<Vec<ShardId>> {
    let mut lineage = Lineage::new();
    lineage.observe_listing(listing);
    let descendants = lineage.descendants(shard);
    lineage.contains(shard).then(|| std::iter::once(shard).chain(descendants).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Cursor, Progress};
    use crate::wrap::scripted::Scripted;
    use crate::{ErrorKind, MemoryLeaseStore, SequenceNumber, StreamId};

    fn after(number: u64) -> StartPosition {
        StartPosition::After(SequenceNumber::from(number))
    }

    fn row(generation: u64, position: CursorPosition) -> Lease {
        let mut row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
        row.apply(&Progress::new([("audit".into(), Cursor::new(generation, position))]));
        row
    }

    #[tokio::test]
    async fn a_move_voids_the_cursors_before_it() {
        let (source, store) = (Scripted::new(["0", "1"]), MemoryLeaseStore::new());
        let name = SubscriptionName::from("audit");
        let missing = seek(&source, &store, &name, StartPosition::TrimHorizon).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let shards = ["0", "1"].map(ShardId::from);
        let record = SubscriptionRecord::new(source.stream(), name.clone(), StartPosition::TrimHorizon, shards);
        store.put_subscription(None, &record).await.unwrap();
        let old = row(1, CursorPosition::Next(after(7)));
        assert_eq!(position(&record, &old), CursorPosition::Next(after(7)));
        let sought = seek(&source, &store, &name, StartPosition::TrimHorizon).await.unwrap();
        assert_eq!(position(&sought, &old), CursorPosition::Next(StartPosition::TrimHorizon));
        let sought = seek_shard(&source, &store, &name, &"0".into(), after(3)).await.unwrap();
        assert_eq!(position(&sought, &old), CursorPosition::Next(after(3)));
        assert_eq!(store.subscriptions().await.unwrap(), [sought]);
        let everywhere = seek(&source, &store, &name, after(3)).await.unwrap_err();
        assert_eq!(everywhere.kind(), ErrorKind::Invalid);
        let nowhere = seek_shard(&source, &store, &name, &"9".into(), after(3)).await.unwrap_err();
        assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_family_is_a_shard_and_what_came_from_it() {
        let child = |id: &str, parent: &str| Shard::new(id).with_parents([parent.into()]);
        let listing = [Shard::new("0"), Shard::new("1"), child("2", "0"), child("3", "2")];
        assert_eq!(family(&listing, &"0".into()).unwrap(), ["0", "2", "3"].map(ShardId::from));
        assert_eq!(family(&listing, &"9".into()), None);
    }
}
