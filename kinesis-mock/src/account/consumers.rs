//! The registered consumers of one stream, and who of them is subscribed to which shard.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kinesis_core::ShardId;
use tokio::time::Instant;

use super::phase::Phase;

/// The most consumers of a stream (API reference of `RegisterStreamConsumer`).
pub(crate) const MAX_CONSUMERS: usize = 20;
/// How long a subscription keeps another of the same consumer away (API reference of `SubscribeToShard`).
const TAKEOVER_AFTER: Duration = Duration::from_secs(5);
/// The time between two calls for the same consumer and shard (API reference of `SubscribeToShard`).
const CALL_EVERY: Duration = Duration::from_secs(1);

/// One registered consumer.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) created_at: SystemTime,
    pub(crate) phase: Phase,
    subscribed: BTreeMap<ShardId, Subscribed>,
}

/// The calls of one consumer for one shard.
#[derive(Debug, Clone, Default)]
struct Subscribed {
    since: Option<Instant>,
    refused: Option<Instant>,
    current: Option<Ticket>,
}

/// Which of all subscriptions of a stream one is. The last one given out for a consumer and shard is the valid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeRefused {
    /// Called again within a second.
    TooFast,
    /// The one before is younger than five seconds.
    InUse,
}

/// The consumers of a stream by name.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    by_name: BTreeMap<String, Consumer>,
    tickets: u64,
    last_created_at: Option<SystemTime>,
}

impl Consumers {
    /// Lets the phases that are over by `now` end.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.by_name.retain(|_, consumer| consumer.phase.settle(now));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.by_name.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Consumer> {
        self.by_name.get(name)
    }

    /// Registers a consumer; the name is free. One that is registered again has another creation time, in whole seconds,
    /// because its ARN tells it from the one before by them.
    pub(crate) fn register(&mut self, name: &str, at: SystemTime, phase: Phase) -> Consumer {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let created_at = self.last_created_at.map_or(at, |last| at.max(last + Duration::from_secs(1)));
        self.last_created_at = Some(created_at);
        let consumer = Consumer { name: name.to_owned(), created_at, phase, subscribed: BTreeMap::new() };
        self.by_name.insert(name.to_owned(), consumer.clone());
        consumer
    }

    /// Lets a consumer be deleted; its subscriptions end with it.
    pub(crate) fn deregister(&mut self, name: &str, until: Instant) {
        if let Some(consumer) = self.by_name.get_mut(name) {
            consumer.phase = Phase::Deleting { until };
            consumer.subscribed.clear();
        }
    }

    /// Subscribes an existing consumer to a shard, in place of a subscription that is old enough.
    pub(crate) fn subscribe(&mut self, name: &str, shard: &ShardId, now: Instant) -> Result<Ticket, SubscribeRefused> {
        let Some(consumer) = self.by_name.get_mut(name) else { return Err(SubscribeRefused::InUse) };
        let subscribed = consumer.subscribed.entry(shard.clone()).or_default();
        let within = |last: Option<Instant>, time| last.is_some_and(|last| now < last + time);
        let refused = match () {
            () if within(subscribed.refused, CALL_EVERY) => Some(SubscribeRefused::TooFast),
            () if within(subscribed.since, TAKEOVER_AFTER) => Some(SubscribeRefused::InUse),
            () => None,
        };
        if let Some(refused) = refused {
            subscribed.refused = Some(now);
            return Err(refused);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        *subscribed = Subscribed { since: Some(now), refused: None, current: Some(ticket) };
        Ok(ticket)
    }

    /// Whether this subscription is still the one of its consumer and shard.
    pub(crate) fn holds(&self, name: &str, shard: &ShardId, ticket: Ticket) -> bool {
        let consumer = self.by_name.get(name);
        consumer.and_then(|consumer| consumer.subscribed.get(shard)).is_some_and(|s| s.current == Some(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> (Consumers, ShardId, Instant) {
        let mut consumers = Consumers::default();
        consumers.register("app", SystemTime::UNIX_EPOCH, Phase::Active);
        (consumers, ShardId::from("shardId-0"), Instant::now())
    }

    #[test]
    fn a_second_subscription_takes_over_after_five_seconds_and_not_before() {
        let (mut consumers, shard, start) = registered();
        let after = |millis| start + Duration::from_millis(millis);
        let first = consumers.subscribe("app", &shard, start).unwrap();
        assert_eq!(consumers.subscribe("app", &shard, after(4999)), Err(SubscribeRefused::InUse));
        assert!(consumers.holds("app", &shard, first));
        let second = consumers.subscribe("app", &shard, after(5999)).unwrap();
        assert!(consumers.holds("app", &shard, second) && !consumers.holds("app", &shard, first));
        assert!(consumers.subscribe("app", &ShardId::from("shardId-1"), after(5999)).is_ok());
    }

    #[test]
    fn whoever_is_refused_may_ask_again_after_a_second() {
        let (mut consumers, shard, start) = registered();
        let after = |millis| start + Duration::from_millis(millis);
        consumers.subscribe("app", &shard, start).unwrap();
        assert_eq!(consumers.subscribe("app", &shard, after(100)), Err(SubscribeRefused::InUse));
        assert_eq!(consumers.subscribe("app", &shard, after(200)), Err(SubscribeRefused::TooFast));
        assert_eq!(consumers.subscribe("app", &shard, after(1200)), Err(SubscribeRefused::InUse));
    }

    #[test]
    fn a_consumer_that_is_gone_holds_nothing_and_comes_back_with_another_creation_time() {
        let (mut consumers, shard, start) = registered();
        let before = consumers.get("app").unwrap().created_at;
        let ticket = consumers.subscribe("app", &shard, start).unwrap();
        consumers.deregister("app", start);
        assert!(!consumers.holds("app", &shard, ticket));
        consumers.settle(start);
        assert_eq!(consumers.len(), 0);
        let again = consumers.register("app", SystemTime::UNIX_EPOCH, Phase::Active);
        assert!(again.created_at > before);
    }
}
