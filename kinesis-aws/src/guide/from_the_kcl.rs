//! For whoever knows the Kinesis Client Library: what is called how here, and what is different.
//!
//! | KCL | here |
//! |---|---|
//! | `Scheduler`, worker | [`Pipeline`](kinesis_core::Pipeline) |
//! | application name | the first argument of [`Pipeline::builder`](kinesis_core::Pipeline::builder) |
//! | `ShardRecordProcessor.processRecords` | [`Sink::deliver`](kinesis_core::Sink::deliver), or [`handler`](kinesis_core::handler) around a function |
//! | `checkpointer.checkpoint()` | nothing to call: a record is settled by its [`Outcome`](kinesis_core::Outcome), and cursors follow |
//! | `shardEnded`, `leaseLost` | nothing to do: an [`Observer`](kinesis_core::Observer) is told |
//! | `InitialPositionInStream` | [`Subscription::start_at`](kinesis_core::Subscription::start_at) |
//! | `PollingConfig`, `FanOutConfig` | [`KinesisSource::builder`](crate::KinesisSource::builder), with or without [`consumer`](crate::KinesisSourceBuilder::consumer) |
//! | `maxRecords`, `idleTimeBetweenReadsInMillis` | [`Demand`](kinesis_core::Demand), [`idle`](kinesis_core::PipelineBuilder::idle) |
//! | prefetching, `maxPendingProcessRecordsInput` | one [`byte_budget`](kinesis_core::PipelineBuilder::byte_budget) for the process |
//! | `failoverTimeMillis` | [`failover`](kinesis_core::PipelineBuilder::failover) |
//! | lease table | [`LeaseStore`](kinesis_core::LeaseStore); the same table, by `DynamoLeaseStore` (feature `dynamodb`, on by default) |
//! | multi-stream mode | a pipeline for each stream; one table for all with `multi_stream(true)` |
//! | de-aggregation of KPL records | the same, with an explicit [policy](crate::kpl) |
//!
//! # What is different
//!
//! - **A failure is not skipped.** When `processRecords` throws, the KCL goes on with the next batch. Here a record that was
//!   not taken is tried again, alone if need be, and goes to the dead letters or is passed over only where you said so.
//! - **Many subscriptions share a read.** Each has its own cursor, order, retries and pace, and a dead one costs the others
//!   next to nothing. With the KCL each application reads the stream again.
//! - **Children start at their beginning.** A child shard is read from the trim horizon after its parents, whatever the start
//!   position says; `Latest` counts for what is open when the subscription is attached.
//! - **Iterators expire without a consequence.** They are made anew behind the last record read.
//! - **Throttling is seen.** The SDK's own retries are off for reads, and a limiter keeps each shard within its five calls and
//!   two megabytes a second.
//! - **No call hangs.** Reads have deadlines, which the SDK's defaults lack; subscriptions have a watchdog.
//! - **Aggregates are not dropped.** The KCL throws a whole aggregate away when one of its records hashes outside the shard.
//!   Here that is kept, counted, and up to you.
//! - **Gaps are told.** When trimming has overtaken a subscription, it halts or goes on, as you said, and tells what is gone.
