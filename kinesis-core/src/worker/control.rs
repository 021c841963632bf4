//! Control: what the handle asks for, written down first and then done on every shard that is held.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::attach::{pin_tip, starting_at};
use super::runner::Command;
use super::{Attached, Worker, attach};
use crate::error::{Error, ErrorKind, Result};
use crate::lease::{LeaseStore, Progress, SubscriptionRecord};
use crate::pipeline::{BudgetStatus, Request, ShardStatus, Status, Subscription, SubscriptionStatus, check};
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::SubscriptionName;
use crate::source::StreamSource;

/// How often the source and the store are tried before whoever asked is told.
const TRIES: u32 = 5;

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
        check(&subscription, self.config.budget.limit())?;
        if self.attached.contains_key(&name) {
            return Err(Error::invalid(format!("subscription {name:?} is attached already; detach it first")));
        }
        let mut attached = Attached::new(subscription, &self.config.budget);
        attached.counters = self.registry.counters(&name);
        let listing = self.list().await?;
        let config = Arc::clone(&self.config);
        let wanted = [Arc::clone(&attached.subscription)];
        let mut records = patiently(self, async || {
            attach::attach(config.source.as_ref(), config.store.as_ref(), &wanted, &listing).await
        })
        .await?;
        let record = records.remove(&name).ok_or_else(|| Error::contract("the store forgot a subscription at once"))?;
        self.read_rows().await?;
        attached.counters.resumed();
        self.attached.insert(name.clone(), attached);
        self.shards.list(&listing);
        self.shards.begin_anew(&name, |_| true);
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
        self.rewrite(name, async |record, _| Ok(SubscriptionRecord { paused, ..record.clone() })).await?;
        if halted && !paused {
            self.attached(name)?.counters.resumed();
            self.read_rows().await?;
            self.place_lanes(name, |_| true);
        } else {
            self.shards.tell(|| Command::Pause(name.clone(), paused));
        }
        Ok(())
    }

    async fn seek(&mut self, name: &SubscriptionName, to: StartPosition) -> Result<()> {
        self.attached(name)?;
        self.check_time(to)?;
        let listing = self.list().await?;
        self.rewrite(name, async |record, source| {
            let new = starting_at(source, &record.name, to, record.next_generation(), &listing).await?;
            Ok(SubscriptionRecord { paused: record.paused, ..new })
        })
        .await?;
        self.shards.list(&listing);
        self.begin_anew(name, |_| true).await
    }

    async fn seek_shard(&mut self, name: &SubscriptionName, shard: &ShardId, to: StartPosition) -> Result<()> {
        self.attached(name)?;
        self.check_time(to)?;
        let listing = self.list().await?;
        self.shards.list(&listing);
        if !listing.iter().any(|listed| listed.id == *shard) || !self.shards.contains(shard) {
            return Err(Error::not_found("the stream does not retain this shard").on_shard(shard));
        }
        let family = self.shards.family(shard);
        self.rewrite(name, async |record, source| {
            let mut new = record.clone();
            let generation = record.next_generation();
            for member in &family {
                new.sought.insert(member.clone(), generation);
                new.pins.insert(member.clone(), StartPosition::TrimHorizon);
            }
            let pinned = if to == StartPosition::Latest { pin_tip(source, shard).await?.unwrap_or(to) } else { to };
            new.pins.insert(shard.clone(), pinned);
            Ok(new)
        })
        .await?;
        self.begin_anew(name, |shard| family.contains(shard)).await
    }

    async fn forget(&mut self, name: &SubscriptionName) -> Result<()> {
        self.rewrite(name, async |record, _| {
            Ok(SubscriptionRecord { forgotten: true, generation: record.next_generation(), ..record.clone() })
        })
        .await?;
        self.attached.remove(name);
        self.shards.tell(|| Command::Forget(name.clone()));
        // Rows that nobody holds are changed here. A holder of ours does it with its next progress.
        self.read_rows().await?;
        let config = Arc::clone(&self.config);
        let gone = Progress::default().with_forgotten([name.clone()]);
        let free = self.shards.rows().filter(|row| row.owner.is_none() && row.cursors.contains_key(name));
        for row in free.cloned().collect::<Vec<_>>() {
            patiently(self, async || config.store.reset(&row, &gone).await).await?;
        }
        Ok(())
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

    fn check_time(&self, to: StartPosition) -> Result<()> {
        if matches!(to, StartPosition::Timestamp(_)) && !self.config.source.caps().timestamps {
            return Err(Error::unsupported(format!("the source cannot be read from a time on; {to} was asked for")));
        }
        Ok(())
    }

    /// Changes a subscription's record, however many others change it at the same time.
    async fn rewrite(
        &mut self,
        name: &SubscriptionName,
        change: impl AsyncFn(&SubscriptionRecord, &dyn StreamSource) -> Result<SubscriptionRecord>,
    ) -> Result<()> {
        let config = Arc::clone(&self.config);
        let (source, store) = (config.source.as_ref(), config.store.as_ref());
        let record = patiently(self, async || {
            loop {
                let seen = find(store, source, name).await?;
                let new = change(&seen, source).await?;
                if store.put_subscription(Some(&seen), &new).await? {
                    return Ok(SubscriptionRecord { revision: seen.revision + 1, ..new });
                }
            }
        })
        .await?;
        self.shards.set_record(record);
        Ok(())
    }

    /// Starts a subscription from where its record says, on the shards of `on`.
    async fn begin_anew(&mut self, name: &SubscriptionName, on: impl Fn(&ShardId) -> bool) -> Result<()> {
        self.attached(name)?.counters.resumed();
        self.shards.begin_anew(name, &on);
        self.read_rows().await?;
        self.place_lanes(name, on);
        Ok(())
    }

    /// Puts lanes of a subscription on the shards held, in place of those that are there. Shards that are not held are
    /// looked for.
    fn place_lanes(&mut self, name: &SubscriptionName, on: impl Fn(&ShardId) -> bool) {
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

    async fn list(&mut self) -> Result<Vec<Shard>> {
        let config = Arc::clone(&self.config);
        patiently(self, async || config.source.list_shards().await).await
    }

    async fn read_rows(&mut self) -> Result<()> {
        let config = Arc::clone(&self.config);
        let rows = patiently(self, async || config.store.list().await).await?;
        let stream = config.source.stream();
        self.shards.set_rows(rows.into_iter().filter(|row| row.key.stream == *stream));
        Ok(())
    }
}

async fn find(
    store: &dyn LeaseStore,
    source: &dyn StreamSource,
    name: &SubscriptionName,
) -> Result<SubscriptionRecord> {
    let records = store.subscriptions().await?.into_iter();
    let mut of_name = records.filter(|record| record.stream == *source.stream() && record.name == *name);
    let unknown =
        || Error::not_found(format!("the store knows no subscription {name:?} of stream {}", source.stream()));
    of_name.next().filter(|record| !record.forgotten).ok_or_else(unknown)
}

fn not_attached(name: &SubscriptionName) -> Error {
    Error::not_found(format!("no subscription {name:?} is attached to this pipeline"))
}

/// Tries again what failed in passing.
async fn patiently<T>(worker: &mut Worker, what: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut failures = 0;
    loop {
        match what().await {
            Err(error) if error.kind().is_retryable() || error.kind() == ErrorKind::PositionExpired => {
                failures += 1;
                if failures == TRIES {
                    return Err(error);
                }
                let wait = worker.config.retry.wait(failures, &mut worker.rng);
                sleep(wait.max(error.retry_after().unwrap_or_default())).await;
            }
            answer => return answer,
        }
    }
}
