//! What a record has been through, for when it is called back before it is settled.

use tokio::time::Instant;

/// What a record has been through: with it, a later delivery goes on where an earlier one was called back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// How often it was tried and failed.
    pub(crate) attempts: u32,
    /// Failures in a row, which the wait grows with.
    pub(crate) failures: u32,
    pub(crate) first_tried: Instant,
    /// When the next attempt may be made; `None`: at once.
    pub(crate) due: Option<Instant>,
}
