//! Syncing: the worker looks at the stream and the store, takes the shards that are free, and puts runners on them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};

use super::attach::{self, Place};
use super::keeper::{Keeper, Order};
use super::runner::Runner;
use super::shards::Held;
use super::{Ended, Worker};
use crate::deliver::Terms;
use crate::error::{Error, Result};
use crate::feed::{FeedConfig, Ring};
use crate::lane::{Lane, LaneParts, Ledger, Start, State, lowest, shape};
use crate::lease::{HeldLease, Lease};
use crate::observe::Event;
use crate::pipeline::Subscription;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::{Origin, SubscriptionName};

impl Worker {
    /// One look at the stream and the store. What was taken before an error stays taken.
    pub(super) async fn try_sync(&mut self) -> Result<()> {
        let config = Arc::clone(&self.config);
        if self.shards.wants_listing() {
            let listing = config.source.list_shards().await?;
            if self.shards.records().is_empty() {
                let (source, store) = (config.source.as_ref(), config.store.as_ref());
                self.shards.set_records(attach::attach(source, store, &config.subscriptions, &listing).await?);
            }
            self.shards.list(&listing);
        }
        let stream = config.source.stream();
        let rows = config.store.list().await?;
        self.shards.set_rows(rows.into_iter().filter(|row| row.key.stream == *stream));
        for shard in self.shards.wanted(&self.working()) {
            self.take_shard(&shard).await?;
        }
        Ok(())
    }

    /// The subscriptions that have not halted.
    fn working(&self) -> Vec<SubscriptionName> {
        let counters = &self.config.counters;
        counters.iter().filter(|(_, counters)| !counters.is_halted()).map(|(name, _)| name.clone()).collect()
    }

    async fn take_shard(&mut self, shard: &Shard) -> Result<()> {
        let config = Arc::clone(&self.config);
        let row = match self.shards.row(&shard.id) {
            Some(row) => row.clone(),
            None => {
                let row = Lease::new(config.source.stream(), shard);
                if config.store.create(&row).await? { row } else { config.store.get(&row.key).await?.unwrap_or(row) }
            }
        };
        if !self.shards.is_claimable(&row, &config.me, config.failover) {
            return Ok(());
        }
        match config.store.claim(&row, &config.me).await? {
            Some(held) => self.start(held).await,
            None => {
                self.shards.lost_race(&row);
                Ok(())
            }
        }
    }

    /// Puts a runner and a keeper on a shard that was claimed.
    async fn start(&mut self, mut held: HeldLease) -> Result<()> {
        let config = Arc::clone(&self.config);
        let shard = held.key().shard.clone();
        let (report, reports) = mpsc::unbounded_channel();
        let mut lanes = Vec::new();
        let mut gated = BTreeSet::new();
        for subscription in &config.subscriptions {
            let name = &subscription.name;
            let place = self.shards.place(&shard, name, Some(held.lease()));
            let (Some(place), Some(record)) = (place, self.shards.records().get(name)) else { continue };
            let (Place::Reading(start) | Place::Unread(start)) = place else { continue };
            let counters = &config.counters[name];
            if counters.is_halted() {
                continue;
            }
            let open = self.shards.may_start(&shard, name);
            if !open {
                gated.insert(name.clone());
            }
            lanes.push(Lane::new(LaneParts {
                index: lanes.len(),
                subscription: Arc::clone(subscription),
                origin: Arc::new(Origin {
                    stream: config.source.stream().clone(),
                    shard: shard.clone(),
                    subscription: name.clone(),
                }),
                terms: Arc::new(self.terms(subscription, &shard)),
                counters: Arc::clone(counters),
                ledger: Ledger::new(place.cursor(record.generation)),
                start,
                state: if open { State::Running } else { State::Gated },
                reports: report.clone(),
            }));
        }
        if lanes.is_empty() {
            // Whoever wanted it has halted while it was claimed.
            return config.store.release(&mut held, None, None).await;
        }
        let from = feed_start(&lanes, &shard)?;
        let (commands, commanded) = mpsc::unbounded_channel();
        let (order, orders) = watch::channel(Order::Hold(None));
        let runner = Runner {
            shard: shard.clone(),
            feed: FeedConfig {
                source: Arc::clone(&config.source),
                shard: shard.clone(),
                from,
                channel_from: config.channel_from.clone(),
                idle: config.idle,
                retry: config.retry,
                observer: Arc::clone(&config.observer),
                seed: seed(config.seed, &shard, "feed"),
            },
            lanes,
            reports,
            commands: commanded,
            notices: self.notices.0.clone(),
            orders: order,
            commit_every: config.commit_every,
            ring: Ring::new(config.ring),
            records_read: Arc::clone(&config.records_read),
        };
        config.observer.on(&Event::LeaseClaimed { shard: shard.clone() });
        let of_runner = shard.clone();
        let runner = self.tasks.spawn(async move { Ended::Runner(of_runner, runner.run().await) });
        let keeper = Keeper {
            store: Arc::clone(&config.store),
            held,
            failover: config.failover,
            orders,
            runner: runner.clone(),
            observer: Arc::clone(&config.observer),
        };
        let keeper = self.tasks.spawn(async move { Ended::Keeper(keeper.run().await) });
        self.shards.hold(&shard, Held { commands, gated, tasks: vec![runner.id(), keeper.id()] });
        Ok(())
    }

    fn terms(&self, subscription: &Subscription, shard: &ShardId) -> Terms {
        let (holds, slots, width) = shape(subscription.ordering);
        Terms {
            sink: Arc::clone(&subscription.sink),
            retry: subscription.retry,
            on_reject: subscription.on_reject.clone(),
            holds,
            turns: Semaphore::new(slots * width),
            observer: Arc::clone(&self.config.observer),
            seed: seed(self.config.seed, shard, &subscription.name),
        }
    }
}

fn feed_start(lanes: &[Lane], shard: &ShardId) -> Result<StartPosition> {
    let starts: Vec<Start> = lanes.iter().map(Lane::start).collect();
    lowest(&starts).ok_or_else(|| {
        let latest = lanes.iter().find(|lane| lane.start().position == StartPosition::Latest);
        let name = latest.map(|lane| lane.subscription().name.to_string()).unwrap_or_default();
        Error::unsupported(format!(
            "subscription {name} starts at the tip, which this source cannot tell, beside others that start elsewhere; \
             start it at a timestamp or the horizon, or answer `Batch::resume` from readers opened at the tip"
        ))
        .on_shard(shard)
    })
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
        let config = pipeline.build().unwrap().into_worker();
        config.counters["halts"].halted("a poison record".into());
        let mut worker = Worker::new(config);
        worker.take_shard(&Shard::new("0")).await.unwrap();
        let row = store.get(&ShardKey::new(source.stream(), &"0".into())).await.unwrap().unwrap();
        assert_eq!((row.owner, worker.tasks.len()), (None, 0));
        tokio::time::timeout(Duration::from_secs(60), worker.run(std::future::pending())).await.unwrap();
    }
}
