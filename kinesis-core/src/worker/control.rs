//! Control: what the handle asks for, written down first and then done on every shard that is held.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::change::Change;
use super::runner::Command;
use super::{Attached, Worker, attach};
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Progress;
use crate::pipeline::{BudgetStatus, Request, ShardStatus, Status, Subscription, SubscriptionStatus, check};
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::SubscriptionName;

/// How often the source and the store are tried before whoever asked is told.
const TRIES: u32 = 5;

/// Tries again what failed in passing. No closure: the future of one that borrows cannot be sent to another thread.
macro_rules! patiently {
    ($worker:expr, $what:expr) => {{
        let mut failures = 0;
        loop {
            match $what.await {
                Ok(answer) => break answer,
                Err(error) => $worker.wait_out(&mut failures, error).await?,
            }
        }
    }};
}

impl Worker {
    /// Does what was asked for, and answers.
    pub(super) async fn serve(&mut self, request: Request) {
        // Whoever asked may be gone; what was asked for is done all the same.
        match request {
            Request::Attach(subscription, reply) => drop(reply.send(self.attach(*subscription).await)),
            Request::Detach(name, reply) => drop(reply.send(self.detach(&name))),
            Request::Pause(name, paused, reply) => drop(reply.send(self.pause(&name, paused).await)),
            Request::Seek(name, None, to, reply) => drop(reply.send(self.seek(&name, to).await)),
            Request::Seek(name, Some(shard), to, reply) => {
                drop(reply.send(self.seek_shard(&name, &shard, to).await));
            }
            Request::Forget(name, reply) => drop(reply.send(self.forget(&name).await)),
            Request::Status(reply) => drop(reply.send(Ok(self.status().await))),
        }
    }

    async fn attach(&mut self, subscription: Subscription) -> Result<()> {
        let name = subscription.name.clone();
        check(std::slice::from_ref(&subscription), self.config.budget.limit(), self.config.source.caps())?;
        if self.attached.contains_key(&name) {
            return Err(Error::invalid(format!("subscription {name:?} is attached already; detach it first")));
        }
        let mut attached = Attached::new(subscription, &self.config.budget);
        attached.counters = self.registry.counters(&name);
        let listing = self.list().await?;
        let config = Arc::clone(&self.config);
        let wanted = [Arc::clone(&attached.subscription)];
        let (source, store) = (config.source.as_ref(), config.store.as_ref());
        let mut records = patiently!(self, attach::attach(source, store, &wanted, &listing));
        let record = records.remove(&name).ok_or_else(|| Error::contract("the store forgot a subscription at once"))?;
        self.read_rows().await?;
        attached.counters.resumed();
        self.attached.insert(name.clone(), attached);
        self.shards.list(&listing);
        self.shards.set_record(record);
        self.place_lanes(&name, |_| true);
        Ok(())
    }

    fn detach(&mut self, name: &SubscriptionName) -> Result<mpsc::Receiver<()>> {
        self.attached.remove(name).ok_or_else(|| not_attached(name))?;
        let (token, left) = mpsc::channel(1);
        self.shards.tell(|| Command::Detach(name.clone(), token.clone()));
        Ok(left)
    }

    async fn pause(&mut self, name: &SubscriptionName, paused: bool) -> Result<()> {
        let halted = self.attached(name)?.counters.is_halted();
        self.rewrite(name, Change::Pause(paused)).await?;
        if halted && !paused {
            self.attached(name)?.counters.resumed();
            self.read_rows().await?;
            self.place_lanes(name, |_| true);
        }
        Ok(())
    }

    async fn seek(&mut self, name: &SubscriptionName, to: StartPosition) -> Result<()> {
        self.attached(name)?;
        self.check_time(to)?;
        let listing = self.list().await?;
        self.shards.list(&listing);
        self.rewrite(name, Change::Seek(to, &listing)).await
    }

    async fn seek_shard(&mut self, name: &SubscriptionName, shard: &ShardId, to: StartPosition) -> Result<()> {
        self.attached(name)?;
        self.check_time(to)?;
        let listing = self.list().await?;
        self.shards.list(&listing);
        if !listing.iter().any(|listed| listed.id == *shard) || !self.shards.contains(shard) {
            return Err(Error::not_found("the stream does not retain this shard").on_shard(shard));
        }
        self.probe(shard, to).await?;
        let family = self.shards.family(shard);
        self.rewrite(name, Change::SeekShard(shard, to, &family)).await
    }

    async fn forget(&mut self, name: &SubscriptionName) -> Result<()> {
        match self.rewrite(name, Change::Forget).await {
            // It is attached here, so it was ours to forget: a write was done whose answer was lost.
            Err(error) if error.kind() == ErrorKind::NotFound && self.attached.contains_key(name) => self.let_go(name),
            rewritten => rewritten?,
        }
        // Rows that nobody holds are changed here. A holder of ours does it with its next progress.
        self.read_rows().await?;
        let config = Arc::clone(&self.config);
        let gone = Progress::default().with_forgotten([name.clone()]);
        let free = self.shards.rows().filter(|row| row.owner.is_none() && row.cursors.contains_key(name));
        for row in free.cloned().collect::<Vec<_>>() {
            // Whoever has taken the row meanwhile knows that the subscription is forgotten.
            patiently!(self, config.store.reset(&row, &gone));
        }
        Ok(())
    }

