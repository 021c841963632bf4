//! How a pipeline stands while it runs: every subscription on every shard, the shards, and the memory they share.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::SubscriptionSummary;
use crate::error::ErrorKind;
use crate::lease::CursorPosition;
use crate::limit::LimiterStatus;
use crate::shard::ShardId;
use crate::sink::SubscriptionName;

/// A pipeline at one moment, as [`Handle::status`](crate::Handle::status) tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Every attached subscription.
    pub subscriptions: BTreeMap<SubscriptionName, SubscriptionStatus>,
    /// Every shard that this worker holds.
    pub shards: BTreeMap<ShardId, ShardStatus>,
    /// The memory that all of them share.
    pub budget: BudgetStatus,
}

/// A subscription at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// Whether it is paused, here and after a restart.
    pub paused: bool,
    /// What it holds of the budget, in bytes.
    pub held_bytes: usize,
    /// What it may hold of the budget, in bytes.
    pub cap: usize,
    /// What it has done so far, and why it halted, where it did.
    pub counts: SubscriptionSummary,
    /// How it stands on each shard that this worker holds.
    pub shards: BTreeMap<ShardId, LaneStatus>,
}

/// A subscription on a shard at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LaneStatus {
    /// What it does.
    pub state: LaneState,
    /// How far it is: everything before is settled. `None` before it may begin.
    pub position: Option<CursorPosition>,
    /// When the last settled record had arrived, or until when it is known to have everything.
    pub arrived_at: Option<SystemTime>,
    /// How long ago that was by the stream's clock, zero at the tip; `None` where the source does not tell times.
    pub lag: Option<Duration>,
    /// Records that are with the sink.
    pub in_flight: usize,
    /// Records that were taken and are not settled.
    pub unsettled: usize,
    /// What the last attempt that failed came to, if none has succeeded since.
    pub last_failure: Option<String>,
    /// When it reaches the tip at this rate.
    pub to_tip: ToTip,
}

impl LaneStatus {
    pub(crate) fn new(state: LaneState) -> Self {
        Self {
            state,
            position: None,
            arrived_at: None,
            lag: None,
            in_flight: 0,
            unsettled: 0,
            last_failure: None,
            to_tip: ToTip::Unknown,
        }
    }
}

/// What a subscription does on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum LaneState {
    /// It waits until it has finished the shard's parents.
    Gated,
    /// It takes what the front reader reads.
    AtFront,
    /// It has fallen behind, and a reader that catches up reads for it.
    CatchingUp,
    /// It has fallen behind, and waits for a reader that catches up.
    WaitingForReader,
    /// It has fallen behind, and asks for nothing until its sink has settled something.
    Behind,
    /// It could take more, but the budget has no room, or its own cap is reached.
    WaitingForMemory,
    /// It was asked to take nothing.
    Paused,
    /// It stopped at a record that it may not pass over.
    Halted,
    /// It has settled everything of the ended shard.
    Finished,
}

/// When a subscription reaches the tip of a shard at the rate of the last half minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum ToTip {
    /// It is there.
    AtTip,
    /// After this long.
    In(Duration),
    /// Never: it does not come closer.
    Never,
    /// Too little is known yet.
    Unknown,
}

/// A held shard at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShardStatus {
    /// How its limiter stands, where the source has one.
    pub limiter: Option<LimiterStatus>,
    /// What the last read failed of, if it failed.
    pub read_failure: Option<ErrorKind>,
}

/// The memory that all shards of a pipeline share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// How much they may hold together, in bytes.
    pub limit: usize,
    /// How much they hold, in bytes.
    pub used: usize,
    /// How many readers and lanes wait for room.
    pub waiting: usize,
}
