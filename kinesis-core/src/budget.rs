//! The byte budget: what all shards of a pipeline hold together, what one subscription may hold of it, and whose turn it is
//! when nothing is left.
//!
//! What is held is charged by a token that gives its bytes back when it is dropped, so that no path can forget to. Nobody
//! is refused for ever: who finds no room waits for bytes that are given back, or for the one turn that passes from shard
//! to shard however full the budget is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::broken::{self, Part};
use crate::signal::{Listener, Signal};

/// What all shards of a pipeline may hold together. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
    /// How many wait for room.
    waiting: AtomicUsize,
    pressed: Signal,
    freed: Signal,
    turn: Arc<Semaphore>,
    /// How many shards are read.
    seats: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            pressed: Signal::default(),
            freed: Signal::default(),
            turn: Arc::new(Semaphore::new(1)),
            seats: AtomicUsize::new(0),
        }))
    }

    /// The budget in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    /// What is held now, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    /// Whether more is held than the budget has.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.overdrawn() > 0
    }

    /// By how much more is held than the budget has, in bytes.
    pub(crate) fn overdrawn(&self) -> usize {
        self.used().saturating_sub(self.0.limit)
    }

    /// Charges what is held already, whether or not there is room.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        self.0.used.fetch_add(bytes, Ordering::AcqRel);
        Charge { shared: Arc::clone(&self.0), bytes }
    }

    /// Sets `bytes` aside for what is about to come, if there is room.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Charge> {
        let within = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.0.limit);
        self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, within).ok()?;
        Some(Charge { shared: Arc::clone(&self.0), bytes })
    }

    /// A shard is read, for as long as the token lives.
    pub(crate) fn seat(&self) -> Seat {
        self.0.seats.fetch_add(1, Ordering::AcqRel);
        Seat { shared: Arc::clone(&self.0) }
    }

    /// Waits for the turn that is granted without room, first come, first served.
    pub(crate) async fn turn(&self) -> Turn {
        let turn = Arc::clone(&self.0.turn).acquire_owned().await;
        Turn { _permit: turn.expect("the semaphore of turns is never closed") }
    }

    /// Says that somebody waits for room, for as long as the token lives.
    pub(crate) fn wait(&self) -> Waiting {
        if self.0.waiting.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.pressed.give();
        }
        Waiting { shared: Arc::clone(&self.0) }
    }

    /// How many wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Acquire)
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_pressed(&self) -> bool {
        self.waiting() > 0
    }

    /// Says when [`is_pressed`](Self::is_pressed) changes.
    pub(crate) fn pressed(&self) -> Listener {
        self.0.pressed.listen()
    }

    /// Says whenever bytes are given back while somebody waits.
    pub(crate) fn freed(&self) -> Listener {
        self.0.freed.listen()
    }
}

impl Shared {
    fn tell_who_waits(&self) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.freed.give();
        }
    }
}

/// Bytes that are held; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Charge {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Charge {
    /// Charges what is held besides, in the same budget.
    pub(crate) fn another(&self, bytes: usize) -> Self {
        Budget(Arc::clone(&self.shared)).charge(bytes)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let kept = if broken::is(Part::BudgetLeaks) { self.bytes / 2 } else { 0 };
        self.shared.used.fetch_sub(self.bytes - kept, Ordering::AcqRel);
        self.shared.tell_who_waits();
    }
}

/// A shard among those that share the budget.
#[derive(Debug)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
}

impl Seat {
    /// What the shard may keep for its lanes while others wait for room, in bytes: of half the budget the same part as
    /// every other. The other half is for what lanes hold.
    pub(crate) fn share(&self) -> usize {
        self.shared.limit / 2 / self.shared.seats.load(Ordering::Acquire).max(1)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.seats.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The one turn that needs no room.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// Somebody waits for room.
#[derive(Debug)]
pub(crate) struct Waiting {
    shared: Arc<Shared>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.shared.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.pressed.give();
        }
    }
}

/// What one subscription may hold of the budget, on all its shards together. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Account(Arc<Held>);

#[derive(Debug)]
struct Held {
    cap: usize,
    bytes: AtomicUsize,
    budget: Budget,
}

