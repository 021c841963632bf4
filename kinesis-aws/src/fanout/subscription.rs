//! One subscription to a shard, read on a task of its own: one event ahead of whoever asks, and given up when nobody does.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kinesis_core::{Error, Result, ShardId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::events::{self, Subscribed};
use super::reader::FanOut;
use crate::answer::Answer;
use crate::place::Place;

/// A subscription is renewed after this long, before the service ends it after five minutes (API reference of
/// `SubscribeToShard`).
const LASTS: Duration = Duration::from_secs(4 * 60 + 50);
/// The service sends something every few seconds, an event without records if need be. A connection that is silent for so
/// long is dead, whatever it looks like.
const SILENCE: Duration = Duration::from_secs(35);
/// Nobody has asked for so long: a subscription that nobody reads fills the windows of the connection that others share.
const UNASKED: Duration = Duration::from_secs(5);
/// What a subscription tells.
#[derive(Debug)]
pub(super) enum Told {
    /// It stands, and did so at this time of the service, where known.
    Stands(Option<SystemTime>),
    /// Records, or none; the end of the shard.
    Answer(Answer),
    /// Another subscription of the consumer holds the shard.
    InUse,
    /// The time to start at has not come yet.
    TooEarly,
}

/// A subscription under way. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Subscription {
    told: mpsc::Receiver<Result<Told>>,
    task: JoinHandle<()>,
}

impl Subscription {
    /// Subscribes to a shard from a place on.
    pub(super) fn start(fan_out: &Arc<FanOut>, shard: &ShardId, from: Place) -> Self {
        let (tell, told) = mpsc::channel(1);
        let task = Task { fan_out: Arc::clone(fan_out), shard: shard.clone(), tell };
        Self { told, task: tokio::spawn(task.run(from)) }
    }

    /// What it tells next; `None` when it is over, and another one goes on where this one stopped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Result<Told>> {
        self.told.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    fan_out: Arc<FanOut>,
    shard: ShardId,
    tell: mpsc::Sender<Result<Told>>,
}

impl Task {
    async fn run(self, from: Place) {
        if let Err(error) = self.read(from).await {
            // Whoever dropped the other end has no use for it.
            let _ = self.tell.send(Err(error.on_shard(&self.shard))).await;
        }
    }

    /// Subscribes and hands on what comes, until it is time for another subscription.
    async fn read(&self, from: Place) -> Result<()> {
        let (mut events, at) = match events::subscribe(&self.fan_out, &self.shard, from).await? {
            Subscribed::Stands(events, at) => (events, at),
            Subscribed::InUse => return self.tell(Told::InUse).await,
            Subscribed::TooEarly => return self.tell(Told::TooEarly).await,
        };
        let ends_at = Instant::now() + LASTS;
        self.tell(Told::Stands(at)).await?;
        let mut is_first = true;
        loop {
            // Room first: what is read is handed on, so that nothing is left here when this ends.
            let Ok(room) = timeout(UNASKED, self.tell.reserve()).await else { return Ok(()) };
            let Ok(room) = room else { return Ok(()) };
            let event = tokio::select! {
                event = events.next(&self.fan_out) => event?,
                () = sleep_until(ends_at) => return Ok(()),
                () = sleep(SILENCE) => return Err(silent()),
            };
            match event {
                Some(answer) => {
                    let ended = answer.next.is_none();
                    room.send(Ok(Told::Answer(answer)));
                    if ended {
                        return Ok(());
                    }
                }
                // It would be subscribed to again and again.
                None if is_first => return Err(Error::transient("the subscription ended before its first event")),
                None => return Ok(()),
            }
            is_first = false;
        }
    }

    async fn tell(&self, told: Told) -> Result<()> {
        // Whoever dropped the other end has dropped this task.
        let _ = self.tell.send(Ok(told)).await;
        Ok(())
    }
}

fn silent() -> Error {
    Error::transient(format!("the subscription was silent for {} s, so its connection is dead", SILENCE.as_secs()))
}
