//! What a stream keeps for the wire alone: its consumers, its pages so far, and whether its account still has it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::{Clock, MemoryStream};
use crate::account::Consumers;

/// Shared by all doors to the stream, so that a consumer that one of them registers is known at the other.
#[derive(Debug, Default)]
pub(super) struct OverTheWire {
    consumers: Mutex<Consumers>,
    pages: AtomicU64,
    abandoned: AtomicBool,
}

impl MemoryStream {
    /// Works on the consumers, with those settled whose phase is over.
    pub(crate) fn with_consumers<T>(&self, work: impl FnOnce(&mut Consumers) -> T) -> T {
        let mut consumers = self.shared.wire.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.settle(Instant::now());
        work(&mut consumers)
    }

    /// Wakes the subscriptions, because their consumers changed.
    pub(crate) fn wake(&self) {
        self.shared.changed.notify_waiters();
    }

    /// Counts a page; whether it has to be empty.
    pub(crate) fn is_page_empty(&self) -> bool {
        let page = self.shared.wire.pages.fetch_add(1, Ordering::Relaxed) + 1;
        self.settings().empty_every.is_some_and(|n| page.is_multiple_of(n.get()))
    }

    /// Ends the subscriptions: the account has deleted the stream.
    pub(crate) fn abandon(&self) {
        self.shared.wire.abandoned.store(true, Ordering::Release);
        self.wake();
    }

    /// Takes back that it was deleted, because an account has it again.
    pub(crate) fn adopt(&self) {
        self.shared.wire.abandoned.store(false, Ordering::Release);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.shared.wire.abandoned.load(Ordering::Acquire)
    }

    /// Whether both are handles on one stream.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }
}
