//! From the types of the SDK to those of the toolkit. What the service must not answer is a broken contract.

use std::fmt::Display;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types as sdk;
use kinesis_core::{Error, HashRange, Record, Result, SequenceNumber, Shard, ShardId};

use crate::answer::Answer;

/// What `GetRecords` answered.
pub(crate) fn answer(output: GetRecordsOutput) -> Result<Answer> {
    Ok(Answer {
        records: records(output.records)?,
        next: output.next_shard_iterator,
        behind_latest: output.millis_behind_latest.map(millis),
        children: children(output.child_shards)?,
    })
}

/// What one event of a subscription holds.
pub(crate) fn event(event: sdk::SubscribeToShardEvent) -> Result<Answer> {
    let next = Some(event.continuation_sequence_number).filter(|number| !number.is_empty());
    Ok(Answer {
        records: records(event.records)?,
        // The SDK makes an empty text of a number that is left out.
        next,
        behind_latest: Some(millis(event.millis_behind_latest)),
        children: children(event.child_shards)?,
    })
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.max(0) as u64)
}

fn children(children: Option<Vec<sdk::ChildShard>>) -> Result<Vec<Shard>> {
    children.unwrap_or_default().iter().map(child).collect()
}

fn records(records: Vec<sdk::Record>) -> Result<Vec<Record>> {
    let mut converted = Vec::with_capacity(records.len());
    let mut rest = records.into_iter();
    while !rest.as_slice().is_empty() {
        fetch(rest.as_slice().iter().take(AT_ONCE));
        for one in rest.by_ref().take(AT_ONCE) {
            converted.push(record(one)?);
        }
    }
    Ok(converted)
}

/// How many records are fetched at once: about as many reads as a core has under way.
const AT_ONCE: usize = 16;

/// Reads the ends of the texts of some records, and where the payload would say that it is an aggregate. The SDK has made
/// megabytes since it wrote them, so that they come from far away; asked for together, they come together, and not each
/// when its turn is.
fn fetch<'a>(records: impl Iterator<Item = &'a sdk::Record>) {
    let ends = |text: &str| text.bytes().next().unwrap_or(0) ^ text.bytes().next_back().unwrap_or(0);
    let of_record = |record: &sdk::Record| {
        let key = record.partition_key.as_deref().unwrap_or_default();
        let payload = record.data.as_ref().first().copied().unwrap_or(0);
        ends(&record.sequence_number) ^ ends(key) ^ payload
    };
    black_box(records.fold(0, |all, record| all ^ of_record(record)));
}

/// A record as it was read. Its payload is taken over, not copied.
pub(crate) fn record(record: sdk::Record) -> Result<Record> {
    let number = sequence_number(&record.sequence_number)?;
    let data = record.data.into_bytes();
    let mut converted = Record::new(number, record.partition_key.unwrap_or_default(), data);
    converted.arrived_at = record.approximate_arrival_timestamp.as_ref().and_then(to_millis);
    Ok(converted)
}

/// A shard of a listing.
pub(crate) fn shard(shard: &sdk::Shard) -> Result<Shard> {
    let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
    let mut converted = Shard::new(shard.shard_id()).with_parents(parents.into_iter().flatten().map(ShardId::from));
    converted.hash_range = shard.hash_key_range().map(hash_range).transpose()?;
    if let Some(range) = shard.sequence_number_range() {
        converted = converted.with_starting_sequence_number(sequence_number(range.starting_sequence_number())?);
        if let Some(end) = range.ending_sequence_number() {
            converted = converted.with_end(Some(sequence_number(end)?));
        }
    }
    Ok(converted)
}

/// A shard that carries on after the end of another.
fn child(shard: &sdk::ChildShard) -> Result<Shard> {
    let parents = shard.parent_shards().iter().map(|parent| ShardId::from(parent.as_str()));
    let mut converted = Shard::new(shard.shard_id()).with_parents(parents);
    converted.hash_range = shard.hash_key_range().map(hash_range).transpose()?;
    Ok(converted)
}

/// The time to the millisecond, which is what the service stamps.
///
/// JSON carries it as a binary fraction of seconds that may lie a hair below, so cutting off would lose a millisecond.
pub(crate) fn to_millis(time: &DateTime) -> Option<SystemTime> {
    let whole = Duration::from_secs(time.secs().try_into().ok()?);
    let millis = (time.subsec_nanos() + 500_000) / 1_000_000;
    SystemTime::UNIX_EPOCH.checked_add(whole + Duration::from_millis(millis.into()))
}

fn sequence_number(text: &str) -> Result<SequenceNumber> {
    text.parse().map_err(broken)
}

fn hash_range(range: &sdk::HashKeyRange) -> Result<HashRange> {
    let key = |text: &str| text.parse().map_err(broken);
    Ok(HashRange { start: key(range.starting_hash_key())?, end: key(range.ending_hash_key())? })
}

fn broken(error: impl Display + Into<kinesis_core::BoxError>) -> Error {
    Error::contract(format!("the service answered what it must not: {error}")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrival_times_are_rounded_to_the_millisecond_not_cut() {
        // 0.289 s as a binary fraction is 0.28899999...: cut off, half of all arrivals came out a millisecond early.
        for millis in (1_704_067_200_000..1_704_067_201_000).chain([0, 1]) {
            let time = DateTime::from_secs_f64(millis as f64 / 1000.0);
            assert_eq!(to_millis(&time), Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)));
        }
        assert_eq!(to_millis(&DateTime::from_secs(-5)), None);
    }
}
