//! A cursor in one shard that is pushed to: what came is handed out, and a subscription that is over is followed by another.

use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use kinesis_core::{Batch, Error, Result, ShardId, ShardReader, StartPosition, StreamName, wall_clock};
use tokio::time::Instant;

use super::subscription::{Subscription, Told};
use super::taken::{Shards, Taken};
use crate::WireFormat;
use crate::cursor::Cursor;
use crate::fast::Refused;
use crate::place::Place;
use crate::reader::{AGAIN, Poller};

/// For so long a shard is polled when another subscription of the consumer holds it. Five seconds after that one began the
/// next takes over (API reference of `SubscribeToShard`).
const POLLS_FOR: Duration = Duration::from_secs(1);
/// So often in a row the shard may be in use before somebody is told.
const IN_USE_AT_MOST: u32 = 20;
/// How soon a time that is still to come is asked for again.
const TOO_EARLY_AGAIN: Duration = Duration::from_secs(1);

/// What all subscriptions of a consumer share.
#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) client: Client,
    pub(crate) stream: StreamName,
    /// The ARN of the consumer.
    pub(crate) consumer: String,
    pub(crate) wire_format: WireFormat,
    fast: AtomicBool,
    shards: Shards,
}

impl FanOut {
    pub(crate) fn new(
        client: Client,
        stream: StreamName,
        consumer: String,
        fast: bool,
        wire_format: WireFormat,
    ) -> Self {
        Self { client, stream, consumer, wire_format, fast: AtomicBool::new(fast), shards: Shards::default() }
    }

    /// The right to subscribe to a shard, unless a reader has it.
    pub(crate) fn take(&self, shard: &ShardId) -> Option<Taken> {
        self.shards.take(shard)
    }

    pub(super) fn is_fast(&self) -> bool {
        self.fast.load(Ordering::Relaxed)
    }

    /// Leaves reading to the SDK from now on, because the fast way did not understand an event.
    pub(super) fn go_the_plain_way(&self, refused: Refused) {
        if self.fast.swap(false, Ordering::Relaxed) {
            tracing::warn!(stream = %self.stream, %refused, "the SDK reads this stream from now on, which takes longer");
        }
    }
}

/// Reads one shard with `SubscribeToShard`.
#[derive(Debug)]
pub(crate) struct FanOutReader {
    fan_out: Arc<FanOut>,
    cursor: Cursor,
    /// Where the next subscription begins.
    place: Place,
    subscription: Option<Subscription>,
    /// What the service's clock showed, and when that was.
    clock: Option<(SystemTime, Instant)>,
    /// Opened at the tip, it tells first where that is: whoever pins the tip does not wait for a record.
    tells_tip: bool,
    /// Asks for records while another subscription holds the shard, so that a reader that lives but shortly reads, too.
    poller: Poller,
    /// Until when it does, and how often in a row the shard was in use.
    polls_until: Option<Instant>,
    in_use: u32,
    /// The shard is this reader's to subscribe to while it lives.
    taken: Taken,
}

impl FanOutReader {
    /// Opens a cursor. Only the tip is subscribed to at once: any other position is fixed by itself.
    pub(crate) async fn open(
        fan_out: Arc<FanOut>,
        taken: Taken,
        poller: Poller,
        from: StartPosition,
        cursor: Cursor,
    ) -> Result<Self> {
        let place = cursor.place();
        let tells_tip = from == StartPosition::Latest;
        let (subscription, clock, polls_until, in_use) = (None, None, None, 0);
        let mut reader =
            Self { fan_out, cursor, place, subscription, clock, tells_tip, poller, polls_until, in_use, taken };
        if tells_tip {
            reader.pin_latest().await?;
        }
        Ok(reader)
    }

    /// Subscribes at the tip, and notes the instant to go back to should that break off before its first event.
    async fn pin_latest(&mut self) -> Result<()> {
        let before = wall_clock::now();
        let at = match self.ask().await? {
            Some(Told::Stands(at)) => at.unwrap_or(before),
            Some(Told::InUse) => {
                self.begin_to_poll();
                self.poller.pin_latest().await?
            }
            _ => {
                return Err(Error::contract("a subscription tells first whether it stands").on_shard(self.shard()));
            }
        };
        self.cursor.pin(at);
        self.place = self.cursor.place();
        Ok(())
    }

    fn shard(&self) -> &ShardId {
        self.taken.shard()
    }

    /// Another subscription holds the shard: until it is asked for again, this reader polls.
    fn begin_to_poll(&mut self) {
        self.subscription = None;
        self.poller.forget();
        self.polls_until = Some(Instant::now() + POLLS_FOR);
        self.in_use += 1;
        if self.in_use == IN_USE_AT_MOST {
            let (consumer, shard) = (&self.fan_out.consumer, self.shard());
            tracing::warn!(
                %shard,
                "another subscription of the consumer {consumer} holds the shard, which is polled for now: give each \
                 application its own consumer"
            );
        }
    }

    async fn poll(&mut self, max: NonZeroUsize) -> Result<Batch> {
        if let Some((answer, served_at)) = self.poller.fetch(self.place, max).await? {
            let moves = !answer.records.is_empty();
            self.cursor.accept(answer, served_at);
            if moves {
                self.place = self.cursor.place();
            }
        }
        let mut batch = self.cursor.hand_out(max);
        if batch.records.is_empty() {
            batch.again = Some(AGAIN);
        }
        Ok(batch)
    }

    /// Asks the subscription, or a new one; none when that is over.
    async fn ask(&mut self) -> Result<Option<Told>> {
        let new = || Subscription::start(&self.fan_out, self.taken.shard(), self.place);
        let told = self.subscription.get_or_insert_with(new).next().await.transpose();
        if !matches!(told, Ok(Some(_))) {
            self.subscription = None;
        }
        let told = told?;
        if let Some(Told::Stands(at)) = told {
            self.clock = at.map(|at| (at, Instant::now())).or(self.clock);
            self.in_use = 0;
        }
        Ok(told)
    }

    /// What the clock of the service shows now, where known: it told once, and time passes here as it does there.
    fn served_at(&self) -> Option<SystemTime> {
        self.clock.map(|(at, since)| at + since.elapsed())
    }
}

#[async_trait]
impl ShardReader for FanOutReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        if mem::take(&mut self.tells_tip) {
            return Ok(self.cursor.hand_out(max));
        }
        // Nothing changes between what somebody tells and its taking over: dropping this is safe.
        while self.cursor.is_empty() {
            if self.polls_until.is_some_and(|until| Instant::now() < until) {
                return self.poll(max).await;
            }
            match self.ask().await? {
                None | Some(Told::Stands(_)) => {}
                Some(Told::InUse) => self.begin_to_poll(),
                Some(Told::TooEarly) => {
                    self.subscription = None;
                    return Ok(Batch::empty().with_again(TOO_EARLY_AGAIN));
                }
                Some(Told::Answer(answer)) => {
                    let next = answer.next.as_deref().map(str::parse).transpose();
                    let next = next.map_err(|error| {
                        // What comes after it would pass over its records.
                        self.subscription = None;
                        Error::contract("a continuation is no number").because(error).on_shard(self.shard())
                    })?;
                    self.cursor.accept(answer, self.served_at());
                    // It moves on without records as well. What is after it was never sent.
                    self.place = next.map_or(self.place, Place::After);
                    break;
                }
            }
        }
        Ok(self.cursor.hand_out(max))
    }
}
