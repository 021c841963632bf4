//! Amazon Kinesis as a source and as a sink, and leases in DynamoDB, over the official AWS SDK.
//!
//! [`KinesisSource`] is a [`StreamSource`](kinesis_core::StreamSource): it polls a stream within its limits, or has records
//! pushed to a registered consumer by enhanced fan-out. It repeats no call: [`ErrorKind`](kinesis_core::ErrorKind) tells the
//! pipeline what a failure means. Answers are read chunk by chunk as they come, beside the SDK, which signs, sends and
//! reports errors; what is not understood is read again by the SDK. Records that the Kinesis Producer Library put together
//! are unpacked ([`kpl`]). [`KinesisSink`] puts records on a stream. `DynamoLeaseStore` keeps leases in the table of the
//! Kinesis Client Library (feature `dynamodb`, on by default). The [`guide`] has permissions, costs and tuning.
//!
//! ```no_run
//! # async fn run() -> kinesis_core::Result<()> {
//! use kinesis_aws::KinesisSource;
//! use kinesis_core::StreamSource;
//!
//! let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//! let source = KinesisSource::connect(&config, "orders").await?;
//! for shard in source.list_shards().await? {
//!     println!("{}", shard.id);
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod builder;
#[cfg(test)]
mod canned;
mod classify;
mod client;
#[cfg(test)]
mod conformance;
mod convert;
mod cursor;
mod fanout;
mod fast;
mod found;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
pub mod kpl;
#[cfg(feature = "dynamodb")]
mod leases;
mod place;
mod polling;
mod reader;
mod served_at;
mod sink;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod whole;
mod wire_format;

pub use builder::KinesisSourceBuilder;
#[cfg(feature = "dynamodb")]
pub use leases::{CreateTable, DynamoLeaseStore, DynamoLeaseStoreBuilder};
pub use sink::{KinesisSink, KinesisSinkBuilder};
pub use source::{KinesisSource, STREAM_NAME_VARIABLE};
pub use wire_format::WireFormat;