    /// A subscription is no more.
    pub(super) fn let_go(&mut self, name: &SubscriptionName) {
        self.attached.remove(name);
        self.shards.tell(|| Command::Forget(name.clone()));
    }

    async fn status(&mut self) -> Status {
        let mut status = Status::default();
        for (name, attached) in &self.attached {
            let record = self.shards.records().get(name);
            let of_name = SubscriptionStatus {
                paused: record.is_some_and(|record| record.paused),
                held_bytes: attached.account.held(),
                cap: attached.account.cap(),
                counts: attached.counters.summary(),
                ..SubscriptionStatus::default()
            };
            status.subscriptions.insert(name.clone(), of_name);
        }
        let mut answers = Vec::new();
        for (shard, held) in self.shards.held() {
            let (answer, told) = oneshot::channel();
            // A runner that is gone tells nothing.
            let _ = held.commands.send(Command::Status(answer));
            answers.push((shard.clone(), told));
        }
        for (shard, told) in answers {
            let Ok((lanes, read_failure)) = told.await else { continue };
            for (name, lane) in lanes {
                if let Some(of_name) = status.subscriptions.get_mut(&name) {
                    of_name.shards.insert(shard.clone(), lane);
                }
            }
            let limiter = self.config.source.limiter(&shard);
            status.shards.insert(shard, ShardStatus { limiter, read_failure });
        }
        let budget = &self.config.budget;
        status.budget = BudgetStatus { limit: budget.limit(), used: budget.used(), waiting: budget.waiting() };
        status
    }

    fn attached(&self, name: &SubscriptionName) -> Result<&Attached> {
        self.attached.get(name).ok_or_else(|| not_attached(name))
    }

    /// Whether the source takes a place at all. What it refuses for good must not be written down: it would end the run for
    /// everybody, and each one after it.
    async fn probe(&self, shard: &ShardId, to: StartPosition) -> Result<()> {
        let source = &self.config.source;
        if !source.caps().replayable || to == StartPosition::Latest {
            return Ok(());
        }
        match source.open_shard(shard, to).await {
            // What passes, or was trimmed, shows when it is read.
            Err(error) if !error.kind().is_retryable() && error.kind() != ErrorKind::PositionExpired => {
                Err(error.on_shard(shard))
            }
            _ => Ok(()),
        }
    }

    fn check_time(&self, to: StartPosition) -> Result<()> {
        if matches!(to, StartPosition::Timestamp(_)) && !self.config.source.caps().timestamps {
            return Err(Error::unsupported(format!("the source cannot be read from a time on; {to} was asked for")));
        }
        Ok(())
    }

    /// Changes a subscription's record, and does what follows from it: what this change was, and what one before it was
    /// whose answer was lost.
    async fn rewrite(&mut self, name: &SubscriptionName, change: Change<'_>) -> Result<()> {
        let config = Arc::clone(&self.config);
        let (source, store) = (config.source.as_ref(), config.store.as_ref());
        let record = patiently!(self, change.write(source, store, name));
        self.learn([(name.clone(), record)].into());
        Ok(())
    }

    /// Puts lanes of a subscription on the shards held, in place of those that are there. Shards that are not held are
    /// looked for.
    pub(super) fn place_lanes(&mut self, name: &SubscriptionName, on: impl Fn(&ShardId) -> bool) {
        let held: Vec<_> = self.shards.held().filter(|(shard, _)| on(shard)).collect();
        let lanes: Vec<_> = held
            .into_iter()
            .map(|(shard, held)| (shard.clone(), self.lane(shard, name, None, &held.reports)))
            .collect();
        for (shard, lane) in lanes {
            let Some(held) = self.shards.held_mut(&shard) else { continue };
            held.gated.remove(name);
            if lane.as_ref().is_some_and(|lane| lane.state == crate::lane::State::Gated) {
                held.gated.insert(name.clone());
            }
            let command = lane.map_or_else(|| Command::Retire(name.clone()), |lane| Command::Add(Box::new(lane)));
            // A runner that is gone leaves its shard to the next look around.
            let _ = held.commands.send(command);
        }
        self.stale = true;
    }

    /// Waits before another try at what failed in passing; gives back any other error, and the last.
    async fn wait_out(&mut self, failures: &mut u32, error: Error) -> Result<()> {
        *failures += 1;
        let passes = error.kind().is_retryable() || error.kind() == ErrorKind::PositionExpired;
        if !passes || *failures == TRIES {
            return Err(error);
        }
        let wait = self.config.retry.wait(*failures, &mut self.rng);
        sleep(wait.max(error.retry_after().unwrap_or_default())).await;
        Ok(())
    }

    async fn list(&mut self) -> Result<Vec<Shard>> {
        let config = Arc::clone(&self.config);
        Ok(patiently!(self, config.source.list_shards()))
    }

    async fn read_rows(&mut self) -> Result<()> {
        let config = Arc::clone(&self.config);
        let rows = patiently!(self, config.store.list());
        let stream = config.source.stream();
        self.shards.set_rows(rows.into_iter().filter(|row| row.key.stream == *stream));
        Ok(())
    }
}

fn not_attached(name: &SubscriptionName) -> Error {
    Error::not_found(format!("no subscription {name:?} is attached to this pipeline"))
}
