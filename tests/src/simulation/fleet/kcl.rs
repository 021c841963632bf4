//! A worker of the KCL 2.x among ours, by its rules: it takes what stands still for its failover time, steals one lease at a
//! time from whoever has most while it has less than its share, and moves checkpoints. It knows nothing of requests.
//!
//! It works on what the rows mean; how they are written in a table is tested with the store. Its checkpoint counts for every
//! subscription of the row, unless a cursor is further.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::lease::{Cursor, CursorPosition, HeldLease, Lease, Progress, WorkerId};
use kinesis_core::{Error, ErrorKind, LeaseStore, MemoryLeaseStore, Result, SequenceNumber, ShardId, StartPosition};
use tokio::time::{Instant, sleep};

use super::super::Tale;
use super::model::Model;
use super::plan::NAMES;
use super::store::Watched;

/// How many records it processes on a shard between two checkpoints.
const AT_ONCE: usize = 10;

/// The worker.
pub(super) struct Kcl {
    worker: usize,
    store: Watched,
    model: Model,
    me: WorkerId,
    failover: Duration,
    held: BTreeMap<ShardId, HeldLease>,
    /// Counters, and since when they stand still.
    watched: BTreeMap<ShardId, (u64, Instant)>,
    rng: Rng,
}

impl Kcl {
    pub(super) fn new(worker: usize, store: &MemoryLeaseStore, model: &Model, failover: Duration, rng: Rng) -> Self {
        model.state().is_of_the_kcl(worker);
        Self {
            worker,
            store: Watched::new(store, model, worker),
            model: model.clone(),
            me: WorkerId::from(format!("kcl-{worker}")),
            failover,
            held: BTreeMap::new(),
            watched: BTreeMap::new(),
            rng,
        }
    }

    /// Works until it is dropped.
    pub(super) async fn run(mut self) {
        let mut take_at = Instant::now();
        loop {
            if let Err(error) = self.round(&mut take_at).await {
                self.model.violate("the rows are there for the KCL", error.chain());
                return;
            }
            sleep(self.failover / 3).await;
        }
    }

    async fn round(&mut self, take_at: &mut Instant) -> Result<()> {
        for (shard, held) in std::mem::take(&mut self.held) {
            // A lease that is lost is dropped.
            if let Some(held) = self.process(held).await? {
                self.held.insert(shard, held);
            }
        }
        if *take_at <= Instant::now() {
            *take_at = Instant::now() + self.failover * 2;
            self.take().await?;
        }
        Ok(())
    }

    /// Reads on from the checkpoint, and moves it.
    async fn process(&mut self, mut held: HeldLease) -> Result<Option<HeldLease>> {
        let rows = self.store.list().await?;
        let mine = |row: &&Lease| row.key == *held.key() && row.owner.as_ref() == Some(&self.me);
        let Some(row) = rows.iter().find(mine) else { return Ok(None) };
        let shard = row.key.shard.clone();
        let carried = carries(row, &rows);
        let (places, is_closed) = self.model.state().records_on(&shard);
        let from = row.checkpoint();
        let mut todo = places.into_iter().filter(|(number, _)| is_past(from, *number));
        let done: Vec<_> = todo.by_ref().take(AT_ONCE).collect();
        let ends = is_closed && todo.next().is_none();
        let to = match done.last() {
            _ if ends => Some(CursorPosition::End),
            Some((number, _)) => Some(CursorPosition::Next(StartPosition::After(*number))),
            None => None,
        };
        for of in &carried {
            self.model.state().processed(self.worker, *of, &shard, done.iter().map(|(_, nth)| *nth).collect());
        }
        let known = self.store.subscriptions().await?;
        let cursor = |of: &usize| {
            let record = known.iter().find(|record| *record.name == *NAMES[*of])?;
            let cursor = Cursor::new(record.generation_on(&shard), to?);
            let is_further = row.cursors.get(&record.name).is_none_or(|stored| cursor.supersedes(stored));
            is_further.then(|| (record.name.clone(), cursor))
        };
        let progress = Progress::new(carried.iter().filter_map(cursor));
        // What has ended is let go, and so is what nobody may begin yet.
        if ends || carried.is_empty() {
            return self.store.release(&mut held, Some(progress), None).await.map(|()| None).or_else(lost);
        }
        let renewed = self.store.advance(&mut held, Some(&progress)).await;
        renewed.map(|_| Some(held)).or_else(lost)
    }

    /// Takes what nobody renews, or steals one lease, to come nearer to its share.
    async fn take(&mut self) -> Result<()> {
        let rows = self.store.list().await?;
        let now = Instant::now();
        let mut counts = BTreeMap::from([(self.me.clone(), 0)]);
        let (mut free, mut others) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| row.checkpoint() != Some(CursorPosition::End)) {
            let (counter, since) = self.watched.entry(row.key.shard.clone()).or_insert((row.counter, now));
            if *counter != row.counter {
                (*counter, *since) = (row.counter, now);
            }
            let expired = since.elapsed() > self.failover;
            match row.owner.clone() {
                Some(owner) if owner == self.me => *counts.entry(owner).or_default() += 1,
                Some(owner) if !expired => {
                    *counts.entry(owner).or_default() += 1;
                    others.push(row);
                }
                _ => free.push(row),
            }
        }
        let share = (free.len() + counts.values().sum::<usize>()).div_ceil(counts.len());
        let mut room = share.saturating_sub(counts[&self.me]);
        let may_begin = |row: &&Lease| !carries(row, &rows).is_empty();
        free.retain(may_begin);
        self.rng.shuffle(&mut free);
        if free.is_empty() && room > 0 {
            let most = counts.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > share);
            let is_of_most =
                |row: &&Lease| row.owner.as_ref().is_some_and(|owner| most.is_some_and(|(most, _)| owner == most));
            others.retain(|row| is_of_most(row) && may_begin(row));
            free.extend(self.rng.choice(others));
            room = 1;
        }
        for row in free.into_iter().take(room) {
            if let Some(held) = self.store.claim(row, &self.me).await? {
                self.held.insert(row.key.shard.clone(), held);
            }
        }
        Ok(())
    }
}

/// Whom it works for on a shard: who has finished the parents, and is in the row, or everybody while nobody is.
fn carries(row: &Lease, rows: &[Lease]) -> Vec<usize> {
    let parents: Vec<&Lease> = rows.iter().filter(|other| row.parents.contains(&other.key.shard)).collect();
    let ended = |parent: &Lease, name: &str| {
        parent.cursors.get(name).is_some_and(|cursor| cursor.position == CursorPosition::End)
    };
    let is_in = |name: &str| row.cursors.is_empty() || row.cursors.contains_key(name);
    let may = |name: &str| is_in(name) && parents.iter().all(|parent| ended(parent, name));
    let is_whole = parents.len() == row.parents.len();
    NAMES.iter().enumerate().filter(|(_, name)| is_whole && may(name)).map(|(of, _)| of).collect()
}

fn is_past(checkpoint: Option<CursorPosition>, number: SequenceNumber) -> bool {
    match checkpoint {
        None | Some(CursorPosition::Next(StartPosition::TrimHorizon)) => true,
        Some(CursorPosition::Next(StartPosition::After(at))) => number > at,
        Some(CursorPosition::Next(StartPosition::At(at))) => number >= at,
        Some(_) => false,
    }
}

/// That it has lost a lease is nothing to complain of.
fn lost<T>(error: Error) -> Result<Option<T>> {
    if error.kind() == ErrorKind::LeaseLost { Ok(None) } else { Err(error) }
}
