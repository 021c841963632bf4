//! Wrappers: sources over other sources, each of which adds one behaviour.
//!
//! [`Throttled`] waits for a limit, [`Retrying`] tries again, [`Metered`] counts. A wrapper is a source, so they nest,
//! and the order of nesting is meaning. With [`Limits::kinesis_shard`](crate::limit::Limits::kinesis_shard), calls of a
//! shard are 200 ms apart. Let a read fail three times and then succeed:
//!
//! | nesting | calls that reach the service | the limiter is paid |
//! |---|---|---|
//! | `Retrying(Throttled(x))` | 4, each at least 200 ms after the one before: 5 a second at most | 4 times |
//! | `Throttled(Retrying(x))` | 4, as close as the jitter draws them: up to 4 times 5 = 20 a second | once |
//!
//! The first is nearly always what is meant: the service counts attempts, not intentions. `Metered` outermost counts
//! what the pipeline asked for (1 call, no error, with all the waiting in its time); innermost, what the service saw
//! (4 calls, 3 errors, without the waiting). Both at once are two `Metered`.
//!
//! ```
//! # use kinesis_core::{RetryPolicy, StreamSource};
//! use kinesis_core::limit::Limits;
//! use kinesis_core::wrap::{Meter, Metered, Retrying, Throttled};
//!
//! fn careful(source: impl StreamSource, asked: Meter, sent: Meter) -> impl StreamSource {
//!     let source = Metered::new(source, sent);
//!     let source = Throttled::new(source, Limits::kinesis_shard());
//!     let source = Retrying::new(source, RetryPolicy::default());
//!     Metered::new(source, asked)
//! }
//! ```

mod meter;
mod metered;
mod retrying;
#[cfg(test)]
pub(crate) mod scripted;
mod throttled;

pub use meter::{CallMetrics, Meter, Metrics};
pub use metered::Metered;
pub use retrying::Retrying;
pub use throttled::Throttled;
