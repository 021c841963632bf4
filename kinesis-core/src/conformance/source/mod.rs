//! The suite for sources: its harness, and the 58 checks in one file a group.

mod cancelling;
mod concurrency;
mod discovery;
mod errors;
mod opening;
mod reading;
mod resharding;
mod rig;
mod tail;
mod time;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::check::{Case, Need, run};
use super::report::Report;
use crate::record::SequenceNumber;
use crate::shard::ShardId;
use crate::source::StreamSource;
use rig::Rig;

/// What the suite needs besides the source: a way to write, and to say what cannot be done.
///
/// Stands for one fresh stream without records. Methods past [`put`](Self::put) are called only when [`caps`](Self::caps)
/// declares them.
///
/// ```
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use kinesis_core::conformance::source::Harness;
/// use kinesis_core::{SequenceNumber, ShardId, StreamSource};
/// use std::sync::Arc;
/// # use kinesis_core::{Result, Shard, ShardReader, StartPosition, StreamId};
/// # #[derive(Debug)]
/// # struct MyLog;
/// # impl MyLog {
/// #     fn append(&self, _: &str, _: Bytes) -> u64 { 0 }
/// # }
/// # #[async_trait]
/// # impl StreamSource for MyLog {
/// #     fn stream(&self) -> &StreamId { unimplemented!() }
/// #     async fn list_shards(&self) -> Result<Vec<Shard>> { unimplemented!() }
/// #     async fn open_shard(&self, _: &ShardId, _: StartPosition) -> Result<Box<dyn ShardReader>> { unimplemented!() }
/// # }
///
/// struct Mine(Arc<MyLog>);
///
/// #[async_trait]
/// impl Harness for Mine {
///     fn source(&self) -> Arc<dyn StreamSource> {
///         Arc::clone(&self.0) as _
///     }
///
///     async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
///         ("the-only-shard".into(), self.0.append(key, data).into())
///     }
/// }
/// // And in a test: conformance::source(async || Mine(Arc::new(MyLog::empty()))).await;
/// ```
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The source under test. Called once a check.
    fn source(&self) -> Arc<dyn StreamSource>;

    /// What the backend and this harness can do. Default: nothing that is not required of every source. What the source
    /// declares itself ([`StreamSource::caps`]) is not repeated here.
    fn caps(&self) -> Caps {
        Caps::none()
    }

    /// How long to ask again until something that was written is seen. Default 10 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Texts that no error may contain, such as the credentials in use. Default none.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Writes a record; returns where it went. Equal keys go to the same shard.
    async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber);

    /// Splits a shard in two; returns when it is done.
    async fn split(&self, shard: &ShardId) {
        panic!("the harness declares `reshard` and has no `split`, asked for {shard}");
    }

    /// Merges two neighbours; returns when it is done.
    async fn merge(&self, a: &ShardId, b: &ShardId) {
        panic!("the harness declares `reshard` and has no `merge`, asked for {a} and {b}");
    }

    /// Drops the records of a shard up to this one, it included.
    async fn trim(&self, shard: &ShardId, through: &SequenceNumber) {
        panic!("the harness declares `trim` and has no such method, asked for {shard} through {through}");
    }

    /// Makes reads fail.
    async fn fail(&self, fault: Fault) {
        panic!("the harness declares `faults` and has no `fail`, asked for {fault:?}");
    }
}

/// A failure that [`Harness::fail`] is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The next read is throttled.
    Throttled,
    /// The next read fails with an error that passes.
    Transient,
    /// Every read from now on fails with an error that repeating will not mend.
    Permanent,
}

/// What a backend and its harness can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// [`Harness::split`] and [`Harness::merge`] work. Without it, every shard listed has to be open and without parents.
    pub reshard: bool,
    /// [`Harness::trim`] works.
    pub trim: bool,
    /// [`Harness::fail`] works.
    pub faults: bool,
    /// Positions name records that exist: others are refused with [`Invalid`](crate::ErrorKind::Invalid). Without it, the
    /// next greater record is found.
    pub exact_sequence: bool,
    /// A trimmed position is refused with [`PositionExpired`](crate::ErrorKind::PositionExpired). Without it, reading
    /// starts at the horizon.
    pub refuses_trimmed: bool,
    /// One shard has one reader at a time, as with enhanced fan-out. Without it, any number.
    pub single_reader: bool,
    /// The checks run on tokio's paused clock, and nothing behind the source has a clock of its own.
    pub virtual_time: bool,
}

impl Caps {
    /// The caps of an append-only log.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            reshard: false,
            trim: false,
            faults: false,
            exact_sequence: false,
            refuses_trimmed: false,
            single_reader: false,
            virtual_time: false,
        }
    }

    /// Declares [`reshard`](Self::reshard).
    #[must_use]
    pub const fn with_reshard(self) -> Self {
        Self { reshard: true, ..self }
    }

    /// Declares [`trim`](Self::trim).
    #[must_use]
    pub const fn with_trim(self) -> Self {
        Self { trim: true, ..self }
    }

    /// Declares [`faults`](Self::faults).
    #[must_use]
    pub const fn with_faults(self) -> Self {
        Self { faults: true, ..self }
    }

    /// Declares [`exact_sequence`](Self::exact_sequence).
    #[must_use]
    pub const fn with_exact_sequence(self) -> Self {
        Self { exact_sequence: true, ..self }
    }

    /// Declares [`refuses_trimmed`](Self::refuses_trimmed).
    #[must_use]
    pub const fn with_refuses_trimmed(self) -> Self {
        Self { refuses_trimmed: true, ..self }
    }

    /// Declares [`single_reader`](Self::single_reader).
    #[must_use]
    pub const fn with_single_reader(self) -> Self {
        Self { single_reader: true, ..self }
    }

    /// Declares [`virtual_time`](Self::virtual_time).
    #[must_use]
    pub const fn with_virtual_time(self) -> Self {
        Self { virtual_time: true, ..self }
    }
}

/// Every case of the suite, in the order of its table.
pub(super) fn cases() -> impl Iterator<Item = &'static Case<Rig>> {
    let groups = [
        discovery::CHECKS,
        opening::CHECKS,
        reading::CHECKS,
        cancelling::CHECKS,
        errors::CHECKS,
        resharding::CHECKS,
        concurrency::CHECKS,
        time::CHECKS,
    ];
    groups.into_iter().flatten()
}

pub(super) async fn report<H: Harness>(factory: impl AsyncFn() -> H) -> Report {
    let rig = async |case: &Case<Rig>| {
        let rig = Rig::new(factory().await);
        if case.needs.contains(&Need::Twin) { rig.with_twin(factory().await) } else { rig }
    };
    run("source", cases(), rig).await
}
