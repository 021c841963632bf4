//! x

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod demand;
mod deliver;
mod error;
mod feed;
mod lane;
pub mod lease;
pub mod limit;
pub mod lineage;
mod memory;
mod name;
pub mod observe;
pub mod pipeline;
mod record;
pub mod retry;
pub mod selector;
mod shard;
pub mod sink;
pub mod source;
pub mod wall_clock;
pub mod watermark;
mod worker;
pub mod wrap;

pub use demand::Demand;
pub use error::{BoxError, Error, ErrorKind, Result};
pub use lease::{
    Cursor, CursorPosition, HeldLease, Lease, LeaseStore, Nonce, Progress, Renewed, SubscriptionRecord, WorkerId,
};
pub use memory::MemoryLeaseStore;
pub use observe::{Event, Observer};
pub use pipeline::{
    BatchPolicy, Handle, OnReject, Ordering, Pipeline, PipelineBuilder, Subscription, SubscriptionSummary, Summary,
};
pub use record::{Channel, ParseSequenceNumberError, PartitionKey, Record, SequenceNumber};
pub use retry::RetryPolicy;
pub use selector::{ChannelFrom, Selector};
pub use shard::{HashKey, HashRange, Shard, ShardId, ShardKey, StartPosition, StreamId, StreamName};
pub use sink::{
    ChannelSink, Deliveries, Delivery, Entry, Outcome, Outcomes, PendingDelivery, Rejection, Sink, SubscriptionName,
    channel_sink, handler,
};
pub use source::{Batch, ShardEnd, ShardReader, SourceCaps, StreamSource};
