//! How many requests may be under way to an endpoint: more while it does well with them, half as many when it does not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// So many at first: enough for an endpoint of which nothing is known.
const FIRST: usize = 4;

/// The room for requests, which grows by addition and shrinks by half.
#[derive(Debug)]
pub(super) struct Concurrency {
    room: Semaphore,
    most: usize,
    limit: Mutex<Limit>,
}

#[derive(Debug)]
struct Limit {
    now: usize,
    /// Permits that are to go, and are still held.
    owed: usize,
    /// Places whose request is not sent yet.
    idle: usize,
    /// Replies that went well while all the room was used, since the last step up.
    well: usize,
    /// Whether it was never too much: then each reply is a step up.
    is_starting: bool,
    shrunk_at: Option<Instant>,
}

/// A place for one request.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    of: &'a Concurrency,
    permit: Option<SemaphorePermit<'a>>,
    /// When its request was sent; none while it waits for something else than a place.
    since: Option<Instant>,
}

impl Concurrency {
    pub(super) fn new(most: usize) -> Self {
        let now = FIRST.min(most);
        let limit = Limit { now, owed: 0, idle: 0, well: 0, is_starting: true, shrunk_at: None };
        Self { room: Semaphore::new(now), most, limit: Mutex::new(limit) }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> Slot<'_> {
        let permit = self.room.acquire().await.expect("the semaphore lives as long as the sink and is never closed");
        self.state().idle += 1;
        Slot { of: self, permit: Some(permit), since: None }
    }

    /// How many are under way, and how many may be.
    pub(super) fn used(&self) -> (usize, usize) {
        let limit = self.state();
        ((limit.now + limit.owed).saturating_sub(self.room.available_permits() + limit.idle), limit.now)
    }

    /// How many may be under way.
    #[cfg(test)]
    pub(super) fn limit(&self) -> usize {
        self.state().now
    }

    /// How many more may be.
    #[cfg(test)]
    pub(super) fn room_now(&self) -> usize {
        self.room.available_permits()
    }

    fn state(&self) -> MutexGuard<'_, Limit> {
        // The limit is whole at any time, whoever panicked.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// Its request is sent now.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
        self.of.state().idle -= 1;
    }

    /// The reply came and was no complaint. Room that nobody needs does not grow.
    pub(super) fn went_well(&self) {
        let mut limit = self.of.state();
        if limit.now >= self.of.most || self.of.room.available_permits() + limit.idle > 0 {
            return;
        }
        limit.well += 1;
        if limit.is_starting || limit.well >= limit.now {
            limit.well = 0;
            limit.now += 1;
            match limit.owed.checked_sub(1) {
                Some(owed) => limit.owed = owed,
                None => self.of.room.add_permits(1),
            }
        }
    }

    /// It was too much. Requests that were sent before the last time say nothing new.
    pub(super) fn was_crowded(&self, now: Instant) {
        let mut limit = self.of.state();
        if limit.shrunk_at.is_some_and(|at| self.since <= Some(at)) {
            return;
        }
        let less = limit.now - (limit.now / 2).max(1);
        limit.owed += less - self.of.room.forget_permits(less);
        limit.now -= less;
        (limit.well, limit.is_starting, limit.shrunk_at) = (0, false, Some(now));
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut limit = self.of.state();
        if self.since.is_none() {
            limit.idle -= 1;
        }
        if let (Some(owed), Some(permit)) = (limit.owed.checked_sub(1), self.permit.take()) {
            limit.owed = owed;
            permit.forget();
        }
    }
}
