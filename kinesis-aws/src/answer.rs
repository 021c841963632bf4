//! What one answer holds, polled or pushed, however it was read.

use std::time::Duration;

use kinesis_core::{Record, Shard};

/// Records, and where and how reading goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    /// The records as they are stored, in order.
    pub(crate) records: Vec<Record>,
    /// What to go on with: an iterator, or a continuation number. None at the end of the shard.
    pub(crate) next: Option<String>,
    pub(crate) behind_latest: Option<Duration>,
    /// The shards that carry on after the end.
    pub(crate) children: Vec<Shard>,
}
