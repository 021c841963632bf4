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
//! - **Isolation of failures.** A sink that fails, hangs or panics is retried with full jitter, its deliveries halved
//!   until the poison record is alone. Other subscriptions have cursors of their own and do not wait for it: one that
//!   falls behind reads on from where it is with a reader that catches up.
//! - **Bounds.** What is emitted to a subscription never exceeds what it asked for, in records and bytes. All shards
//!   together stay within one [byte budget](PipelineBuilder::byte_budget), but for a page and a record for everybody.
//! - **Workers share.** Those with one [`LeaseStore`] have as many shards as one another, give or take one. A shard is handed
//!   over when what is in flight is done, and taken over a [failover](PipelineBuilder::failover) time after its worker was
//!   heard of last.
//! - **Gaps are told.** Who was overtaken by trimming halts before what is missing, or jumps over it, as
//!   [`OnGap`] says; [`Event::Gap`] tells from where to where.
//!
//! # What it does not
//!
//! - It does not deliver exactly once: sinks see a record again after a crash or a lost answer, under the same
//!   [id](Entry::id).
//! - It does not keep order between partition keys (unless [`Ordering::PerShard`]), nor for dead letters put back.
//! - It keeps nothing longer than the stream does: there is no queue beside it.
//! - A source that can be read once only, a pipe, has one reader: there the slowest subscription holds the others back.
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
//! # Changing and watching it
//!
//! A [`Handle`] attaches, detaches, pauses, resumes, seeks and forgets subscriptions while the pipeline runs, and tells
//! how it stands.
//!
//! ```
//! # async fn example(pipeline: kinesis_core::Pipeline) -> kinesis_core::Result<()> {
//! use kinesis_core::StartPosition;
//! let handle = pipeline.handle();
//! let run = tokio::spawn(pipeline.run_until(std::future::pending()));
//! handle.seek("audit", StartPosition::TrimHorizon).await?;
//! for (shard, lane) in &handle.status().await?.subscriptions["audit"].shards {
//!     println!("{shard}: {:?}, {:?} behind", lane.state, lane.lag);
//! }
//! # drop(run);
//! # Ok(())
//! # }
//! ```
//!
//! # The guide
//!
//! | page | what it is about |
//! |---|---|
//! | [delivery guarantees](guide::delivery_guarantees) | at least once, settled records, ids, retries, dead letters, halts |
//! | [ordering](guide::ordering) | per key, per shard, none; what a retry holds |
//! | [cursors](guide::cursors) | what is stored; pause, seek, forget, late attach; gaps |
//! | [isolation](guide::isolation) | one read for all, and what a dead subscription costs |
//! | [resharding](guide::resharding) | splits and merges |
//! | [back-pressure](guide::back_pressure) | demand, caps, the byte budget |
//! | [tuning](guide::tuning) | which knob for which symptom; the defaults and where they come from |
//!
//! # Parts
//!
//! | part | what it is |
//! |---|---|
//! | [`Pipeline`], [`PipelineBuilder`] | a source, a store and subscriptions, checked and run; [`Summary`] says what was done |
//! | [`Subscription`] | a sink with a name and a cursor: [`Ordering`], [`BatchPolicy`], [`Demand`], [`RetryPolicy`], [`OnReject`], [`OnGap`], [cap](Subscription::cap) |
//! | [`byte_budget`](PipelineBuilder::byte_budget) | what all shards hold together |
//! | [`Handle`] | changes subscriptions while it runs |
//! | [`Status`] | how it stands: [`LaneStatus`] of each subscription on each shard, [`ShardStatus`], [`BudgetStatus`] |
//! | [`Deliverer`] | delivers a batch that is in hand already, without a stream to follow; [`Settlement`] says what became of it |
//! | [`Observer`], [`Event`] | what happens, as it happens |
//! | [`Sink`], [`handler`], [`channel_sink`] | where records go |
//! | [`StreamSource`], [`ShardReader`] | where they come from |
//! | [`LeaseStore`], [`MemoryLeaseStore`], `FileStore` (feature `file`) | where leases, cursors and subscriptions are kept |
//!
//! # Rooms
//!
//! | room | what it is for |
//! |---|---|
//! | [`source`], [`sink`], [`lease`] | the traits, with their contracts |
//! | [`watermark`], [`demand`], [`retry`], [`lineage`], [`selector`], [`limit`] | decisions, without waiting: pure |
//! | [`wrap`] | wrappers over any source: [`Throttled`](wrap::Throttled), [`Retrying`](wrap::Retrying), [`Metered`](wrap::Metered) |
//! | `deliver`, `feed`, `lane`, `worker`, `deliverer` | the pipeline's inside, from sink back to source |
//! | [`pipeline`], [`observe`] | putting it together, changing it, watching it |
//! | [`stream`] | reading without leases, as a `Stream` |
//! | [`conformance`](https://docs.rs/kinesis-core) | the suites that prove an implementation (feature `conformance`) |
//!
//! # Features
//!
//! - `file`: `FileStore`, leases and cursors in one file on this machine.
//! - `conformance`: the suites for implementors of a source, a sink or a lease store.
//! - `mock`: `mockall` mocks of the traits.

mod assignment;
#[cfg(not(feature = "broken"))]
#[allow(unreachable_pub, reason = "public under the feature")]
mod broken;
#[cfg(feature = "broken")]
#[doc(hidden)]
pub mod broken;
mod budget;
#[cfg(feature = "conformance")]
pub mod conformance;
mod deliver;
mod deliverer;
pub mod demand;
mod error;
mod feed;
#[cfg(feature = "file")]
mod file;
pub mod guide;
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

pub use deliverer::{Deliverer, Fate, Settlement, SubscriptionSettlement};
pub use demand::Demand;
pub use error::{BoxError, Error, ErrorKind, Result};
#[cfg(feature = "file")]
pub use file::FileStore;
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
