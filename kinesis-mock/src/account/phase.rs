//! Where a stream or a consumer is between its creation and its end.

use tokio::time::Instant;

/// The status of a stream, and when it changes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Creating { until: Instant },
    Active,
    Updating { until: Instant },
    Deleting { until: Instant },
}

impl Phase {
    /// Goes on to the next phase when this one is over by `now`; false when there is none, because it was the last.
    pub(crate) fn settle(&mut self, now: Instant) -> bool {
        match *self {
            Self::Creating { until } | Self::Updating { until } if until <= now => *self = Self::Active,
            Self::Deleting { until } => return until > now,
            _ => {}
        }
        true
    }

    pub(crate) fn is_active(self) -> bool {
        self == Self::Active
    }

    /// The word of the API.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Creating { .. } => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating { .. } => "UPDATING",
            Self::Deleting { .. } => "DELETING",
        }
    }
}
