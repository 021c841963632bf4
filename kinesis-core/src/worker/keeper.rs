//! The keeper: the one owner of a held lease. It renews in time, stores progress, and lets the lease go in the end.
//!
//! It is a task of its own, so that no sink and no read can starve a renewal; and since renewing and storing go through
//! one pair of hands, they cannot fence each other.

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
        let mut unsaved: Option<Arc<Progress>> = None;
        let mut running = true;
        let mut handover: Option<(WorkerId, Instant)> = None;
        loop {
            let mut asked = false;
            tokio::select! {
                biased;
                changed = self.orders.changed(), if running => {
                    asked = true;
                    running = changed.is_ok();
                    // A runner that is gone without a last word was aborted; its lease runs out by itself.
                    if !running && matches!(*self.orders.borrow(), Order::Hold(_)) {
                        return Kept::Lost;
                    }
                }
                () = sleep_until(due), if !broken::is(Part::RenewalWaitsForDeliveries) => {}
            }
            if handover.as_ref().is_some_and(|(_, until)| *until <= Instant::now()) {
                // A runner that is gone needs no command.
                let _ = self.commands.send(Command::Stop);
            }
            let order = self.orders.borrow_and_update().clone();
            let sent = Instant::now();
            self.report_lateness(sent, due);
            // A store that does not answer must not hide that the time is over.
            let patience =
                if broken::is(Part::ExpiryNotWatched) { self.failover * 1000 } else { self.failover - margin };
            let write = self.write(order, asked, &mut unsaved, &mut handover);
            let Ok(written) = timeout_at(renewed + patience, write).await else { return Kept::Lost };
            let written = match written {
                Ok(Written::LetGo) => return Kept::Released,
                Err(error) if error.kind().is_retryable() && broken::is(Part::LostReplyIsSuccess) => Ok(Written::Held),
                written => written,
            };
            match written {
                Ok(_) => {
                    renewed = sent;
                    due = sent + interval;
                    if unsaved.take().is_some() {
                        self.observer.on(&Event::ProgressStored { shard: self.held.key().shard.clone() });
                    }
                }
                Err(error) if error.kind().is_retryable() => {
                    let (shard, kind) = (self.held.key().shard.clone(), error.kind());
                    tracing::warn!(%shard, error = error.chain(), "the lease could not be renewed; trying again");
                    self.observer.on(&Event::StoreFailed { shard, kind });
                    let pause = error.retry_after().unwrap_or(interval / 8);
                    due = (Instant::now() + pause).min(renewed + self.failover - margin);
                }
                Err(error) if error.kind() == ErrorKind::LeaseLost => return Kept::Lost,
                Err(error) => return Kept::Failed(error),
            }
            if renewed.elapsed() + margin >= self.failover && !broken::is(Part::ExpiryNotWatched) {
                return Kept::Lost;
            }
        }
    }

    /// Does what is ordered. Dropped before its end, nobody knows what is stored: the lease has to be given up then.
    async fn write(
        &mut self,
        order: Order,
        asked: bool,
        unsaved: &mut Option<Arc<Progress>>,
        handover: &mut Option<(WorkerId, Instant)>,
    ) -> Result<Written> {
        match order {
            Order::Release(last) => {
                let to = handover.as_ref().map(|(asker, _)| asker.clone());
                self.store.release(&mut self.held, Some((*last).clone()), to).await.map(|()| Written::LetGo)
            }
            Order::Hold(progress) => {
                // A renewal alone stores nothing that is stored already.
                *unsaved = progress.filter(|_| asked).or(unsaved.take());
                let renewed = self.store.advance(&mut self.held, unsaved.as_deref()).await?;
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
