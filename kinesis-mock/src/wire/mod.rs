//! Door two: the Kinesis API over the same log, spoken by the real AWS SDK without a socket.
//!
//! A request goes through the client to the router, which reads it and calls one function of an operation group. An
//! operation knows neither HTTP nor JSON text, so that another encoding or a server on a socket can stand in front.

mod client;
mod error;
mod reading;
mod router;
mod script;
mod shards;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod writing;

pub use client::{WireClient, http_client};
pub use script::Answer;

use std::time::{Duration, SystemTime};

/// A time as the JSON protocol has it: seconds since 1970 with milliseconds as the fraction.
fn to_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1000.0
}

/// The time that a request names, to the millisecond; none for one that no clock shows.
fn from_seconds(seconds: f64) -> Option<SystemTime> {
    let millis = (seconds * 1000.0).round();
    (0.0..1e16).contains(&millis).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(millis as u64))
}
