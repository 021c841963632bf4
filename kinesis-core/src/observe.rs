//! What happens inside a pipeline, as it happens: one trait, one enum of events.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::record::SequenceNumber;
use crate::shard::{ShardId, StartPosition};
use crate::sink::SubscriptionName;

/// Is told what happens. Called on the pipeline's own tasks, so it must not block: count, log, or send on.
pub trait Observer: Debug + Send + Sync + 'static {
    /// Takes one event.
    fn on(&self, event: &Event);
}

impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn on(&self, event: &Event) {
        (**self).on(event);
    }
}

/// The observer that nobody asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: &Event) {}
}

/// Something that happened in a pipeline.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// This worker holds the shard now.
    LeaseClaimed {
        /// The shard.
        shard: ShardId,
    },
    /// The shard went to somebody else before it was let go.
    LeaseLost {
        /// The shard.
        shard: ShardId,
    },
    /// The shard was let go in order.
    LeaseReleased {
        /// The shard.
        shard: ShardId,
    },
    /// A renewal was sent later than it was due.
    RenewalLate {
        /// The shard.
        shard: ShardId,
        /// By how much.
        late: Duration,
    },
    /// A reader was opened.
    ShardOpened {
        /// The shard.
        shard: ShardId,
        /// Where.
        from: StartPosition,
    },
    /// A read returned.
    BatchRead {
        /// The shard.
        shard: ShardId,
        /// How many records; 0 for an empty answer.
        records: usize,
        /// Their payloads and keys, in bytes.
        bytes: usize,
        /// How far behind the tip the reader is, where the source knows.
        behind_latest: Option<Duration>,
    },
    /// A read or an opening failed and will be tried again.
    ReadFailed {
        /// The shard.
        shard: ShardId,
        /// What kind of failure.
        kind: ErrorKind,
        /// The wait before the next try.
        retry_in: Duration,
    },
    /// The shard has no more records.
    ShardEnded {
        /// The shard.
        shard: ShardId,
        /// The shards that carry on.
        children: Vec<ShardId>,
    },
    /// A subscription has settled everything of an ended shard.
    ShardFinished {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
    },
    /// Records arrived at the sink for good.
    Delivered {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// How many records.
        records: usize,
        /// How long the sink took.
        took: Duration,
    },
    /// An attempt left records undelivered.
    AttemptFailed {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// How many records are to be tried again or given up.
        records: usize,
        /// Which attempt it was, from 1 on.
        attempt: u32,
        /// What the sink said, in one line.
        reason: String,
    },
    /// The sink is busy; the records wait. Not an attempt.
    SinkBusy {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// How many records wait.
        records: usize,
        /// For how long.
        wait: Duration,
    },
    /// A record was rejected or exhausted, and its dead letter is stored.
    DeadLettered {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// How many records.
        records: usize,
        /// Why, for the first of them.
        reason: String,
    },
    /// A record was rejected or exhausted, and passed over as configured.
    Skipped {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// How many records.
        records: usize,
        /// Why, for the first of them.
        reason: String,
    },
    /// A subscription stopped at a record that it may not pass over.
    Halted {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// Records were trimmed before a subscription had read them: they are lost to it.
    Gap {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
        /// Where it should have gone on.
        from: StartPosition,
        /// The first record that is still there; `None` when the shard has ended without one.
        to: Option<SequenceNumber>,
        /// The time between the last record it had settled, or the time until which it had everything, and that record,
        /// where both are known.
        lasted: Option<Duration>,
    },
    /// A subscription has fallen so far behind that the shard's front reader has let go of what it needs: it gets a reader
    /// of its own, when there is one.
    FellBehind {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
    },
    /// A subscription is back at the shard's front reader.
    CaughtUp {
        /// The subscription.
        subscription: SubscriptionName,
        /// The shard.
        shard: ShardId,
    },
    /// The progress of a shard was stored.
    ProgressStored {
        /// The shard.
        shard: ShardId,
    },
    /// Storing progress or renewing failed and will be tried again.
    StoreFailed {
        /// The shard.
        shard: ShardId,
        /// What kind of failure.
        kind: ErrorKind,
    },
    /// A call to the store consumed capacity that is paid for. Told by stores that know it; a call that failed tells nothing.
    StoreConsumed {
        /// Read capacity units.
        reads: f64,
        /// Write capacity units.
        writes: f64,
    },
    /// The pipeline was asked to stop: nothing more is read, what is in flight is finished.
    Draining,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_is_object_safe() {
        fn observer(_: Option<&dyn Observer>) {}
        observer(None);
    }
}
