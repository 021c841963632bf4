//! Amazon Kinesis as a source: shards are listed and polled with the plain AWS SDK.
//!
//! [`KinesisSource`] is a [`StreamSource`](kinesis_core::StreamSource). It neither paces nor repeats its calls: the
//! feed does the one, [`ErrorKind`](kinesis_core::ErrorKind) tells the pipeline about the other.
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
mod place;
mod polling;
mod reader;
mod served_at;
mod sink;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod wire_format;

pub use builder::KinesisSourceBuilder;
pub use sink::{KinesisSink, KinesisSinkBuilder};
pub use source::{KinesisSource, STREAM_NAME_VARIABLE};
pub use wire_format::WireFormat;
