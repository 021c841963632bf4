//! The keeper: the one owner of a held lease. It renews in time, stores progress, and lets the lease go in the end.
//!
//! It is a task of its own, so that no sink and no read can starve a renewal; and since renewing and storing go through
//! one pair of hands, they cannot fence each other. Where a store keeps progress apart from the lease, only renewals hold
//! it: they come at their own times, whatever becomes of progress.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::runner::Command;
use crate::broken::{self, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::lease::{HeldLease, LeaseStore, Progress, Renewed, WorkerId};
use crate::observe::{Event, Observer};

/// What the runner wants of its keeper.
#[derive(Debug, Clone)]
pub(super) enum Order {
    /// Hold the lease; this progress is to be stored, where there is some.
    Hold(Option<Arc<Progress>>),
    /// Store this and let go.
    Release(Arc<Progress>),
}

/// How keeping a lease ended.
#[derive(Debug)]
pub(super) enum Kept {
    Released,
    /// Somebody else has it, or may have it by now.
    Lost,
    Failed(Error),
}

/// How the lease stands after a write.
#[derive(Debug)]
enum Written {
    Held,
    LetGo,
}

/// Progress that is not stored yet.
#[derive(Debug, Default)]
struct Unsaved {
    progress: Option<Arc<Progress>>,
    /// When it is tried again, where it has a time of its own: apart from the lease.
    again: Option<Instant>,
    /// Whether the store kept the last progress apart from the lease, so that it renewed nothing.
    apart: bool,
}

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) held: HeldLease,
    /// When the claim was sent: others count from its arrival, which may have been long before the answer.
    pub(super) claimed: Instant,
    pub(super) failover: Duration,
    /// How long the deliveries in flight may take when the lease is handed over.
    pub(super) drain: Duration,
    pub(super) orders: watch::Receiver<Order>,
    /// Where the runner is told that somebody else asks for the shard.
    pub(super) commands: mpsc::UnboundedSender<Command>,
    /// Who has to stop the moment the lease is lost.
    pub(super) runner: AbortHandle,
    pub(super) observer: Arc<dyn Observer>,
}

impl Keeper {
    /// Keeps the lease until it is released or lost.
    pub(super) async fn run(mut self) -> Kept {
        let kept = self.keep().await;
        let shard = self.held.key().shard.clone();
        match &kept {
            Kept::Released => self.observer.on(&Event::LeaseReleased { shard }),
            Kept::Lost | Kept::Failed(_) => {
                if !broken::is(Part::LostLeaseWorksOn) {
                    self.runner.abort();
                }
                self.observer.on(&Event::LeaseLost { shard });
            }
        }
        kept
    }

    async fn keep(&mut self) -> Kept {
        // A third: two renewals may fail before the lease is in danger. The margin covers the way to the store.
        let (interval, margin) = (self.failover / 3, self.failover / 10);
        let mut renewed = self.claimed;
        let mut due = renewed + interval;
        let mut unsaved = Unsaved::default();
        let mut running = true;
        let mut handover: Option<(WorkerId, Instant)> = None;
        loop {
            let mut asked = false;
            // What is stored apart from the lease does not renew it: a renewal that is due goes first.
            let owed = unsaved.apart && due <= Instant::now() && !broken::is(Part::RenewalWaitsForDeliveries);
            tokio::select! {
                biased;
                changed = self.orders.changed(), if running && !owed => {
                    asked = true;
                    running = changed.is_ok();
                    // A runner that is gone without a last word was aborted; its lease runs out by itself.
                    if !running && matches!(*self.orders.borrow(), Order::Hold(_)) {
                        return Kept::Lost;
                    }
                }
                () = sleep_until(unsaved.again.map_or(due, |again| again.min(due))),
                    if !broken::is(Part::RenewalWaitsForDeliveries) => {}
            }
            if handover.as_ref().is_some_and(|(_, until)| *until <= Instant::now()) {
                // A runner that is gone needs no command.
                let _ = self.commands.send(Command::Stop);
            }
            let sent = Instant::now();
            let order = self.order(asked, due <= sent, &mut unsaved);
            let stores = matches!(&order, Order::Hold(Some(_)));
            if !(stores && unsaved.apart) {
                self.report_lateness(sent, due);
            }
            // A store that does not answer must not hide that the time is over.
            let patience =
                if broken::is(Part::ExpiryNotWatched) { self.failover * 1000 } else { self.failover - margin };
            let counter = self.held.lease().counter;
            let write = self.write(order, &mut handover);
            let Ok(written) = timeout_at(renewed + patience, write).await else { return Kept::Lost };
            // A store that keeps progress apart from the lease has left the counter as it was.
            let stayed = self.held.lease().counter == counter && !broken::is(Part::ProgressCountsAsRenewal);
            let mut apart = stores && stayed;
            let written = match written {
                Ok(Written::LetGo) => return Kept::Released,
                Err(error) if error.kind().is_retryable() && broken::is(Part::LostReplyIsSuccess) => {
                    apart = false;
                    Ok(Written::Held)
                }
                written => written,
            };
            match written {
                Ok(_) => {
                    if !apart {
                        renewed = sent;
                        due = sent + interval;
                    }
                    if stores {
                        unsaved = Unsaved { apart, ..Unsaved::default() };
                        self.observer.on(&Event::ProgressStored { shard: self.held.key().shard.clone() });
                    }
                }
                Err(error) if error.kind().is_retryable() => {
                    let (shard, kind) = (self.held.key().shard.clone(), error.kind());
                    tracing::warn!(%shard, error = error.chain(), "the lease could not be written; trying again");
                    self.observer.on(&Event::StoreFailed { shard, kind });
                    let again = Instant::now() + error.retry_after().unwrap_or(interval / 8);
                    if stores && unsaved.apart {
                        unsaved.again = Some(again);
                    } else {
                        due = again.min(renewed + self.failover - margin);
                    }
                }
                Err(error) if error.kind() == ErrorKind::LeaseLost => return Kept::Lost,
                Err(error) => return Kept::Failed(error),
            }
            if renewed.elapsed() + margin >= self.failover && !broken::is(Part::ExpiryNotWatched) {
                return Kept::Lost;
            }
        }
    }

