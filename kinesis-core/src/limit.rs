//! How often and how much may be asked of a shard: calls with a burst, bytes with a debt.
//!
//! [`Bucket`] is the arithmetic alone: it is given the time and never waits. [`Limiter`] is the bucket that tasks share
//! and wait for, and [`ShardLimiters`] keeps one for each shard, so that opening a shard anew does not fill its bucket.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::Error;
use crate::shard::{Shard, ShardId};

/// No single answer is paid for longer than this, however large it claims to be and however small the rate.
const LONGEST_DEBT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The part of a limit that this process may use, because others read the same shards: above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

impl Share {
    /// Nobody else reads the shards.
    pub const ALL: Self = Self(1.0);

    /// The smallest share, a thousandth: one Kinesis call in 200 seconds.
    pub const SMALLEST: Self = Self(0.001);

    /// A share of the limit; one half is `0.5`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) unless `share` is from 0.001 to 1.
    pub fn new(share: f64) -> Result<Self, Error> {
        if (Self::SMALLEST.0..=Self::ALL.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(Error::invalid(format!("{share} is no share of a limit: a fraction from 0.001 to 1 is wanted")))
        }
    }

    /// The fraction.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = Error;

    fn try_from(share: f64) -> Result<Self, Error> {
        Self::new(share)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// What may be asked of one shard. The default is [`kinesis_shard`](Self::kinesis_shard).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Calls a second in the long run. Default 5.
    pub calls_per_second: NonZeroU32,
    /// Calls that may follow each other at once after a pause. Default 1: calls keep their distance, 200 ms. A burst of
    /// n lets n - 1 calls more into a second than the rate says.
    pub burst: NonZeroU32,
    /// Bytes a second in the long run. An answer is paid for after it came: what it has above the rate is a debt that
    /// the next call waits for. Default 2,000,000.
    pub bytes_per_second: NonZeroU64,
    /// The part of both rates that this process may use. Default all of them.
    pub share: Share,
}

impl Limits {
    /// What Kinesis allows all readers of one shard together: 5 calls and 2 MB a second.
    ///
    /// Its documentation leaves open whether an MB has 10^6 bytes or 2^20. The smaller one is safe: a largest answer,
    /// 10 MiB, then costs 5.2 s, of which the service asks for 5. (Quotas page of the service, "GetRecords".)
    #[must_use]
    pub const fn kinesis_shard() -> Self {
        Self {
            calls_per_second: NonZeroU32::new(5).expect("5 is not 0"),
            burst: NonZeroU32::MIN,
            bytes_per_second: NonZeroU64::new(2_000_000).expect("2,000,000 is not 0"),
            share: Share::ALL,
        }
    }

    /// Sets the part of both rates that this process may use.
    #[must_use]
    pub const fn with_share(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// The distance that calls keep in the long run.
    fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / (f64::from(self.calls_per_second.get()) * self.share.0))
    }

    /// How long an answer of `bytes` uses up the rate.
    fn cost(&self, bytes: usize) -> Duration {
        let seconds = bytes as f64 / (self.bytes_per_second.get() as f64 * self.share.0);
        Duration::from_secs_f64(seconds.min(LONGEST_DEBT.as_secs_f64()))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::kinesis_shard()
    }
}

/// How the limiter of a shard's reads stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LimiterStatus {
    /// What it allows.
    pub limits: Limits,
    /// How long a read that begins now has to wait, not counting others before it.
    pub ready_in: Duration,
}

/// The state of one limit. Pure: it is given the time, and it neither waits nor reads a clock.
///
/// ```
/// use kinesis_core::limit::{Bucket, Limits};
/// use std::time::Duration;
///
/// let mut bucket = Bucket::new(Limits::kinesis_shard());
/// let now = tokio::time::Instant::now();
/// assert!(bucket.take(now).is_ok());
/// assert_eq!(bucket.take(now), Err(now + Duration::from_millis(200)));
/// bucket.charge(now, 10_000_000);
/// assert_eq!(bucket.ready_at(now), now + Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct Bucket {
    limits: Limits,
    /// When the calls taken so far would all have been due, had they kept their distance. A burst is to be early.
    calls_due: Option<Instant>,
    /// When the bytes answered so far are paid. Bytes have no burst: time that nobody used is not saved up.
    bytes_paid: Option<Instant>,
}

