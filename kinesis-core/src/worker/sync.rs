//! Syncing: the worker looks at the stream and the store, takes the shards that are free, and puts runners on them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::attach::{self, Place};
use super::keeper::{Keeper, Order};
use super::runner::{Command, Runner};
use super::shards::Held;
use super::{Attached, Ended, Worker};
use crate::broken::{self, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::feed::{Feed, FeedConfig, Start, front, lowest};
use crate::lane::{Lane, LaneParts, LaneReport, Ledger, State, terms};
use crate::lease::{HeldLease, Lease, SubscriptionRecord};
use crate::observe::Event;
use crate::pipeline::Subscription;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::{Origin, SubscriptionName};

impl Worker {
    /// One look at the stream and the store. What was taken before an error stays taken.
    pub(super) async fn try_sync(&mut self) -> Result<()> {
        let config = Arc::clone(&self.config);
        let stream = config.source.stream();
        let rows = config.store.list().await?;
        self.shards.set_rows(rows.into_iter().filter(|row| row.key.stream == *stream));
        let unknown = |(name, _): &(&SubscriptionName, &Attached)| !self.shards.records().contains_key(*name);
        let new = self.attached.iter().filter(unknown).map(|(_, attached)| Arc::clone(&attached.subscription));
        let new: Vec<Arc<Subscription>> = new.collect();
        let mut listing = Vec::new();
        if self.shards.wants_listing() || !new.is_empty() {
            listing = config.source.list_shards().await?;
        }
        let records = attach::attach(config.source.as_ref(), config.store.as_ref(), &new, &listing).await?;
        if !listing.is_empty() {
            self.shards.list(&listing);
        }
        self.learn(records);
        self.remove_spent().await;
        // Others may have finished the parents of shards that are held here.
        let working = self.working();
        for name in &working {
            self.shards.open_gates(name);
        }
        let mut wanted = self.shards.wanted(&working);
        if wanted.is_empty() && listing.is_empty() {
            // Before this worker looks no more: others may have come to the end of shards whose children have no row yet.
            self.shards.list(&config.source.list_shards().await?);
            wanted = self.shards.wanted(&working);
        }
        // A holder of ours hears of a request with its next renewal, has its drain, and writes once more.
        let patience = config.drain + config.failover * 2;
        let moves = self.shards.moves(&wanted, &config.me, config.failover, patience);
        for shard in wanted.iter().filter(|shard| moves.take.contains(&shard.id)) {
            self.take_shard(shard).await?;
        }
        // Of a shard without a row nobody else may know.
        for shard in wanted.iter().filter(|shard| !moves.take.contains(&shard.id)) {
            if self.shards.row(&shard.id).is_none() {
                let (row, _) = self.row(shard).await?;
                self.shards.left_to_others(row);
            }
        }
        for shard in &moves.ask {
            let Some(row) = self.shards.row(shard) else { continue };
            if config.store.request(row, &config.me).await? {
                tracing::info!(%shard, holder = ?row.owner, "asked for a shard, to have as many as others");
            }
        }
        Ok(())
    }

    /// Removes rows that nobody needs any more. Nobody waits for it either: what cannot be removed stays.
    async fn remove_spent(&mut self) {
        while let Some(row) = self.shards.next_spent(self.config.failover) {
            let removed = self.config.store.remove(&row).await;
            let shard = &row.key.shard;
            match &removed {
                Ok(true) => {
                    tracing::info!(%shard, "removed the row of a shard that the stream does not retain any more");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%shard, error = error.chain(), "the row of a shard that is gone stays"),
            }
            self.shards.spent(shard, removed.unwrap_or(false));
        }
    }

    /// Takes in who subscribes as the store has it now: another worker may have been asked for a change.
    pub(super) fn learn(&mut self, records: BTreeMap<SubscriptionName, SubscriptionRecord>) {
        for (name, record) in records {
            let before = self.shards.records().get(&name).cloned();
            if before.as_ref().is_some_and(|before| before.revision >= record.revision) {
                continue;
            }
            self.shards.set_record(record.clone());
            if record.forgotten {
                self.let_go(&name);
                continue;
            }
            let Some((before, attached)) = before.zip(self.attached.get(&name)) else { continue };
            let moved = |shard: &ShardId| before.generation_on(shard) != record.generation_on(shard);
            if (before.generation, &before.sought) != (record.generation, &record.sought) {
                attached.counters.resumed();
                self.place_lanes(&name, moved);
            }
            if before.paused != record.paused {
                self.shards.tell(|| Command::Pause(name.clone(), record.paused));
            }
        }
    }

    /// The subscriptions that have not halted.
    pub(super) fn working(&self) -> Vec<SubscriptionName> {
        let working = self.attached.iter().filter(|(_, attached)| !attached.counters.is_halted());
        working.map(|(name, _)| name.clone()).collect()
    }

    /// The row of a shard that had none when the rows were read, and whether it is made only now.
    async fn row(&self, shard: &Shard) -> Result<(Lease, bool)> {
        let store = &self.config.store;
        let row = Lease::new(self.config.source.stream(), shard);
        if store.create(&row).await? {
            return Ok((row, true));
        }
        Ok((store.get(&row.key).await?.unwrap_or(row), false))
    }

    async fn take_shard(&mut self, shard: &Shard) -> Result<()> {
        let config = Arc::clone(&self.config);
        let row = match self.shards.row(&shard.id) {
            Some(row) => row.clone(),
            None => {
                let (row, is_new) = self.row(shard).await?;
                if !is_new && self.shards.free_for(&row, &config.me, config.failover).is_none() {
                    return Ok(());
                }
                row
            }
        };
        self.unanswered.insert(shard.id.clone(), row.clone());
        let sent = Instant::now();
        let claimed = config.store.claim(&row, &config.me).await?;
        self.unanswered.remove(&shard.id);
        match claimed {
            Some(held) => self.start(held, sent).await,
            None => {
                self.shards.lost_race(&row);
                Ok(())
            }
        }
    }

    /// Puts a runner and a keeper on a shard whose claim was sent at this time.
    pub(super) async fn start(&mut self, mut held: HeldLease, claimed: Instant) -> Result<()> {
        let config = Arc::clone(&self.config);
        let shard = held.key().shard.clone();
        let (report, reports) = mpsc::unbounded_channel();
        let names: Vec<SubscriptionName> = self.attached.keys().cloned().collect();
        let of_name = |name: &SubscriptionName| self.lane(&shard, name, Some(held.lease()), &report);
        let lanes: Vec<LaneParts> = names.iter().filter_map(of_name).collect();
        if lanes.is_empty() {
            // Whoever wanted it has halted while it was claimed. If somebody else has it by now, so much the better.
            return match config.store.release(&mut held, None, None).await {
                Err(error) if error.kind() == ErrorKind::LeaseLost => Ok(()),
                released => released,
            };
        }
        let gated = lanes.iter().filter(|lane| lane.state == State::Gated);
        let gated: BTreeSet<_> = gated.map(|lane| lane.subscription.name.clone()).collect();
        let is_forgotten =
            |name: &&SubscriptionName| self.shards.records().get(*name).is_some_and(|known| known.forgotten);
        let forgotten = held.lease().cursors.keys().filter(is_forgotten).cloned().collect();
        let from = feed_start(&lanes, config.source.caps().replayable, &shard)?;
        let (commands, commanded) = mpsc::unbounded_channel();
        let (order, orders) = watch::channel(Order::Hold(None));
        let feed = FeedConfig {
            source: Arc::clone(&config.source),
            shard: shard.clone(),
            channel_from: config.channel_from.clone(),
            idle: config.idle,
            retry: config.retry,
            observer: Arc::clone(&config.observer),
            budget: config.budget.clone(),
            page_bytes: page_bytes(config.budget.limit()),
            ring: config.ring,
            seed: seed(config.seed, &shard, "feed"),
        };
        let runner = Runner {
            shard: shard.clone(),
            feed: Feed::start(feed, from),
            lanes: lanes.into_iter().enumerate().map(|(id, lane)| (id, Lane::new(LaneParts { id, ..lane }))).collect(),
            forgotten,
            reports,
            commands: commanded,
            notices: self.notices.0.clone(),
            orders: order,
            commit_every: config.commit_every,
            drain: config.drain,
            budget: config.budget.clone(),
            observer: Arc::clone(&config.observer),
            records_read: Arc::clone(&config.records_read),
        };
        config.observer.on(&Event::LeaseClaimed { shard: shard.clone() });
        let runner = self.tasks.spawn(async move { Ended::Runner(runner.run().await) });
        let keeper = Keeper {
            store: Arc::clone(&config.store),
            held,
            claimed,
            failover: config.failover,
            drain: config.drain,
            orders,
            commands: commands.clone(),
            runner: runner.clone(),
            observer: Arc::clone(&config.observer),
        };
        let keeper = self.tasks.spawn(async move { Ended::Keeper(keeper.run().await) });
        self.shards.hold(&shard, Held { commands, reports: report, gated, tasks: vec![runner.id(), keeper.id()] });
        Ok(())
    }

    /// What a lane of a subscription on a shard is made of; nothing, where it is done with the shard or has halted.
    pub(super) fn lane(
        &self,
        shard: &ShardId,
        name: &SubscriptionName,
        row: Option<&Lease>,
        reports: &mpsc::UnboundedSender<LaneReport>,
    ) -> Option<LaneParts> {
        let Attached { subscription, counters, account } = self.attached.get(name)?;
        let record = self.shards.records().get(name)?;
        let place = self.shards.place(shard, name, row)?;
        let (Place::Reading(start) | Place::Unread(start)) = place else { return None };
        if counters.is_halted() {
            return None;
        }
        let generation = record.generation_on(shard);
        let open = self.shards.may_start(shard, name);
        let seed = seed(self.config.seed, shard, name);
        Some(LaneParts {
            id: 0,
            subscription: Arc::clone(subscription),
            origin: Arc::new(Origin {
                stream: self.config.source.stream().clone(),
                shard: shard.clone(),
                subscription: name.clone(),
            }),
            terms: Arc::new(terms(subscription, Arc::clone(&self.config.observer), seed)),
            counters: Arc::clone(counters),
            account: account.clone(),
            generation,
            ledger: Ledger::new(place.cursor(generation), start),
            state: if open { State::Running } else { State::Gated },
            paused: record.paused && !broken::is(Part::PauseForgotten),
            reports: reports.clone(),
        })
    }
}

/// Where the front reader of a shard opens. Lanes that wait for something do not decide it, if others work.
fn feed_start(lanes: &[LaneParts], replayable: bool, shard: &ShardId) -> Result<Start> {
    let starts = |all: bool| -> Vec<Start> {
        let counts = |lane: &&LaneParts| all || lane.state == State::Running && !lane.paused;
        lanes.iter().filter(counts).map(|lane| lane.ledger.place()).collect()
    };
    if !replayable {
        return lowest(&starts(true)).ok_or_else(|| mixed_tips(lanes).on_shard(shard));
    }
    Ok(front(&starts(false)).or_else(|| front(&starts(true))).unwrap_or(Start::new(StartPosition::TrimHorizon, None)))
}

/// The error of a source that can be read once only, by subscriptions that start at its tip and by others that do not.
fn mixed_tips(lanes: &[LaneParts]) -> Error {
    let latest = lanes.iter().find(|lane| lane.ledger.place().position == StartPosition::Latest);
    let name = latest.map(|lane| lane.subscription.name.to_string()).unwrap_or_default();
    Error::unsupported(format!(
        "subscription {name} starts at the tip of a source that can be read once only, beside others that start elsewhere; \
         start it at the horizon"
    ))
}

/// How much payload a page has at most, unless a single record has more: little beside the budget, so that a record which
/// stays keeps little else in memory, and enough to be worth the handling.
fn page_bytes(budget: usize) -> usize {
    (budget / 64).clamp(1, 256 << 10)
}

/// A seed of its own for every user of randomness, the same in every run with the same seed.
fn seed(seed: u64, shard: &ShardId, user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, &**shard, user).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrap::scripted::Scripted;
    use crate::{LeaseStore, Pipeline, ShardKey, StreamSource, handler};
    use std::time::Duration;

    /// The only subscription that wanted a shard halted while the shard was claimed: there was no lane to open the feed
    /// for, and the run failed with an advice about positions.
    #[tokio::test(start_paused = true)]
    async fn a_shard_that_nobody_wants_any_more_is_let_go() {
        let (source, store) = (Arc::new(Scripted::new(["0"])), crate::MemoryLeaseStore::new());
        let pipeline = Pipeline::builder("app", Arc::clone(&source)).leases(store.clone());
        let pipeline = pipeline.subscribe(Subscription::new("halts", handler(|_| async {})));
        let mut worker = pipeline.build().unwrap().into_worker();
        worker.attached["halts"].counters.halted("a poison record".into());
        worker.take_shard(&Shard::new("0")).await.unwrap();
        // One that somebody else took meanwhile cannot be let go, and that ended the run.
        let seen = store.get(&ShardKey::new(source.stream(), &"0".into())).await.unwrap().unwrap();
        let ours = store.claim(&seen, &"app".into()).await.unwrap().unwrap();
        let theirs = store.claim(ours.lease(), &"other".into()).await.unwrap().unwrap();
        worker.start(ours, Instant::now()).await.unwrap();
        store.release(&mut { theirs }, None, None).await.unwrap();
        let row = store.get(&ShardKey::new(source.stream(), &"0".into())).await.unwrap().unwrap();
        assert_eq!((row.owner, worker.tasks.len()), (None, 0));
        tokio::time::timeout(Duration::from_secs(60), worker.run(std::future::pending())).await.unwrap();
    }
}