    /// What is to be done now: what the runner has asked for, or what the time has come for.
    fn order(&mut self, asked: bool, due: bool, unsaved: &mut Unsaved) -> Order {
        // What the runner orders in the same moment stays unseen, so that it is done next; a last word is done at once.
        let seen = asked || matches!(*self.orders.borrow(), Order::Release(_));
        let order = if seen { self.orders.borrow_and_update().clone() } else { self.orders.borrow().clone() };
        match order {
            Order::Release(last) => Order::Release(last),
            Order::Hold(progress) => {
                // A renewal alone stores nothing that is stored already.
                if let Some(progress) = progress.filter(|_| asked) {
                    unsaved.progress = Some(progress);
                }
                let renews = unsaved.apart && due && !asked;
                Order::Hold(unsaved.progress.clone().filter(|_| !renews))
            }
        }
    }

    /// Does what is ordered. Dropped before its end, nobody knows what is stored: the lease has to be given up then.
    async fn write(&mut self, order: Order, handover: &mut Option<(WorkerId, Instant)>) -> Result<Written> {
        match order {
            Order::Release(last) => {
                let to = handover.as_ref().map(|(asker, _)| asker.clone());
                self.store.release(&mut self.held, Some((*last).clone()), to).await.map(|()| Written::LetGo)
            }
            Order::Hold(progress) => {
                let renewed = self.store.advance(&mut self.held, progress.as_deref()).await?;
                self.heed(renewed, handover);
                Ok(Written::Held)
            }
        }
    }

    /// Has the runner finish what is in flight when somebody asks for the shard, so that it can be handed over.
    fn heed(&self, renewed: Renewed, handover: &mut Option<(WorkerId, Instant)>) {
        let Renewed::WantedBy(asker) = renewed else { return };
        if self.held.lease().owner.as_ref() == Some(&asker) {
            // What this worker has said of itself: it leaves, and the runner knows.
            return;
        }
        if handover.is_none() {
            tracing::info!(shard = %self.held.key().shard, %asker, "handing the shard over");
            // A runner that is gone needs no command.
            let _ = self.commands.send(match broken::is(Part::HandOverBeforeDrain) {
                true => Command::Stop,
                false => Command::Drain,
            });
        }
        let until = handover.take().map_or(Instant::now() + self.drain, |(_, until)| until);
        *handover = Some((asker, until));
    }

    fn report_lateness(&self, sent: Instant, due: Instant) {
        let late = sent.saturating_duration_since(due);
        if late > self.failover / 10 {
            self.observer.on(&Event::RenewalLate { shard: self.held.key().shard.clone(), late });
        }
    }
}

#[cfg(test)]
mod tests;
