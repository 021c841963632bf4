//! Faults on purpose: a wrapper around a source, a sink or a lease store that does what the contracts allow.
//!
//! A pipeline has to live with calls that are throttled, fail, take long, answer little or lose their answer. [`Faulty`]
//! makes them do so, by script or by seed; with the same seed and the same calls it does the same again.

mod faults;
mod plan;
mod sink;
mod source;
mod store;

pub use faults::{Call, Fault, Injected};
pub use plan::{Faults, Odds};

/// A source, a sink or a lease store whose calls fail now and then, as [`Faults`] has it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use kinesis_core::StreamSource;
/// use kinesis_mock::{Call, Fault, Faults, Faulty, MemoryStream};
///
/// let source = Faulty::new(MemoryStream::new("orders", 1), Faults::none().on(Call::ListShards, 2, Fault::Fail));
/// assert!(source.list_shards().await.is_ok());
/// assert!(source.list_shards().await.is_err());
/// assert!(source.list_shards().await.is_ok());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
}

impl<T> Faulty<T> {
    /// Wraps `inner`. A clone of `faults` kept outside can add faults later and tell which were injected.
    pub const fn new(inner: T, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// What is wrapped.
    pub const fn inner(&self) -> &T {
        &self.inner
    }

    /// The plan, to add faults and to see which were injected.
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }
}
