//! A lease as an item of the KCL's table, attribute for attribute.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::lease::{Nonce, WorkerId};
use kinesis_core::{Error, HashRange, Lease, Result, ShardId};

use super::checkpoint::Checkpoint;
use super::cursors::{Attribute, Unreadable, Written};
use super::key::Keys;

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The attributes of the KCL 2.x.
pub(super) const LEASE_KEY: &str = "leaseKey";
pub(super) const LEASE_OWNER: &str = "leaseOwner";
pub(super) const LEASE_COUNTER: &str = "leaseCounter";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(super) const PENDING: [&str; 3] =
    ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];
pub(super) const PARENTS: &str = "parentShardId";
pub(super) const CHILDREN: &str = "childShardIds";
const HASH_START: &str = "startingHashKey";
const HASH_END: &str = "endingHashKey";
const STREAM_NAME: &str = "streamName";
const SHARD_ID: &str = "shardId";

/// Attributes of the KCL 3.x.
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
const ENTITY_TYPE: &str = "entityType";

/// Attributes of our own, which the KCL leaves alone.
pub(super) const NONCE: &str = "nonce";
pub(super) const WANTED_BY: &str = "wantedBy";
pub(super) const CURSORS: &str = "cursors";
/// The stream of a lease whose key does not tell it.
pub(super) const OF_STREAM: &str = "ofStream";

/// A lease that was read; its cursors may have to be looked for still.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The lease, without its cursors.
    pub(super) lease: Lease,
    pub(super) checkpoint: Checkpoint,
    /// Our attribute; a row of a KCL worker has none.
    pub(super) cursors: Option<Attribute>,
}