impl Bucket {
    /// A bucket that nothing was taken from.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, calls_due: None, bytes_paid: None }
    }

    /// When the next call may start: `now`, or later.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Instant {
        let early = self.limits.interval() * (self.limits.burst.get() - 1);
        let call = self.calls_due.and_then(|due| due.checked_sub(early));
        [call, self.bytes_paid].into_iter().flatten().fold(now, Instant::max)
    }

    /// Takes one call, if it may start now.
    ///
    /// # Errors
    ///
    /// When the call may start. Nothing was taken then.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let ready = self.ready_at(now);
        if ready > now {
            return Err(ready);
        }
        let due = self.calls_due.map_or(now, |due| due.max(now));
        self.calls_due = Some(due + self.limits.interval());
        Ok(())
    }

    /// Charges what a call answered, in bytes.
    pub fn charge(&mut self, now: Instant, bytes: usize) {
        let paid = self.bytes_paid.map_or(now, |paid| paid.max(now));
        self.bytes_paid = Some(paid + self.limits.cost(bytes));
    }
}

/// A bucket that tasks share and wait for, first come, first served. Clones share it.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Held by the one task that waits for the bucket; the others wait for this, in the order they came.
    turn: tokio::sync::Mutex<()>,
    /// Never held across an await, so that charging needs none.
    bucket: Mutex<Bucket>,
}

impl Limiter {
    /// A limiter with a full bucket.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { turn: tokio::sync::Mutex::default(), bucket: Mutex::new(Bucket::new(limits)) }))
    }

    /// Waits until a call may start, and takes it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready takes nothing and leaves the queue.
    pub async fn acquire(&self) {
        let _turn = self.0.turn.lock().await;
        loop {
            let taken = self.bucket().take(Instant::now());
            match taken {
                Ok(()) => return,
                Err(ready) => tokio::time::sleep_until(ready).await,
            }
        }
    }

    /// Charges what a call answered, in bytes; the next call waits for it.
    pub fn charge(&self, bytes: usize) {
        self.bucket().charge(Instant::now(), bytes);
    }

    /// How it stands now.
    #[must_use]
    pub fn status(&self) -> LimiterStatus {
        let (now, bucket) = (Instant::now(), self.bucket());
        LimiterStatus { limits: bucket.limits, ready_in: bucket.ready_at(now).saturating_duration_since(now) }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // Every change of a bucket is a single assignment: a panic elsewhere cannot leave it half done.
        self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// The limiters of all shards of one stream, kept by shard id. Clones share them, so two sources over the same stream
/// can stay within one limit together.
#[derive(Debug, Clone)]
pub struct ShardLimiters(Arc<Limiters>);

#[derive(Debug)]
struct Limiters {
    limits: Limits,
    listing: Limiter,
    shards: Mutex<BTreeMap<ShardId, ShardLimiter>>,
}

/// Kinesis counts reads and openings of a shard apart, each up to the same number a second.
#[derive(Debug)]
struct ShardLimiter {
    opening: Limiter,
    reading: Limiter,
}

impl ShardLimiters {
    /// Limiters that each allow `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Limiters { limits, listing: Limiter::new(limits), shards: Mutex::default() }))
    }

    /// The limiter of listings, which belong to no shard: at a shard's rate, far below the 1,000 a second that Kinesis
    /// allows a stream.
    #[must_use]
    pub fn listing(&self) -> &Limiter {
        &self.0.listing
    }

    /// The limiter of openings of `shard`.
    #[must_use]
    pub fn opening(&self, shard: &ShardId) -> Limiter {
        self.with(shard, |limiter| limiter.opening.clone())
    }

    /// The limiter of reads of `shard`.
    #[must_use]
    pub fn reading(&self, shard: &ShardId) -> Limiter {
        self.with(shard, |limiter| limiter.reading.clone())
    }

    /// Forgets the shards that a stream no longer lists, unless somebody still holds their limiters.
    pub fn keep_listed(&self, listed: &[Shard]) {
        let listed: std::collections::BTreeSet<&ShardId> = listed.iter().map(|shard| &shard.id).collect();
        self.shards().retain(|shard, limiter| {
            listed.contains(shard) || limiter.opening.is_in_use() || limiter.reading.is_in_use()
        });
    }

    fn with<T>(&self, shard: &ShardId, get: impl FnOnce(&ShardLimiter) -> T) -> T {
        let mut shards = self.shards();
        let limits = self.0.limits;
        let make = || ShardLimiter { opening: Limiter::new(limits), reading: Limiter::new(limits) };
        get(shards.entry(shard.clone()).or_insert_with(make))
    }

    fn shards(&self) -> MutexGuard<'_, BTreeMap<ShardId, ShardLimiter>> {
        self.0.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Limits> for ShardLimiters {
    fn from(limits: Limits) -> Self {
        Self::new(limits)
    }
}

#[cfg(test)]
mod tests;
