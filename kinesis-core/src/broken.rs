//! Parts of this crate that can be broken on purpose, to prove that the simulation notices.
//!
//! Each part is one line at the place that it breaks, which asks [`is`] whether it is to go wrong. Without the feature
//! `broken` the answer is a constant, and nothing is left of it.

macro_rules! parts {
    ($(#[doc = $doc:literal] $part:ident = $name:literal,)+) => {
        /// A part that can be broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(not(feature = "broken"), allow(dead_code, reason = "some are broken in the tests' own stores"))]
        pub enum Part {
            $(#[doc = $doc] $part,)+
        }

        #[cfg(feature = "broken")]
        impl Part {
            /// Every part.
            pub const ALL: &[Self] = &[$(Self::$part,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$part => $name,)+
                }
            }

            /// Whether it takes several workers to notice.
            #[must_use]
            pub const fn is_of_a_fleet(self) -> bool {
                self as usize >= Self::RenewalWaitsForDeliveries as usize
            }

            /// What is wrong when it is broken.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$part => $doc.trim_ascii(),)+
                }
            }
        }
    };
}

parts! {
    /// A lane that joins a ring begins one record too far.
    RingSkipsAtJoin = "ring-skips-at-join",
    /// A ring claims to have what it has let go of.
    RingClaimsMore = "ring-claims-more",
    /// A reader whose position expired goes on at the tip.
    ExpiredGoesToTip = "expired-goes-to-tip",
    /// Settling a record moves the mark past those before it that are open.
    WatermarkJumps = "watermark-jumps",
    /// A lane ends with its shard though records are open.
    FinishedWithOpen = "finished-with-open",
    /// A lane that is drained counts what is in flight as settled.
    CursorPastInFlight = "cursor-past-in-flight",
    /// A cursor of an older generation is resumed from.
    CursorIgnoresGeneration = "cursor-ignores-generation",
    /// The old lane works on after its subscription was sought elsewhere.
    SeekKeepsOldLane = "seek-keeps-old-lane",
    /// A subscription that was forgotten and is attached again goes on where it was.
    ForgottenResumes = "forgotten-resumes",
    /// A worker that starts does not know who was paused.
    PauseForgotten = "pause-forgotten",
    /// The tip is not written down at the attach, so that a restart begins at a later one.
    LatestNotPinned = "latest-not-pinned",
    /// A shard born after the attach is read from its tip.
    ChildOpenedAtTip = "child-opened-at-tip",
    /// A shard is read before its parents are finished.
    ChildBeforeParent = "child-before-parent",
    /// A lease is taken over after half the failover time.
    LeaseTakenEarly = "lease-taken-early",
    /// Who has lost a lease works on.
    LostLeaseWorksOn = "lost-lease-works-on",
    /// A worker that stops waits for its sinks however long they take.
    DeadlineIgnored = "deadline-ignored",
    /// Half of what is charged to the budget is never given back.
    BudgetLeaks = "budget-leaks",
    /// A subscription may hold more than its cap.
    CapIgnored = "cap-ignored",
    /// A lane runs on past its cursor without a bound.
    MaxAheadIgnored = "max-ahead-ignored",
    /// A lane sends off what came back past its demand.
    DemandIgnored = "demand-ignored",
    /// A delivery may have more bytes than its policy allows.
    BatchOverfull = "batch-overfull",
    /// A slot sends a delivery off while another one is under way.
    SlotSendsTwo = "slot-sends-two",
    /// The second half of what failed as a whole is tried before the first.
    HalvingReorders = "halving-reorders",
    /// What follows a failed record of the same key is not held back.
    RetryOvertaken = "retry-overtaken",
    /// What was given back counts as settled.
    GivenBackForgotten = "given-back-forgotten",
    /// What was given back does not hold its key back.
    GivenBackOvertaken = "given-back-overtaken",
    /// A record that failed in company is charged for it.
    CompanyCharged = "company-charged",
    /// What is behind a record that is held in an answer is judged as well.
    HeldCharged = "held-charged",
    /// An answer with too few outcomes is taken for a delivery.
    MiscountBelieved = "miscount-believed",
    /// A dead letter that could not be stored counts as settled.
    DeadLetterLost = "dead-letter-lost",
    /// A gap is passed over without a word.
    GapPassedOver = "gap-passed-over",
    /// A gap is told of where nothing is missing.
    FalseGap = "false-gap",
    /// A subscription that shall halt at a gap jumps.
    GapDoesNotHalt = "gap-does-not-halt",
    /// A lease is renewed only when its deliveries have come further.
    RenewalWaitsForDeliveries = "renewal-waits-for-deliveries",
    /// A write on a lease that had no answer is taken for one that was accepted.
    LostReplyIsSuccess = "lost-reply-is-success",
    /// Progress that the store keeps apart from the lease is taken for a renewal.
    ProgressCountsAsRenewal = "progress-counts-as-renewal",
    /// Who cannot renew a lease does not look at the clock, and works on until it is told.
    ExpiryNotWatched = "expiry-not-watched",
    /// Whether a lease has run out is told by the time of day, and the clocks of two machines are hours apart.
    ExpiryByTimeOfDay = "expiry-by-time-of-day",
    /// A parent that another worker holds counts as finished.
    ParentElsewhereIsFinished = "parent-elsewhere-is-finished",
    /// A shard that is handed over is let go in the middle of its deliveries.
    HandOverBeforeDrain = "hand-over-before-drain",
    /// A worker with too few shards asks nobody for more.
    NobodyAsks = "nobody-asks",
    /// The store takes the writes of a worker that has lost its lease.
    StoreDoesNotFence = "store-does-not-fence",
}

#[cfg(feature = "broken")]
pub use switch::{is, with};

#[cfg(feature = "broken")]
mod switch {
    use std::cell::Cell;

    use crate::broken::Part;

    thread_local! {
        static BROKEN: Cell<Option<Part>> = const { Cell::new(None) };
    }

    /// Makes the part whole again, on a panic as well.
    struct Whole(Option<Part>);

    impl Drop for Whole {
        fn drop(&mut self) {
            BROKEN.set(self.0);
        }
    }

    /// Calls `act` with a part broken, on this thread alone.
    pub fn with<T>(part: Part, act: impl FnOnce() -> T) -> T {
        let _whole = Whole(BROKEN.replace(Some(part)));
        act()
    }

    /// Whether a part is broken.
    #[must_use]
    pub fn is(part: Part) -> bool {
        BROKEN.get() == Some(part)
    }
}

/// Whether a part is broken: never.
#[cfg(not(feature = "broken"))]
pub(crate) const fn is(_: Part) -> bool {
    false
}
