//! Tries again what failed in passing: full jitter, the wait that a backend asks for, bounds on attempts and age.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};
use crate::limit::LimiterStatus;
use crate::retry::RetryPolicy;
use crate::shard::{Shard, ShardId, StartPosition, StreamId};
use crate::source::{Batch, ShardReader, SourceCaps, StreamSource};

/// A source that answers [retryable](crate::ErrorKind::is_retryable) failures with another attempt.
///
/// The policy bounds a row of failures: its error comes out when the attempts are used up, or when the next would begin
/// past the age, counted from the first failure. Other kinds come out at once. Where the backend names a wait, the jitter
/// is added to it, so that those it turned away do not come back together. A dropped read leaves its wait to the next.
#[derive(Debug)]
pub struct Retrying<S> {
    inner: S,
    policy: RetryPolicy,
    rng: Mutex<fastrand::Rng>,
}

impl<S> Retrying<S> {
    /// Wraps `inner`. [`RetryPolicy::halve_after`] means nothing here.
    pub fn new(inner: S, policy: RetryPolicy) -> Self {
        Self { inner, policy, rng: Mutex::new(fastrand::Rng::new()) }
    }

    /// Seeds the jitter, so that a run on a paused clock can be replayed. Default: random.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.rng = Mutex::new(fastrand::Rng::with_seed(seed));
        self
    }

    /// The source inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Takes the source out.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn attempts(&self) -> Attempts {
        let rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner).fork();
        Attempts { policy: self.policy, rng, failing: None }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StreamSource> StreamSource for Retrying<S> {
    fn stream(&self) -> &StreamId {
        self.inner.stream()
    }

    fn caps(&self) -> SourceCaps {
        self.inner.caps()
    }

    fn limiter(&self, shard: &ShardId) -> Option<LimiterStatus> {
        self.inner.limiter(shard)
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        let mut attempts = self.attempts();
        loop {
            attempts.wait().await;
            match self.inner.list_shards().await {
                Ok(shards) => return Ok(shards),
                Err(error) => attempts.failed(error)?,
            }
        }
    }

    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        let mut attempts = self.attempts();
        loop {
            attempts.wait().await;
            match self.inner.open_shard(shard, from).await {
                Ok(inner) => return Ok(Box::new(RetryingReader { inner, attempts: self.attempts() })),
                Err(error) => attempts.failed(error)?,
            }
        }
    }
}

#[derive(Debug)]
struct RetryingReader {
    inner: Box<dyn ShardReader>,
    attempts: Attempts,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ShardReader for RetryingReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let batch = loop {
            self.attempts.wait().await;
            match self.inner.next_batch(max).await {
                Ok(batch) => break batch,
                Err(error) => self.attempts.failed(error)?,
            }
        };
        self.attempts.failing = None;
        Ok(batch)
    }
}

#[derive(Debug)]
struct Attempts {
    policy: RetryPolicy,
    rng: fastrand::Rng,
    failing: Option<Failing>,
}

/// A row of failures, and when the attempt is due that may end it.
#[derive(Debug)]
struct Failing {
    since: Instant,
    failures: u32,
    again_at: Instant,
}

impl Attempts {
    async fn wait(&self) {
        if let Some(failing) = &self.failing {
            sleep_until(failing.again_at).await;
        }
    }

    /// Sets the time of the next attempt, or gives the error back when there is none.
    fn failed(&mut self, error: Error) -> Result<()> {
        let now = Instant::now();
        let (since, failures) = self.failing.take().map_or((now, 1), |row| (row.since, row.failures + 1));
        let wait = self.policy.wait(failures, &mut self.rng).saturating_add(error.retry_after().unwrap_or_default());
        let too_late = self.policy.is_exhausted(failures, (now - since).saturating_add(wait));
        let Some(again_at) = now.checked_add(wait).filter(|_| error.kind().is_retryable() && !too_late) else {
            return Err(error);
        };
        tracing::debug!(kind = %error.kind(), shard = ?error.shard(), failures, ?wait, "trying again");
        self.failing = Some(Failing { since, failures, again_at });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
