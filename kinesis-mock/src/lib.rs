//! Kinesis without Kinesis: an in-memory stream with the service's rules, for tests, demonstrations and simulations.
//!
//! A [`MemoryStream`] has two doors onto one log. It is a [`StreamSource`](kinesis_core::StreamSource) by itself, and
//! with the feature `wire` the real AWS SDK talks to it through `http_client`, without a socket. Its time is
//! tokio's clock, so that a paused runtime lives through a day of polling in milliseconds.

#[cfg(feature = "wire")]
mod account;
pub mod broken;
mod faulty;
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
