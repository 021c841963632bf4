//! The settings of a memory stream.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use kinesis_core::StreamName;

use super::MemoryStream;
use super::clock::Clock;
use super::limits::{ReadLimits, WriteLimits};

/// What a stream is made with, and what may be changed later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) retention: Duration,
    pub(crate) read_limits: Option<ReadLimits>,
    pub(crate) write_limits: Option<WriteLimits>,
    pub(crate) empty_every: Option<NonZeroU64>,
    pub(crate) iterator_expiry: Duration,
    pub(crate) max_record_size: usize,
    pub(crate) parks: bool,
    pub(crate) trims_silently: bool,
    pub(crate) declares_retention: bool,
}

/// Makes a [`MemoryStream`] that differs from the default.
#[derive(Debug, Clone)]
#[must_use]
pub struct MemoryStreamBuilder {
    pub(super) name: StreamName,
    pub(super) shards: usize,
    pub(super) start_time: SystemTime,
    pub(super) predecessors: u64,
    pub(super) settings: Settings,
}

impl MemoryStreamBuilder {
    pub(super) fn new(name: StreamName) -> Self {
        Self {
            name,
            shards: 1,
            start_time: Clock::default_start(),
            predecessors: 0,
            settings: Settings {
                retention: Duration::from_secs(24 * 60 * 60),
                read_limits: None,
                write_limits: None,
                empty_every: None,
                iterator_expiry: Duration::from_secs(5 * 60),
                max_record_size: 1 << 20,
                parks: false,
                trims_silently: false,
                declares_retention: false,
            },
        }
    }

    /// How many shards the stream starts with. Default 1.
    pub fn shards(mut self, count: usize) -> Self {
        self.shards = count;
        self
    }

    /// How long records are kept. Default 24 h, the service's own default.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Limits the reads of each shard. Default none.
    pub fn read_limits(mut self, limits: ReadLimits) -> Self {
        self.settings.read_limits = Some(limits);
        self
    }

    /// Limits what the wire writes to each shard. Default none. What a test puts itself is never refused.
    pub fn write_limits(mut self, limits: WriteLimits) -> Self {
        self.settings.write_limits = Some(limits);
        self
    }

    /// Makes every `n`th `GetRecords` of the wire answer without records although some follow, as the service may at any
    /// time. Default never.
    pub fn empty_every(mut self, n: NonZeroU64) -> Self {
        self.settings.empty_every = Some(n);
        self
    }

    /// How long an iterator of the wire is good for. Default 5 min, as with the service.
    pub fn iterator_expiry(mut self, expiry: Duration) -> Self {
        self.settings.iterator_expiry = expiry;
        self
    }

    /// The date at which the stream's clock starts. Default 2024-01-01, so that every run sees the same times.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = time;
        self
    }

    /// How many streams there were before, so that sequence numbers of theirs are none of this one's.
    #[cfg(feature = "wire")]
    pub(crate) fn predecessors(mut self, count: u64) -> Self {
        self.predecessors = count;
        self
    }

    /// The largest payload in bytes. Default 1 MiB; the service allows up to 10 MiB on request.
    pub fn max_record_size(mut self, bytes: usize) -> Self {
        self.settings.max_record_size = bytes;
        self
    }

    /// Whether a reader waits for records by itself instead of answering empty at once. Default no.
    pub fn parks(mut self, parks: bool) -> Self {
        self.settings.parks = parks;
        self
    }

    /// Whether a reader whose position was trimmed goes on at the horizon without a word, as the service does, instead of
    /// failing with [`PositionExpired`](kinesis_core::ErrorKind::PositionExpired). Default no.
    pub fn trims_silently(mut self, silently: bool) -> Self {
        self.settings.trims_silently = silently;
        self
    }

    /// Whether the source says that records are kept for the [retention](Self::retention). Default no, because
    /// [`trim`](MemoryStream::trim) takes them away sooner: a stream that trims silently then says that it keeps nothing for
    /// certain.
    pub fn declares_retention(mut self, declares: bool) -> Self {
        self.settings.declares_retention = declares;
        self
    }

    /// Makes the stream; its clock starts now.
    ///
    /// # Panics
    ///
    /// When it would have no shard, or when the largest payload is over 10 MiB.
    #[must_use]
    pub fn build(self) -> MemoryStream {
        assert!(self.shards > 0, "the stream {} needs at least one shard", self.name);
        let largest = self.settings.max_record_size;
        assert!(largest <= 10 << 20, "a payload of {largest} bytes is over the service's 10 MiB");
        MemoryStream::from_builder(self)
    }
}
