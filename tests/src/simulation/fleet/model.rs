//! What must be true of a fleet, kept apart from its workers: what was put, who was given what, and who wrote on which lease.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Arguments;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::{
    Cursor, CursorPosition, Delivery, Lease, Ordering, Progress, SequenceNumber, Shard, ShardId, StartPosition,
    WorkerId,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::journal::Journal;
use super::super::{Seen, Story, Tale, Violation};
use super::apart::Apart;
use super::luck::Luck;
use super::plan::{NAMES, Plan};

/// So long after it went on, a worker that stood still may not know yet what it has lost.
const WAKING: Duration = Duration::from_secs(4);

/// The model of one fleet. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Model(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    journal: Journal,
    violations: Vec<Violation>,
    pub(super) seen: Seen,
    /// What the parts draw from while the story goes on.
    pub(super) rng: Rng,
    failover: Duration,
    healthy: bool,
    repeats_nothing: bool,
    calm: bool,
    shards: BTreeMap<ShardId, ShardFacts>,
    /// Which put is at which place.
    places: HashMap<(ShardId, SequenceNumber), usize>,
    keys: BTreeMap<String, Vec<usize>>,
    puts: Vec<(ShardId, String)>,
    /// For each subscription, which records it has.
    has: [BTreeSet<usize>; NAMES.len()],
    /// The last write on a lease by its holder, and who that is, where somebody holds it.
    written: BTreeMap<ShardId, (Option<usize>, Instant)>,
    alive: BTreeSet<usize>,
    /// Which workers are of the KCL.
    kcl: BTreeSet<usize>,
    lost: BTreeMap<(usize, ShardId), Instant>,
    pub(super) apart: Apart,
}

#[derive(Debug, Default)]
struct ShardFacts {
    parents: Vec<ShardId>,
    closed: bool,
    puts: Vec<usize>,
}

impl Tale for Model {
    fn spins(&self) -> Arc<Notify> {
        self.state().journal.spins()
    }

    fn violate(&self, promise: &'static str, evidence: String) {
        self.state().violate(promise, evidence);
    }

    fn into_story(self, seed: u64) -> Story {
        let mut state = self.state();
        let violations = std::mem::take(&mut state.violations);
        Story { seed, worlds: "", violations, log: state.journal.take(), seen: state.seen }
    }
}

impl Model {
    pub(super) fn new(plan: &Plan, beats: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            journal: Journal::new(beats),
            violations: Vec::new(),
            seen: Seen::default(),
            rng: Rng::with_seed(plan.seed),
            failover: plan.failover,
            healthy: plan.healthy,
            repeats_nothing: plan.healthy && plan.ordering == Ordering::PerShard,
            calm: false,
            shards: BTreeMap::new(),
            places: HashMap::new(),
            keys: BTreeMap::new(),
            puts: Vec::new(),
            has: Default::default(),
            written: BTreeMap::new(),
            alive: BTreeSet::new(),
            kcl: BTreeSet::new(),
            lost: BTreeMap::new(),
            apart: Apart::new(plan.apart),
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic inside is a violation by itself; what is known stays readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn line(&self, what: Arguments<'_>) {
        self.state().journal.line(what);
    }
}

impl State {
    pub(super) fn violate(&mut self, promise: &'static str, evidence: String) {
        if self.violations.len() < 3 {
            self.journal.violation(promise, &evidence);
            self.violations.push(Violation { promise, evidence, line: self.journal.len() });
        }
    }

    /// Whether something that is as likely as this goes wrong.
    pub(super) fn draws(&mut self, odds: f64) -> bool {
        !self.calm && self.rng.f64() < odds
    }

    pub(super) fn calm(&mut self) {
        self.calm = true;
        self.journal.line(format_args!("nothing fails any more"));
    }

    pub(super) fn lives(&mut self, worker: usize, lives: bool) {
        if lives {
            self.alive.insert(worker)
        } else {
            self.alive.remove(&worker)
        };
    }

    pub(super) fn is_of_the_kcl(&mut self, worker: usize) {
        self.kcl.insert(worker);
        self.apart.knows_one_table(worker);
    }

