//! The sink side: whoever takes deliveries and says, record by record, what became of them.

mod channel;
mod delivery;
mod fnv;
mod handler;
mod outcome;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;

pub use channel::{ChannelSink, Deliveries, PendingDelivery, channel_sink};
pub use delivery::{Delivery, Entry, Rejection};
pub(crate) use delivery::{Origin, Picks};
pub use handler::{HandlerSink, IntoOutcome, handler};
pub use outcome::{Outcome, Outcomes};

use crate::name::name;

name! {
    /// A subscription's name: a named sink on a stream, with its own cursor.
    SubscriptionName
}

/// Takes records and answers for each of them.
///
/// # Contract
///
/// [`conformance::sink`](crate::conformance) proves these rules for an implementation:
///
/// 1. The outcomes are as many as the records, in their order; an empty delivery has empty outcomes.
/// 2. `Delivered` means for good: it survives a restart of whatever stands behind the sink.
/// 3. The same delivery may come again, after an error, a crash or a lost answer; [`Delivery::id`] is the same then.
/// 4. Records of one partition key are taken in the order of the delivery.
/// 5. `Err` says that nothing is known about any of the records: all of them count as not delivered.
///
/// Waiting between attempts, giving up and dead letters are the pipeline's work, not the sink's.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Sink: Debug + Send + Sync + 'static {
    /// Takes the records of `delivery`. A record whose outcome is left unmarked counts as [`Outcome::Retry`].
    ///
    /// # Errors
    ///
    /// When nothing is known about any of the records. The kind does not matter: it counts as an attempt.
    ///
    /// # Cancel safety
    ///
    /// A dropped delivery may have reached its destination or not; it is delivered again.
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes>;
}

macro_rules! forward_sink {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Sink + ?Sized> Sink for $pointer<T> {
            async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
                (**self).deliver(delivery).await
            }
        }
    };
}

forward_sink!(Arc);
forward_sink!(Box);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_is_object_safe() {
        fn sink(_: Option<&dyn Sink>) {}
        sink(None);
    }
}
