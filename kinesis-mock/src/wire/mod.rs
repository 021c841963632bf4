//! Door two: the Kinesis API over the same log, for the real AWS SDK without a socket and for any program with one.
//!
//! A request goes through a client or a server to the door, which asks the script what to do wrong and hands it to the
//! router. The router reads it and calls one function of an operation group. An operation knows neither HTTP nor an
//! encoding; what it answers is written by the codec.

mod body;
mod client;
mod codec;
mod door;
mod fault;
mod operations;
mod refusal;
mod router;
#[cfg(feature = "server")]
mod server;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod validation;

pub use client::{WireClient, http_client};
pub use fault::{Answer, Rule};
#[cfg(feature = "server")]
pub use server::Server;