    /// The records of a shard in their order, and whether no more will come.
    pub(super) fn records_on(&self, shard: &ShardId) -> (Vec<(SequenceNumber, usize)>, bool) {
        let places = self.places.iter().filter(|((on, _), _)| on == shard);
        let mut places: Vec<_> = places.map(|((_, number), nth)| (*number, *nth)).collect();
        places.sort_unstable();
        (places, self.shards.get(shard).is_some_and(|facts| facts.closed))
    }

    pub(super) fn shards_are(&mut self, shards: &[Shard]) {
        for shard in shards {
            let facts = self.shards.entry(shard.id.clone()).or_default();
            facts.parents.clone_from(&shard.parents);
            facts.closed = shard.closed;
        }
    }

    pub(super) fn put(&mut self, (shard, number): (ShardId, SequenceNumber), key: String) {
        let nth = self.puts.len();
        self.journal.line(format_args!("put #{nth} {key} on {shard}"));
        self.shards.entry(shard.clone()).or_default().puts.push(nth);
        self.keys.entry(key.clone()).or_default().push(nth);
        self.places.insert((shard.clone(), number), nth);
        self.puts.push((shard, key));
        self.seen.records += 1;
    }

    /// A subscriber is given records by a worker, and takes them or not.
    pub(super) fn given(&mut self, worker: usize, of: usize, luck: &Luck, delivery: &Delivery, takes: bool) {
        let shard = delivery.shard().clone();
        let numbers = delivery.records().map(|record| record.sequence_number);
        let nths: Vec<usize> =
            numbers.filter_map(|number| self.places.get(&(shard.clone(), number)).copied()).collect();
        let who = format!("{} by worker {worker} on {shard}", NAMES[of]);
        self.journal.line(format_args!("{who}: {nths:?}{}", if takes { "" } else { ", in vain" }));
        self.seen.deliveries += 1;
        if self.lost.get(&(worker, shard.clone())).is_some_and(|since| *since < Instant::now()) {
            self.violate("who has lost a lease delivers nothing", who.clone());
        }
        let last = self.written.get(&shard).filter(|(by, _)| *by == Some(worker)).map(|(_, at)| at.elapsed());
        if last.is_some_and(|last| last > self.failover) && luck.goes_on_since() > WAKING {
            self.violate("who could not renew in time delivers nothing", format!("{who}, {last:?} after it did"));
        }
        self.taken(of, &shard, &who, nths, takes);
    }

    /// A worker of the KCL has processed records for a subscription.
    pub(super) fn processed(&mut self, worker: usize, of: usize, shard: &ShardId, nths: Vec<usize>) {
        let who = format!("{} by worker {worker}, of the KCL, on {shard}", NAMES[of]);
        self.journal.line(format_args!("{who}: {nths:?}"));
        self.seen.by_the_kcl += nths.len();
        self.taken(of, shard, &who, nths, true);
    }

    fn taken(&mut self, of: usize, shard: &ShardId, who: &str, nths: Vec<usize>, takes: bool) {
        self.check_parents(of, shard, who);
        for nth in nths {
            let key = &self.keys[&self.puts[nth].1];
            let earlier = key.iter().take_while(|other| **other < nth).find(|other| !self.has[of].contains(other));
            if let Some(earlier) = earlier.copied() {
                self.violate("order is kept", format!("{who}: #{nth} while #{earlier} of its key is open"));
            }
            // What is tried in vain is tried again before anything of its key.
            if !takes {
                return;
            }
            if !self.has[of].insert(nth) {
                self.seen.repeats += 1;
                if self.repeats_nothing {
                    self.violate("a healthy fleet repeats nothing", format!("{who}: #{nth}"));
                }
            }
        }
    }

    fn check_parents(&mut self, of: usize, shard: &ShardId, who: &str) {
        let mut above = self.shards[shard].parents.clone();
        while let Some(parent) = above.pop() {
            let Some(facts) = self.shards.get(&parent) else { continue };
            above.extend(facts.parents.iter().cloned());
            if let Some(open) = facts.puts.iter().find(|nth| !self.has[of].contains(nth)).copied() {
                self.violate(
                    "a child is never read before its parents",
                    format!("{who} while #{open} of {parent} is open"),
                );
                return;
            }
        }
    }

