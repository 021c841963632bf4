//! Implementations that break their contract, one rule each: a conformance suite that does not catch them proves nothing.

mod sink;
mod source;
mod store;

pub use sink::{BrokenSink, SinkFlaw};
pub use source::{BrokenSource, SourceFlaw};
pub use store::{BrokenStore, StoreFlaw};

/// Makes an enum of flaws, with the check that catches each.
macro_rules! flaws {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])+ $flaw:ident => $check:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])+ $flaw,)+
        }

        impl $name {
            /// Every flaw.
            pub const ALL: &[Self] = &[$(Self::$flaw),+];

            /// The id of the check that catches it. Others may fail too.
            #[must_use]
            pub const fn caught_by(self) -> &'static str {
                match self {
                    $(Self::$flaw => $check,)+
                }
            }
        }
    };
}

use flaws;