/// What an item is that is no lease of ours.
#[derive(Debug)]
pub(super) enum NoLease {
    /// Something else, or a lease that nobody can read: it is left alone. Why.
    Foreign(&'static str),
    /// Nothing that may be passed over.
    Refused(Error),
}

impl Row {
    /// Puts the cursors into the lease.
    pub(super) fn resolved(self, written: Option<Written>) -> Lease {
        let Self { mut lease, checkpoint, .. } = self;
        (lease.cursors, lease.inherited) = match written {
            Some(written) => written.resolve(checkpoint),
            None => (Default::default(), checkpoint.position()),
        };
        lease
    }
}

/// Reads an item.
pub(super) fn read(keys: &Keys, item: &Item) -> Result<Row, NoLease> {
    if text(item, ENTITY_TYPE).is_some_and(|kind| kind != "LEASE") {
        return Err(NoLease::Foreign("its entityType is not LEASE"));
    }
    let lease_key = text(item, LEASE_KEY).ok_or(NoLease::Foreign("it has no leaseKey"))?;
    // The KCL counts in 63 bits.
    let counter = number(item, LEASE_COUNTER).filter(|counter| *counter < i64::MAX as u64);
    let counter = counter.ok_or(NoLease::Foreign("it has no leaseCounter"))?;
    let checkpoint = text(item, CHECKPOINT).ok_or(NoLease::Foreign("it has no checkpoint"))?;
    let sub = match item.get(CHECKPOINT_SUB) {
        None => 0,
        Some(_) => number(item, CHECKPOINT_SUB).ok_or(NoLease::Foreign("its checkpointSubSequenceNumber is none"))?,
    };
    let checkpoint = Checkpoint::read(checkpoint, sub).ok_or(NoLease::Foreign("its checkpoint is none"))?;
    let stream = text(item, STREAM_NAME);
    check_mode(keys, lease_key, stream)?;
    if let Some(of) = text(item, OF_STREAM).filter(|of| keys.is_of_another(of)) {
        return Err(NoLease::Refused(Error::invalid(format!(
            "the lease {lease_key:?} is of the stream {of} (account:name:second of creation), not of this one: a stream that \
             was created anew needs another lease table, or this one emptied"
        ))));
    }
    let key = keys
        .read(lease_key, stream, text(item, SHARD_ID))
        .ok_or(NoLease::Foreign("its leaseKey is not made of its streamName and shardId"))?;
    let cursors = match item.get(CURSORS) {
        None => None,
        Some(AttributeValue::B(bytes)) => {
            Some(Attribute::decode(bytes.as_ref()).map_err(|unreadable| refuse(lease_key, unreadable))?)
        }
        Some(_) => return Err(refuse(lease_key, Unreadable::Damaged)),
    };
    let mut lease = Lease::new(&key.stream, &kinesis_core::Shard::new(key.shard));
    lease.owner = text(item, LEASE_OWNER).filter(|owner| !owner.is_empty()).map(WorkerId::from);
    lease.counter = counter;
    lease.nonce = number(item, NONCE).map(Nonce::new);
    lease.wanted_by = text(item, WANTED_BY).map(WorkerId::from);
    lease.parents = shards(item, PARENTS);
    lease.children = shards(item, CHILDREN);
    lease.hash_range = hash_range(item);
    Ok(Row { lease, checkpoint, cursors })
}

/// A lease of the other kind of table must not be taken for none: everything would be read again.
fn check_mode(keys: &Keys, lease_key: &str, stream: Option<&str>) -> Result<(), NoLease> {
    let (is, wanted) = match (keys, stream) {
        (Keys::OneStream(_), Some(_)) => ("many streams share", "with multi_stream(true)"),
        (Keys::ManyStreams(_), None) => ("one stream has for itself", "without multi_stream, and with its stream"),
        _ => return Ok(()),
    };
    Err(NoLease::Refused(Error::invalid(format!(
        "the lease {lease_key:?} is of a table that {is}: make the store {wanted}, or use another table"
    ))))
}

fn refuse(lease_key: &str, unreadable: Unreadable) -> NoLease {
    NoLease::Refused(
        Error::invalid(format!("the lease {lease_key:?} cannot be read: {unreadable}")).because(unreadable),
    )
}

/// A new item: a lease that nobody holds.
pub(super) fn create(keys: &Keys, lease: &Lease, checkpoint: Checkpoint, cursors: Option<Vec<u8>>) -> Result<Item> {
    let spelled = keys.spell(&lease.key)?;
    let mut item = Item::from([
        (LEASE_KEY.to_owned(), AttributeValue::S(spelled.lease_key)),
        (LEASE_COUNTER.to_owned(), number_value(0)),
        (CHECKPOINT.to_owned(), AttributeValue::S(checkpoint.word())),
        (CHECKPOINT_SUB.to_owned(), number_value(checkpoint.sub())),
        (OWNER_SWITCHES.to_owned(), number_value(0)),
    ]);
    if let Some(cursors) = cursors {
        item.insert(CURSORS.to_owned(), AttributeValue::B(Blob::new(cursors)));
    }
    if let Some(stream) = keys.of_stream() {
        item.insert(OF_STREAM.to_owned(), AttributeValue::S(stream));
    }
    if let Some(stream) = spelled.stream {
        item.insert(STREAM_NAME.to_owned(), AttributeValue::S(stream));
        item.insert(SHARD_ID.to_owned(), AttributeValue::S(lease.key.shard.to_string()));
    }
    // A set cannot be empty: without one there is no attribute.
    for (name, shards) in [(PARENTS, &lease.parents), (CHILDREN, &lease.children)] {
        if !shards.is_empty() {
            item.insert(name.to_owned(), set_value(shards));
        }
    }
    // The KCL reads no lease of a single key; without a range it reads it.
    if let Some(range) = lease.hash_range.filter(|range| range.start < range.end) {
        item.insert(HASH_START.to_owned(), AttributeValue::S(range.start.to_string()));
        item.insert(HASH_END.to_owned(), AttributeValue::S(range.end.to_string()));
    }
    Ok(item)
}

pub(super) fn number_value(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn set_value(shards: &BTreeSet<ShardId>) -> AttributeValue {
    AttributeValue::Ss(shards.iter().map(ToString::to_string).collect())
}

pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

pub(super) fn number(item: &Item, name: &str) -> Option<u64> {
    match item.get(name)? {
        AttributeValue::N(number) => number.parse().ok(),
        _ => None,
    }
}

fn shards(item: &Item, name: &str) -> BTreeSet<ShardId> {
    match item.get(name) {
        Some(AttributeValue::Ss(ids)) => ids.iter().map(|id| ShardId::from(&**id)).collect(),
        // No version writes a single one; reading it costs nothing.
        Some(AttributeValue::S(id)) => [ShardId::from(&**id)].into(),
        _ => BTreeSet::new(),
    }
}

fn hash_range(item: &Item) -> Option<HashRange> {
    let start = text(item, HASH_START)?.parse().ok()?;
    let end = text(item, HASH_END)?.parse().ok()?;
    Some(HashRange { start, end }).filter(|_| start <= end)
}
