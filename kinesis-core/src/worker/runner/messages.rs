//! What the worker and the runner of a shard tell each other.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind};
use crate::lane::LaneParts;
use crate::pipeline::LaneStatus;
use crate::shard::{Shard, ShardId};
use crate::sink::SubscriptionName;

/// How the lanes stand, and what the last read failed of, if it failed.
pub(in crate::worker) type Told = (BTreeMap<SubscriptionName, LaneStatus>, Option<ErrorKind>);

/// What the worker tells the runner of a shard.
#[derive(Debug)]
pub(in crate::worker) enum Command {
    /// The subscription has finished the shard's parents: it may start.
    Open(SubscriptionName),
    /// The subscription halted on another shard: it stops here too.
    Halt(SubscriptionName),
    /// Another subscription reads the shard from now on; or the same one, from another place.
    Add(Box<LaneParts>),
    /// The subscription finishes what is in flight here and leaves. The token is dropped when it has.
    Detach(SubscriptionName, mpsc::Sender<()>),
    /// The subscription leaves at once, in favour of another generation of itself or of none.
    Retire(SubscriptionName),
    /// The subscription is no more: its cursor goes, too.
    Forget(SubscriptionName),
    /// The subscription takes nothing more, or takes records again.
    Pause(SubscriptionName, bool),
    /// Say how everybody stands.
    Status(oneshot::Sender<Told>),
    /// Finish what is in flight and let go.
    Drain,
    /// Let go now.
    Stop,
}

/// What the worker has to know while a shard runs.
#[derive(Debug)]
pub(in crate::worker) enum Notice {
    /// The shard ended; these carry on.
    Ended(ShardId, Vec<Shard>),
    /// A subscription of this generation is done with the shard.
    Finished(ShardId, SubscriptionName, u64),
    /// A subscription may not pass over a record.
    Halted(SubscriptionName),
}

/// How running a shard ended.
#[derive(Debug)]
pub(in crate::worker) enum Exit {
    /// Every subscription is done with it.
    Finished,
    /// Nobody here wants it any more: they are done with it, have halted, or have left.
    Unwanted,
    /// It was asked to.
    Drained,
    /// The source failed for good; what had been read is settled.
    Failed(Error),
}