    /// A worker has claimed a lease that was so before.
    pub(super) fn claimed(&mut self, worker: usize, before: &Lease, me: &WorkerId) {
        let shard = &before.key.shard;
        self.journal.line(format_args!("worker {worker} claims {shard}"));
        self.lost.remove(&(worker, shard.clone()));
        let from_another = before.owner.as_ref().is_some_and(|owner| owner != me);
        if let Some((by, at)) = self.written.get(shard).copied().filter(|_| from_another) {
            self.seen.taken_over += 1;
            // The thief stands for whatever may happen to a lease; one of the KCL steals from who lives, and does not hear
            // who asks.
            let by_its_rules = me.starts_with("a-thief")
                || self.kcl.contains(&worker)
                || before.wanted_by.is_some() && by.is_some_and(|by| self.kcl.contains(&by));
            if at.elapsed() < self.failover && !by_its_rules {
                let evidence = format!("{shard} of worker {by:?}, {:?} after it wrote", at.elapsed());
                self.violate("no lease is taken from a worker that may live", evidence);
            }
            if let Some(by) = by.filter(|by| self.healthy && *by != worker && self.alive.contains(by)) {
                self.violate("a healthy worker keeps its leases", format!("{shard} of worker {by}"));
            }
        }
        self.written.insert(shard.clone(), (Some(worker), Instant::now()));
    }

    /// A worker has written on a lease that was so before; what it has stored apart from it renews nothing.
    pub(super) fn written(
        &mut self,
        worker: usize,
        before: &Lease,
        me: &WorkerId,
        progress: Option<&Progress>,
        apart: bool,
    ) {
        self.journal.beat();
        let shard = before.key.shard.clone();
        if before.owner.as_ref() != Some(me) {
            self.violate("a fenced worker writes nothing", format!("worker {worker} on {shard} of {:?}", before.owner));
        }
        if !apart {
            self.written.insert(shard.clone(), (Some(worker), Instant::now()));
        }
        for (name, cursor) in progress.iter().flat_map(|progress| &progress.cursors) {
            let stored = before.cursors.get(name);
            if stored.is_some_and(|stored| !cursor.supersedes(stored)) {
                self.violate("a cursor never moves back", format!("{name} on {shard}: {stored:?}, then {cursor:?}"));
            }
            if let Some(of) = NAMES.iter().position(|known| *name == **known) {
                self.check_cursor(of, &shard, cursor);
            }
        }
    }

    /// Its holder has let a lease go, for another one or for anyone.
    pub(super) fn let_go(&mut self, shard: &ShardId, to_another: bool) {
        self.seen.handed_over += usize::from(to_another);
        self.written.insert(shard.clone(), (None, Instant::now()));
    }

    fn check_cursor(&mut self, of: usize, shard: &ShardId, cursor: &Cursor) {
        let below = match cursor.position {
            CursorPosition::Next(StartPosition::At(number)) => Some(number),
            CursorPosition::Next(StartPosition::After(number)) => Some(number.plus(1)),
            CursorPosition::Next(_) => return,
            _ => None,
        };
        let is_before = |number: &SequenceNumber| below.is_none_or(|below| *number < below);
        let open = self.places.iter().filter(|((on, number), _)| on == shard && is_before(number)).map(|(_, nth)| *nth);
        if let Some(open) = open.filter(|nth| !self.has[of].contains(nth)).min() {
            let evidence = format!("{} on {shard}: {:?} while #{open} is open", NAMES[of], cursor.position);
            self.violate("a cursor never passes an unsettled record", evidence);
        }
    }

    pub(super) fn told_lost(&mut self, worker: usize, shard: &ShardId) {
        self.journal.line(format_args!("worker {worker} is told that it has lost {shard}"));
        self.lost.entry((worker, shard.clone())).or_insert_with(Instant::now);
    }

    pub(super) fn has_all(&self) -> bool {
        self.has.iter().all(|has| has.len() == self.puts.len())
    }

    /// In the end everyone has everything.
    pub(super) fn check_all(&mut self) {
        for (of, name) in NAMES.iter().enumerate() {
            let lacks = (0..self.puts.len()).find(|nth| !self.has[of].contains(nth));
            if let Some(nth) = lacks {
                let (shard, key) = self.puts[nth].clone();
                self.violate("no record is lost", format!("{name} lacks #{nth} of {shard}, {key}"));
            }
        }
    }
}
