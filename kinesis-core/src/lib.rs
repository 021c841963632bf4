//! The core of the Kinesis toolkit: a small set of traits that any stream source, sink and lease store plugs into, and the
//! pipeline between them.
//!
//! ```text
//! StreamSource --open--> ShardReader --> feed --> lane --deliver--> Sink
//!      ^                                 one      one per
//!      | which shards are mine           read     subscription
//!    worker <----- leases, cursors ----- LeaseStore <--- settled records
//! ```
//!
//! Records go one way, from source to sink; progress goes back once, as a cursor.
//!
//! # What it guarantees
//!
//! - **At least once.** A cursor never passes a record that is not settled: delivered, dead-lettered, skipped as
//!   configured, or of a channel that the subscription does not take. After a crash, what is behind the cursor comes
//!   again.
//! - **Order.** Records of one partition key reach a sink in the order in which they were put, over splits and merges too,
//!   unless the subscription asks for no order. A record that is not taken holds its key and no other.
//! - **Isolation of failures.** A sink that fails, hangs or panics is retried with full jitter, its deliveries halved until
//!   the poison record is alone; other subscriptions have cursors of their own.
//! - **Bounds.** What is emitted to a subscription never exceeds what it asked for, in records and in bytes.
//!
//! # What it does not
//!
//! - It does not deliver exactly once: sinks see a record again after a crash or a lost answer, under the same
//!   [id](Entry::id).
//! - It does not keep order between partition keys (unless [`Ordering::PerShard`]), nor for dead letters put back.
//! - A subscription that falls behind holds the shard's one feed back once the ring is full: the others wait for it then.
//!
//! # A pipeline
//!
//! ```
//! use kinesis_core::{Pipeline, Result, StartPosition, StreamSource, Subscription, handler};
//!
//! async fn run(source: impl StreamSource) -> Result<()> {
//!     let audit = handler(|record| async move { println!("{}: {:?}", record.partition_key, record.data) });
//!     let summary = Pipeline::builder("billing", source)
//!         .subscribe(Subscription::new("audit", audit).start_at(StartPosition::TrimHorizon))
//!         .build()?
//!         .run_until(std::future::pending())
//!         .await?;
//!     println!("{summary:?}");
//!     Ok(())
//! }
//! ```
//!
//! # Rooms
//!
//! | room | what it is for |
//! |---|---|
//! | [`source`], [`sink`], [`lease`] | the traits, with their contracts |
//! | [`watermark`], [`demand`], [`retry`], [`lineage`], [`selector`], [`limit`] | decisions, without waiting: pure |
//! | [`wrap`] | wrappers over any source: [`Throttled`](wrap::Throttled), [`Retrying`](wrap::Retrying), [`Metered`](wrap::Metered) |
//! | `deliver`, `feed`, `lane`, `worker` | the pipeline's inside, from sink back to source |
//! | [`pipeline`] | putting it together |
//! | [`stream`] | reading without leases, as a `Stream` |
//! | [`conformance`](https://docs.rs/kinesis-core) | the suites that prove an implementation (feature `conformance`) |
//!
//! # Features
//!
//! - `conformance`: the suites for implementors of a source, a sink or a lease store.
//! - `mock`: `mockall` mocks of the traits.

#[cfg(not(feature = "broken"))]
#[allow(unreachable_pub)]
mod broken;
#[cfg(feature = "broken")]
#[doc(hidden)]
pub mod broken;
mod budget;
#[cfg(feature = "conformance")]
pub mod conformance;
mod deliver;
pub mod demand;
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
mod signal;
pub mod sink;
pub mod source;
pub mod stream;
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
    BatchPolicy, BudgetStatus, Handle, LaneState, LaneStatus, OnGap, OnReject, Ordering, Pipeline, PipelineBuilder,
    ShardStatus, Status, Subscription, SubscriptionStatus, SubscriptionSummary, Summary, ToTip,
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
