//! The calls that can go wrong, and the ways in which they may.

use std::fmt;
use std::time::Duration;

use kinesis_core::{Error, ErrorKind};

/// A method of one of the traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// `StreamSource::list_shards`.
    ListShards,
    /// `StreamSource::open_shard`.
    OpenShard,
    /// `ShardReader::next_batch`, counted over all readers of the source.
    Read,
    /// `Sink::deliver`.
    Deliver,
    /// `LeaseStore::list`.
    ListLeases,
    /// `LeaseStore::get`.
    GetLease,
    /// `LeaseStore::create`.
    Create,
    /// `LeaseStore::claim`.
    Claim,
    /// `LeaseStore::request`.
    Request,
    /// `LeaseStore::advance`.
    Advance,
    /// `LeaseStore::release`.
    Release,
    /// `LeaseStore::reset`.
    Reset,
    /// `LeaseStore::remove`.
    Remove,
    /// `LeaseStore::subscriptions`.
    Subscriptions,
    /// `LeaseStore::put_subscription`.
    PutSubscription,
}

/// Something that a contract allows to happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is throttled; a delivery finds the sink busy. Nothing is done.
    Throttle {
        /// The wait that is asked for, if any.
        retry_after: Option<Duration>,
    },
    /// It fails with an error that passes. Nothing is done.
    Fail,
    /// It fails for good, and so does every later call of its kind.
    Break,
    /// It takes so long.
    Delay(Duration),
    /// A reader's position is expired until a new one is opened; a holder's lease was taken by somebody else, who let it
    /// go again. For opening, reading, advancing and releasing.
    Expire,
    /// A read answers at most half of what it could; of a delivery only the first half is taken. For these two.
    Short,
    /// A read answers an empty batch; of a delivery nothing is taken. For these two.
    Empty,
    /// It is done, and its answer is lost: a transient error comes instead.
    DropReply,
}

impl Fault {
    /// Whether the contract of `call` allows it.
    #[must_use]
    pub const fn suits(self, call: Call) -> bool {
        match self {
            Self::Throttle { .. } | Self::Fail | Self::Break | Self::Delay(_) | Self::DropReply => true,
            Self::Expire => matches!(call, Call::OpenShard | Call::Read | Call::Advance | Call::Release),
            Self::Short | Self::Empty => matches!(call, Call::Read | Call::Deliver),
        }
    }
}

/// A fault that was injected; the cause of the error that it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// The call.
    pub call: Call,
    /// Which of the calls of its kind, from 1 on.
    pub nth: u64,
    /// The fault.
    pub fault: Fault,
}

impl Injected {
    /// The error that the caller gets.
    pub(super) fn error(self) -> Error {
        let (kind, message) = match self.fault {
            Fault::Throttle { retry_after } => (ErrorKind::Throttled { retry_after }, "throttled on purpose"),
            Fault::Break => (ErrorKind::Permanent, "broken for good, on purpose"),
            Fault::Expire => (ErrorKind::PositionExpired, "expired on purpose"),
            Fault::DropReply => (ErrorKind::Transient, "the answer was lost on purpose"),
            Fault::Fail | Fault::Delay(_) | Fault::Short | Fault::Empty => (ErrorKind::Transient, "failed on purpose"),
        };
        Error::new(kind, message).because(self)
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} injected into call {} of {:?}", self.fault, self.nth, self.call)
    }
}

impl std::error::Error for Injected {}
