//! What must be true, kept apart from the pipeline: everything that was put, and what became of it for everyone.

mod checks;
mod wants;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Arguments;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kinesis_core::{Delivery, Ordering, Outcome, Outcomes, Record, SequenceNumber, ShardId, SubscriptionRecord};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fate::Fate;
use super::journal::Journal;
use super::plan::{Plan, SubscriptionPlan};
use super::{Door, Seen, Story, Tale, Violation};
use wants::{Asked, Change, Wish};

/// The model of one story. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Model {
    state: Arc<Mutex<State>>,
}

/// What the model knows.
#[derive(Debug)]
pub(super) struct State {
    journal: Journal,
    violations: Vec<Violation>,
    pub(super) seen: Seen,
    puts: Vec<Put>,
    /// Which put is at which place.
    places: HashMap<(ShardId, SequenceNumber), usize>,
    shards: BTreeMap<ShardId, ShardFacts>,
    keys: BTreeMap<String, Vec<usize>>,
    subscriptions: Vec<Subscriber>,
    /// How many of the first records are trimmed.
    trimmed: usize,
    /// Whether the faults have ceased.
    calm: bool,
    asked: Option<Asked>,
    budget: usize,
    over_the_wire: bool,
    /// How many records there were when the present life began.
    puts_at_birth: usize,
    born: Instant,
    failover: Duration,
    /// When a lease's counter changed last.
    renewed: BTreeMap<ShardId, Instant>,
    /// Shards whose worker was told that it has lost the lease, and when.
    fenced: BTreeMap<ShardId, Instant>,
    /// Shards that were opened, and whether that was once more since they were read.
    openings: BTreeMap<ShardId, bool>,
}

#[derive(Debug)]
struct Put {
    shard: ShardId,
    channel: String,
    record: Record,
}

#[derive(Debug, Default)]
struct ShardFacts {
    parents: Vec<ShardId>,
    closed: bool,
    puts: Vec<usize>,
}

#[derive(Debug)]
struct Subscriber {
    plan: SubscriptionPlan,
    /// What it is to have; unknown before it is attached.
    wish: Option<Wish>,
    record: Option<SubscriptionRecord>,
    /// Counts how often it began anew on each shard.
    epochs: BTreeMap<ShardId, u32>,
    change: Change,
    paused: bool,
    /// Since when it is certain that nothing new is given to it.
    silent_since: Option<Instant>,
    /// Whether it was told of a gap.
    gapped: bool,
    /// The first record that it was given of each shard, as far as a worker can know of it.
    met: BTreeMap<ShardId, usize>,
    /// Shards in which the store has its last settled record.
    placed: BTreeSet<ShardId>,
    fates: Vec<Fate>,
    /// For every shard and key, how many of its first records are settled or not wanted.
    fronts: BTreeMap<Row, usize>,
    in_flight: BTreeMap<ShardId, InFlight>,
}

/// A row of records that a subscription goes through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Shard(ShardId),
    Key(String),
}

#[derive(Debug, Default)]
struct InFlight {
    calls: usize,
    records: usize,
    /// Of these, the records that are tried for the first time.
    first_tries: usize,
    bytes: usize,
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
        let (violations, seen) = (std::mem::take(&mut state.violations), state.seen);
        Story { seed, worlds: "", violations, log: state.journal.take(), seen }
    }
}

