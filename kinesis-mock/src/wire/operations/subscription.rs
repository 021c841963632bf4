//! The operation that has the records of a shard pushed.

use std::pin::pin;
use std::time::Duration;

use kinesis_core::{Record, ShardId, StartPosition};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::positions::Asked;
use super::reading::{ChildShard, WireRecord};
use crate::account::{SubscribeRefused, Ticket};
use crate::stream::Request;
use crate::wire::codec::Timestamp;
use crate::wire::refusal::Refusal;
use crate::wire::target;
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// How long a subscription lasts (API reference of `SubscribeToShard`).
const LASTS: Duration = Duration::from_secs(300);
/// Without records, an empty event comes this often, so that the consumer sees that it is still subscribed.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The most records of one event.
const MAX_RECORDS: usize = 10_000;
/// The most bytes of one event, or one record of more.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    shard_id: Option<ShardId>,
    starting_position: Option<StartingPosition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartingPosition {
    r#type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
}

/// What a subscription pushes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Event {
    records: Vec<WireRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_sequence_number: Option<String>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    child_shards: Option<Vec<ChildShard>>,
}

/// Subscribes a consumer to a shard.
pub(in crate::wire) fn subscribe_to_shard(
    account: &Account,
    request: &SubscribeToShard,
) -> Result<Subscription, Refusal> {
    let arn = validation::required("consumerARN", request.consumer_arn.as_deref())?;
    let shard_id = validation::required("shardId", request.shard_id.as_ref())?;
    let start = validation::required("startingPosition", request.starting_position.as_ref())?;
    let (stream, consumer) = target::find_consumer(account, arn)?;
    if !consumer.phase.is_active() {
        return Err(Refusal::in_use(format!("Consumer {arn} is in state {}, not ACTIVE.", consumer.phase.status())));
    }
    let asked = Asked {
        operation: "SubscribeToShard",
        member: "startingPosition.type",
        r#type: &start.r#type,
        number: &start.sequence_number,
        time: start.timestamp,
    };
    let cursor = stream.with_log(|log, _| {
        let shard = log.get(shard_id).map_err(|_| target::unknown_shard(&stream, shard_id))?;
        asked.pin(&stream, log, shard)
    })?;
    let now = Instant::now();
    let subscribed = stream.with_consumers(|consumers| consumers.subscribe(&consumer.name, shard_id, now));
    let ticket = subscribed.map_err(|refused| match refused {
        SubscribeRefused::TooFast => Refusal::limit_exceeded(format!(
            "Rate exceeded for consumer {arn} and shard {shard_id}: one call per second is allowed."
        )),
        SubscribeRefused::InUse => Refusal::in_use(format!(
            "Another active subscription exists for consumer {arn} and shard {shard_id}: it is younger than five seconds."
        )),
    })?;
    // One that this one takes over from ends now.
    stream.wake();
    Ok(Subscription {
        stream,
        consumer: consumer.name,
        shard: shard_id.clone(),
        ticket,
        cursor,
        ends_at: now + LASTS,
        heartbeat_at: now + HEARTBEAT,
        not_before: now,
        is_over: false,
    })
}

/// A running subscription. It reads when it is asked for an event, so that a slow consumer holds up nobody else.
#[derive(Debug)]
pub(in crate::wire) struct Subscription {
    stream: MemoryStream,
    consumer: String,
    shard: ShardId,
    ticket: Ticket,
    cursor: StartPosition,
    ends_at: Instant,
    heartbeat_at: Instant,
    /// Where reads are limited, the time that the bytes so far take.
    not_before: Instant,
    is_over: bool,
}

impl Subscription {
    /// The next event, an error in place of all that would follow, or none at the end.
    pub(in crate::wire) async fn next(&mut self) -> Option<Result<Event, Refusal>> {
        let stream = self.stream.clone();
        while !self.is_over {
            // Listening before looking: a put in between is not missed.
            let mut changed = pin!(stream.changed());
            changed.as_mut().enable();
            let now = Instant::now();
            if now >= self.ends_at || !self.is_held() {
                break;
            }
            if stream.is_abandoned() {
                self.is_over = true;
                return Some(Err(Refusal::not_found(format!("Stream {} was deleted.", stream.id().name))));
            }
            let mut wait_until = self.not_before;
            if now >= self.not_before {
                match self.read(now) {
                    Ok(None) => wait_until = self.heartbeat_at,
                    Ok(Some(event)) => return Some(Ok(event)),
                    Err(refusal) => {
                        self.is_over = true;
                        return Some(Err(refusal));
                    }
                }
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wait_until.min(self.ends_at)) => {}
            }
        }
        self.is_over = true;
        None
    }

    /// Whether no other subscription has taken over and the consumer is still registered.
    fn is_held(&self) -> bool {
        self.stream.with_consumers(|consumers| consumers.holds(&self.consumer, &self.shard, self.ticket))
    }

    /// What there is to say now: records, the end of the shard, or that time has passed.
    fn read(&mut self, now: Instant) -> Result<Option<Event>, Refusal> {
        let request = Request { from: self.cursor, max_records: MAX_RECORDS, max_bytes: Some(MAX_BYTES) };
        let found = self.stream.with_log(|log, time| {
            let found = log.get(&self.shard)?.read(&request, time);
            let children = found.ended.then(|| log.children(&self.shard));
            Ok::<_, kinesis_core::Error>((found, children, log.last_number()))
        });
        let (found, children, last_number) = found.map_err(|_| target::unknown_shard(&self.stream, &self.shard))?;
        if found.records.is_empty() && children.is_none() && now < self.heartbeat_at {
            return Ok(None);
        }
        self.heartbeat_at = now + HEARTBEAT;
        if let Some(limits) = self.stream.settings().read_limits {
            let bytes: usize = found.records.iter().map(Record::size).sum();
            self.not_before = now + Duration::from_secs_f64(bytes as f64 / limits.bytes_per_second.max(1) as f64);
        }
        // At the tip all numbers given out so far are behind, so that even an idle shard makes progress.
        let reached = found.records.last().map_or(last_number, |last| last.sequence_number);
        self.cursor = StartPosition::After(reached);
        self.is_over = children.is_some();
        Ok(Some(Event {
            records: found.records.into_iter().map(WireRecord::from).collect(),
            continuation_sequence_number: (!self.is_over).then(|| reached.to_string()),
            millis_behind_latest: found.behind.as_millis() as u64,
            child_shards: children.map(|children| children.into_iter().map(ChildShard::from).collect()),
        }))
    }
}