impl Account {
    pub(crate) fn new(budget: &Budget, cap: usize) -> Self {
        Self(Arc::new(Held { cap, bytes: AtomicUsize::new(0), budget: budget.clone() }))
    }

    /// What the subscription holds now, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.0.bytes.load(Ordering::Acquire)
    }

    /// What it may hold, in bytes.
    pub(crate) fn cap(&self) -> usize {
        self.0.cap
    }

    /// How much more it may hold; nothing while the budget is overdrawn.
    pub(crate) fn room(&self) -> usize {
        let cap = if broken::is(Part::CapIgnored) { usize::MAX } else { self.0.cap };
        if self.0.budget.is_overdrawn() { 0 } else { cap.saturating_sub(self.held()) }
    }

    /// Counts what it holds. Whether it may was asked before.
    pub(crate) fn take(&self, bytes: usize) -> Share {
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        Share { held: Arc::clone(&self.0), bytes }
    }
}

/// What a subscription holds; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    held: Arc<Held>,
    bytes: usize,
}

impl Share {
    /// Counts what the same subscription holds besides.
    pub(crate) fn another(&self, bytes: usize) -> Self {
        Account(Arc::clone(&self.held)).take(bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.held.budget.0.tell_who_waits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is charged, set aside and given back: what is used is what lives, and nothing is set aside beyond the
        /// limit.
        #[test]
        fn what_is_used_is_what_lives(limit in 0..100usize, steps in prop::collection::vec((0..3u8, 0..40usize), 0..100)) {
            let budget = Budget::new(limit);
            let mut live: Vec<Charge> = Vec::new();
            for (step, bytes) in steps {
                let used = budget.used();
                match step {
                    0 => live.push(budget.charge(bytes)),
                    1 => match budget.reserve(bytes) {
                        Some(charge) => {
                            prop_assert!(used + bytes <= limit);
                            live.push(charge);
                        }
                        None => prop_assert!(used + bytes > limit),
                    },
                    _ => drop(live.pop()),
                }
                prop_assert_eq!(budget.used(), live.iter().map(|charge| charge.bytes).sum::<usize>());
                prop_assert_eq!(budget.is_overdrawn(), budget.used() > limit);
            }
        }
    }

    #[tokio::test]
    async fn who_waits_is_told_when_bytes_come_back_and_others_are_not() {
        let budget = Budget::new(10);
        let (mut freed, mut pressed) = (budget.freed(), budget.pressed());
        drop(budget.charge(3));
        assert!(freed.hear().now_or_never().is_none() && !budget.is_pressed());
        let held = budget.charge(11);
        assert!(budget.reserve(1).is_none());
        let waiting = [budget.wait(), budget.wait()];
        assert!(pressed.hear().now_or_never().is_some() && budget.is_pressed());
        drop(held);
        freed.hear().await;
        drop(waiting);
        assert!(!budget.is_pressed() && budget.reserve(10).is_some());
    }

    #[tokio::test]
    async fn the_turn_is_one_and_passes_on() {
        let budget = Budget::new(0);
        let turn = budget.turn().await;
        let second = budget.turn();
        assert!(tokio::time::timeout(std::time::Duration::ZERO, budget.turn()).await.is_err());
        drop(turn);
        second.await;
    }

    #[test]
    fn every_shard_has_the_same_share_of_half_the_budget() {
        let budget = Budget::new(100);
        let seats = [budget.seat(), budget.seat()];
        assert_eq!(seats[0].share(), 25);
        let [seat, other] = seats;
        drop(other);
        assert_eq!(seat.share(), 50);
    }

    #[test]
    fn a_subscription_has_no_room_past_its_cap_nor_while_the_budget_is_overdrawn() {
        let budget = Budget::new(10);
        let account = Account::new(&budget, 4);
        let share = account.take(3);
        assert_eq!((account.room(), account.held()), (1, 3));
        let charge = budget.charge(11);
        assert_eq!(account.room(), 0);
        drop((share, charge));
        assert_eq!((account.room(), account.held()), (4, 0));
    }
}
