//! Kinesis without Kinesis: an in-memory stream with the service's rules, for tests, demonstrations and simulations.
//!
//! A [`MemoryStream`] has two doors onto one log. It is a [`StreamSource`](kinesis_core::StreamSource) by itself, and
//! with the feature `wire` the real AWS SDK talks to it through `http_client`, without a socket. Its time is
//! tokio's clock, so that a paused runtime lives through a day of polling in milliseconds.
//!
//! # The wire
//!
//! `http_client` serves one stream, an `Account` many, which come and go over the wire too. Both know the operations of the
//! Kinesis API that consumers and producers call, in JSON and in CBOR: streams (`CreateStream`, `DeleteStream`,
//! `DescribeStream`, `DescribeStreamSummary`, `ListStreams`, `DescribeLimits`, retention, record size, tags), shards
//! (`ListShards`, `SplitShard`, `MergeShards`, `UpdateShardCount`), records (`PutRecord`, `PutRecords`, `GetShardIterator`,
//! `GetRecords`) and enhanced fan-out (the four operations on consumers, `SubscribeToShard`). They validate, refuse and limit
//! as the service does; limits are off until asked for. An `Answer` or a `Rule` makes a call go wrong.
//!
//! With the feature `server` the same is on a socket. In a test: `let server = Server::start(&account).await?`, and
//! `server.endpoint()` is what the client is given. Or as a program:
//!
//! ```text
//! cargo run -p kinesis-mock --features server -- --listen 127.0.0.1:4567 --stream orders:4
//! kinesis-mock listens on http://127.0.0.1:4567
//! ```
//!
//! It also takes `--limits aws` and `--faults FILE`, a list of rules as `Rule::list_from_json` reads it. Programs in any
//! language talk to it: [`guide::other_clients`] shows boto3 and the AWS command line. [`guide::other_servers`] says what other
//! servers of this kind do that the service does not.
//!
//! What differs from the service: there is one account and one region, and of an ARN only the names in it are looked at; no
//! signature, permission or key is checked; rates of calls are limited on shards only; a payload may have as many bytes as
//! the stream's largest record, its key not counted.

#[cfg(feature = "wire")]
mod account;
pub mod broken;
mod faulty;
pub mod guide;
#[cfg(feature = "conformance")]
mod harness;
mod recording;
mod stream;
#[cfg(feature = "wire")]
mod wire;

#[cfg(feature = "wire")]
pub use account::{Account, AccountBuilder};
pub use faulty::{Call, Fault, Faults, Faulty, Injected, Odds};
#[cfg(feature = "conformance")]
pub use harness::MemoryHarness;
pub use recording::{RecordingObserver, RecordingSink};
pub use stream::{MemoryStream, MemoryStreamBuilder, NewRecord, ReadLimits, WriteLimits};
#[cfg(feature = "server")]
pub use wire::Server;
#[cfg(feature = "wire")]
pub use wire::{Answer, Rule, WireClient, http_client};