impl Model {
    pub(super) fn new(plan: &Plan, door: Door, beats: u64) -> Self {
        let subscriber = |plan: &SubscriptionPlan| Subscriber {
            plan: plan.clone(),
            wish: None,
            record: None,
            epochs: BTreeMap::new(),
            change: Change::Done,
            paused: false,
            silent_since: None,
            gapped: false,
            met: BTreeMap::new(),
            placed: BTreeSet::new(),
            fates: Vec::new(),
            fronts: BTreeMap::new(),
            in_flight: BTreeMap::new(),
        };
        let state = State {
            journal: Journal::new(beats),
            violations: Vec::new(),
            seen: Seen::default(),
            puts: Vec::new(),
            places: HashMap::new(),
            shards: BTreeMap::new(),
            keys: BTreeMap::new(),
            subscriptions: plan.subscriptions.iter().map(subscriber).collect(),
            trimmed: 0,
            calm: false,
            asked: None,
            budget: plan.budget,
            over_the_wire: door != Door::Source,
            puts_at_birth: 0,
            born: Instant::now(),
            failover: plan.failover,
            renewed: BTreeMap::new(),
            fenced: BTreeMap::new(),
            openings: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic inside is a violation by itself; what is known stays readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn line(&self, what: Arguments<'_>) {
        self.state().journal.line(what);
    }
}

impl State {
    pub(super) fn violate(&mut self, promise: &'static str, evidence: String) {
        // The first few tell the story; what follows from them does not.
        if self.violations.len() < 3 {
            self.journal.violation(promise, &evidence);
            self.violations.push(Violation { promise, evidence, line: self.journal.len() });
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }

    pub(super) fn line(&mut self, what: Arguments<'_>) {
        self.journal.line(what);
    }

    /// Takes in how the shards stand.
    pub(super) fn shards_are(&mut self, shards: &[kinesis_core::Shard]) {
        for shard in shards {
            let facts = self.shards.entry(shard.id.clone()).or_default();
            facts.parents.clone_from(&shard.parents);
            facts.closed = shard.closed;
        }
    }

    pub(super) fn put(&mut self, shard: ShardId, channel: String, record: Record) {
        let nth = self.puts.len();
        self.journal.line(format_args!("put #{nth} {} on {shard}, {channel}", record.partition_key));
        self.places.insert((shard.clone(), record.sequence_number), nth);
        self.shards.entry(shard.clone()).or_default().puts.push(nth);
        self.keys.entry(record.partition_key.to_string()).or_default().push(nth);
        self.puts.push(Put { shard, channel, record });
        self.subscriptions.iter_mut().for_each(|subscriber| subscriber.fates.push(Fate::default()));
        self.seen.records += 1;
    }

    /// The faults cease, and the last life begins.
    pub(super) fn calm(&mut self) {
        self.calm = true;
        self.birth();
        self.journal.line(format_args!("the last life: nothing fails any more"));
    }

    /// A worker's life begins.
    pub(super) fn birth(&mut self) {
        (self.puts_at_birth, self.born) = (self.puts.len(), Instant::now());
        self.openings.clear();
        self.fenced.clear();
        self.asked = None;
        for subscriber in &mut self.subscriptions {
            subscriber.change = Change::Done;
            subscriber.silent_since = subscriber.paused.then_some(self.born);
        }
        (0..self.subscriptions.len()).for_each(|of| self.knows_as_the_store(of));
    }

    /// A shard is taken anew: nobody knows more of it than the store.
    pub(super) fn reopened(&mut self, shard: &ShardId) {
        self.fenced.remove(shard);
        for subscriber in self.subscriptions.iter_mut().filter(|subscriber| !subscriber.placed.contains(shard)) {
            subscriber.met.remove(shard);
        }
    }

    /// A subscription's lanes may be made anew: nobody knows more of where it was than the store.
    pub(super) fn knows_as_the_store(&mut self, of: usize) {
        let subscriber = &mut self.subscriptions[of];
        subscriber.met.retain(|shard, _| subscriber.placed.contains(shard));
    }

    /// Whether a subscription is paused, as the store has it.
    pub(super) fn is_paused(&self, of: usize) -> bool {
        self.subscriptions[of].paused
    }

    /// The numbers of a shard's records.
    pub(super) fn numbers(&self, shard: &ShardId) -> Vec<SequenceNumber> {
        self.row(&Row::Shard(shard.clone())).iter().map(|nth| self.puts[*nth].record.sequence_number).collect()
    }

    /// It is certain from now on that a subscription is given nothing new; or it may be given something.
    pub(super) fn silence(&mut self, of: usize, silent: bool) {
        self.subscriptions[of].silent_since = silent.then(Instant::now);
    }

    pub(super) fn renewed(&mut self, shard: &ShardId) {
        self.journal.beat();
        self.renewed.insert(shard.clone(), Instant::now());
    }

    /// A worker is told that it has lost the lease of a shard.
    pub(super) fn fenced(&mut self, shard: &ShardId) {
        self.fenced.entry(shard.clone()).or_insert_with(Instant::now);
    }

    pub(super) fn opened(&mut self, shard: &ShardId) {
        let again = self.openings.contains_key(shard);
        self.openings.insert(shard.clone(), again);
    }

    pub(super) fn read(&mut self, shard: &ShardId) {
        self.journal.beat();
        self.openings.insert(shard.clone(), false);
    }

    /// Whether a shard was opened anew and not read since.
    pub(super) fn was_reopened(&self, shard: &ShardId) -> bool {
        self.openings.get(shard).is_some_and(|again| *again)
    }

    fn row(&self, row: &Row) -> &[usize] {
        match row {
            Row::Shard(shard) => self.shards.get(shard).map_or(&[], |facts| &facts.puts),
            Row::Key(key) => self.keys.get(key).map_or(&[], |puts| puts),
        }
    }

    /// The first record of a row that is open, up to a number.
    fn first_open(&mut self, of: usize, row: &Row, below: Option<SequenceNumber>) -> Option<usize> {
        // Nothing is known of what it wants before it is attached.
        self.subscriptions[of].wish.as_ref()?;
        let mut front = self.subscriptions[of].fronts.get(row).copied().unwrap_or(0);
        while self.row(row).get(front).is_some_and(|nth| !self.is_open(of, *nth)) {
            front += 1;
        }
        self.subscriptions[of].fronts.insert(row.clone(), front);
        let first = self.row(row).get(front).copied()?;
        below.is_none_or(|below| self.puts[first].record.sequence_number < below).then_some(first)
    }

    /// A call is over, with or without an answer.
    pub(super) fn end(&mut self, of: usize, delivery: &Delivery) {
        let Some(now) = self.subscriptions[of].in_flight.get_mut(delivery.shard()) else { return };
        now.calls -= 1;
        now.records -= delivery.len();
        now.first_tries -= if delivery.attempt() == 1 { delivery.len() } else { 0 };
        now.bytes -= delivery.records().map(Record::size).sum::<usize>();
    }

    /// The sink has these records, whatever it answers.
    pub(super) fn taken(&mut self, of: usize, nths: &[usize]) {
        for nth in nths {
            let fate = &mut self.subscriptions[of].fates[*nth];
            self.seen.repeats += usize::from(std::mem::replace(&mut fate.taken, true));
        }
    }

    /// How often a subscription began anew on a shard.
    pub(super) fn epoch(&self, of: usize, shard: &ShardId) -> u32 {
        self.subscriptions[of].epochs.get(shard).copied().unwrap_or_default()
    }

    /// The sink answers, one outcome a record. What is behind a record that is held by order is not charged.
    pub(super) fn answered(&mut self, of: usize, (shard, epoch): (&ShardId, u32), nths: &[usize], outcomes: &Outcomes) {
        let SubscriptionPlan { ordering, retry, name, .. } = self.subscriptions[of].plan.clone();
        self.journal.line(format_args!("{name} -> {nths:?} {}", brief(outcomes)));
        let taken = nths.iter().zip(outcomes.iter()).filter(|(_, outcome)| **outcome == Outcome::Delivered);
        let taken: Vec<usize> = taken.map(|(nth, _)| *nth).collect();
        self.taken(of, &taken);
        if epoch != self.epoch(of, shard) {
            return;
        }
        let mut held: BTreeSet<&str> = BTreeSet::new();
        for (nth, outcome) in nths.iter().zip(outcomes.iter()) {
            let key = match ordering {
                Ordering::PerShard => Some(""),
                Ordering::PerKey { .. } => Some(&*self.puts[*nth].record.partition_key),
                _ => None,
            };
            if key.is_some_and(|key| held.contains(key)) {
                continue;
            }
            let fate = &mut self.subscriptions[of].fates[*nth];
            fate.answered(outcome, &retry);
            let again = matches!(outcome, Outcome::Retry | Outcome::Busy { .. });
            if again && !fate.given_up {
                held.extend(key);
            }
        }
    }

    /// The call failed as a whole.
    pub(super) fn failed(&mut self, of: usize, (shard, epoch): (&ShardId, u32), nths: &[usize], how: &str) {
        let SubscriptionPlan { retry, name, .. } = self.subscriptions[of].plan.clone();
        self.journal.line(format_args!("{name} -> {nths:?} {how}"));
        if epoch != self.epoch(of, shard) {
            return;
        }
        for nth in nths {
            self.subscriptions[of].fates[*nth].failed(nths.len() == 1, &retry);
        }
    }

    /// Dead letters are stored.
    pub(super) fn buried(&mut self, of: usize, nth: usize) {
        self.subscriptions[of].fates[nth].settled = true;
        self.seen.dead_letters += 1;
    }
}

/// One letter an outcome.
fn brief(outcomes: &Outcomes) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Delivered => 'D',
        Outcome::Retry => 'R',
        Outcome::Busy { .. } => 'B',
        Outcome::Rejected { .. } => 'X',
        _ => '?',
    };
    outcomes.iter().map(letter).collect()
}
