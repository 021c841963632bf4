//! The settings of an account, which are those of the streams it creates.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use super::Account;
use crate::stream::Clock;
use crate::{MemoryStream, ReadLimits, WriteLimits};

/// What an account is made with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) region: String,
    pub(super) transition: Duration,
    read_limits: Option<ReadLimits>,
    write_limits: Option<WriteLimits>,
    empty_every: Option<NonZeroU64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            transition: Duration::ZERO,
            read_limits: None,
            write_limits: None,
            empty_every: None,
        }
    }
}

impl Settings {
    /// A stream that was created at this time, after so many others.
    pub(super) fn stream(&self, name: &str, shards: usize, at: SystemTime, predecessors: u64) -> MemoryStream {
        let mut builder = MemoryStream::builder(name).shards(shards).start_time(at).predecessors(predecessors);
        if let Some(limits) = self.read_limits {
            builder = builder.read_limits(limits);
        }
        if let Some(limits) = self.write_limits {
            builder = builder.write_limits(limits);
        }
        if let Some(n) = self.empty_every {
            builder = builder.empty_every(n);
        }
        builder.build()
    }
}

/// Makes an [`Account`] that differs from the default.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AccountBuilder {
    settings: Settings,
    start_time: Option<SystemTime>,
}

impl AccountBuilder {
    /// The region in the ARNs of the streams. Default `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = region.into();
        self
    }

    /// How long a stream or consumer is `CREATING`, `UPDATING` or `DELETING` before that is done. Default no time at all,
    /// so that a test need not wait; the service takes seconds.
    pub fn transition(mut self, time: Duration) -> Self {
        self.settings.transition = time;
        self
    }

    /// Limits the reads of each shard of the streams it creates. Default none.
    pub fn read_limits(mut self, limits: ReadLimits) -> Self {
        self.settings.read_limits = Some(limits);
        self
    }

    /// Limits the writes to each shard of the streams it creates. Default none.
    pub fn write_limits(mut self, limits: WriteLimits) -> Self {
        self.settings.write_limits = Some(limits);
        self
    }

    /// Makes every `n`th `GetRecords` answer without records: see
    /// [`MemoryStreamBuilder::empty_every`](crate::MemoryStreamBuilder::empty_every). Default never.
    pub fn empty_every(mut self, n: NonZeroU64) -> Self {
        self.settings.empty_every = Some(n);
        self
    }

    /// The date at which the account's clock starts. Default 2024-01-01, so that every run sees the same times.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Makes the account; its clock starts now.
    #[must_use]
    pub fn build(self) -> Account {
        let start = self.start_time.unwrap_or_else(Clock::default_start);
        Account::from_parts(self.settings, Clock::starting_at(start))
    }
}
