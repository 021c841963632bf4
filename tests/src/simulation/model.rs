//! What must be true, kept apart from the pipeline: everything that was put, and what became of it for everyone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Arguments;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kinesis_core::{
    CursorPosition, Delivery, Ordering, Outcome, Outcomes, Record, SequenceNumber, ShardId, StartPosition,
};
use tokio::time::Instant;

use super::fate::Fate;
use super::journal::Journal;
use super::plan::{Plan, Reject, SubscriptionPlan};
use super::{Seen, Story, Violation};

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
    /// Whether the faults have ceased.
    pub(super) calm: bool,
    /// How many records there were when the present life began.
    puts_at_birth: usize,
    born: Instant,
    failover: Duration,
    /// When a lease's counter changed last.
    renewed: BTreeMap<ShardId, Instant>,
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
    /// Records from this one on may come, and from the other one on must; unknown before it is attached.
    window: Option<(usize, usize)>,
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

impl Model {
    pub(super) fn new(plan: &Plan) -> Self {
        let subscriber = |plan: &SubscriptionPlan| Subscriber {
            plan: plan.clone(),
            window: None,
            fates: Vec::new(),
            fronts: BTreeMap::new(),
            in_flight: BTreeMap::new(),
        };
        let state = State {
            journal: Journal::new(),
            violations: Vec::new(),
            seen: Seen::default(),
            puts: Vec::new(),
            places: HashMap::new(),
            shards: BTreeMap::new(),
            keys: BTreeMap::new(),
            subscriptions: plan.subscriptions.iter().map(subscriber).collect(),
            calm: false,
            puts_at_birth: 0,
            born: Instant::now(),
            failover: plan.failover,
            renewed: BTreeMap::new(),
            openings: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic inside is a violation by itself; what is known stays readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violate(&self, promise: &'static str, evidence: String) {
        self.state().violate(promise, evidence);
    }

    pub(super) fn line(&self, what: Arguments<'_>) {
        self.state().journal.line(what);
    }

    pub(super) fn into_story(self, seed: u64) -> Story {
        let mut state = self.state();
        let (violations, seen) = (std::mem::take(&mut state.violations), state.seen);
        Story { seed, violations, log: state.journal.take(), seen }
    }
}

impl State {
    pub(super) fn violate(&mut self, promise: &'static str, evidence: String) {
        // The first few tell the story; what follows from them does not.
        if self.violations.len() < 3 {
            self.journal.line(format_args!("VIOLATION {promise}: {evidence}"));
            self.violations.push(Violation { promise, evidence, line: self.journal.len() });
        }
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

    /// A worker's life begins.
    pub(super) fn birth(&mut self) {
        (self.puts_at_birth, self.born) = (self.puts.len(), Instant::now());
        self.openings.clear();
    }

    /// A subscription's record was written.
    pub(super) fn attached(&mut self, name: &str) {
        let now = self.puts.len();
        let may = self.puts_at_birth;
        let Some(subscriber) = self.subscriptions.iter_mut().find(|subscriber| subscriber.plan.name == name) else {
            return;
        };
        let window = if subscriber.plan.start == StartPosition::Latest { (may, now) } else { (0, 0) };
        subscriber.window.get_or_insert(window);
        self.journal.line(format_args!("{name} is attached, from #{} or #{} on", window.0, window.1));
    }

    /// A worker has claimed a lease that another one held.
    pub(super) fn taken_over(&mut self, shard: &ShardId) {
        let stood_still = self.renewed.get(shard).map_or(self.failover, Instant::elapsed);
        let watched = self.born.elapsed().min(stood_still);
        if watched < self.failover {
            let failover = self.failover;
            self.violate(
                "no lease is taken from a worker that may live",
                format!("{shard} was claimed after {watched:?}; failover is {failover:?}"),
            );
        }
    }

    pub(super) fn renewed(&mut self, shard: &ShardId) {
        self.renewed.insert(shard.clone(), Instant::now());
    }

    pub(super) fn opened(&mut self, shard: &ShardId) {
        let again = self.openings.contains_key(shard);
        self.openings.insert(shard.clone(), again);
    }

    pub(super) fn read(&mut self, shard: &ShardId) {
        self.openings.insert(shard.clone(), false);
    }

    /// Whether a shard was opened anew and not read since.
    pub(super) fn was_reopened(&self, shard: &ShardId) -> bool {
        self.openings.get(shard).is_some_and(|again| *again)
    }

    fn wants(&self, of: usize, nth: usize) -> bool {
        let subscriber = &self.subscriptions[of];
        let channels = &subscriber.plan.channels;
        subscriber.window.is_some_and(|(_, must)| nth >= must)
            && channels.as_ref().is_none_or(|channels| channels.contains(&self.puts[nth].channel))
    }

    fn is_open(&self, of: usize, nth: usize) -> bool {
        self.wants(of, nth) && !self.is_settled(of, nth)
    }

    fn is_settled(&self, of: usize, nth: usize) -> bool {
        let subscriber = &self.subscriptions[of];
        let fate = &subscriber.fates[nth];
        fate.settled || fate.given_up && subscriber.plan.on_reject == Reject::Skip
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
        self.subscriptions[of].window?;
        let mut front = self.subscriptions[of].fronts.get(row).copied().unwrap_or(0);
        while self.row(row).get(front).is_some_and(|nth| !self.is_open(of, *nth)) {
            front += 1;
        }
        self.subscriptions[of].fronts.insert(row.clone(), front);
        let first = self.row(row).get(front).copied()?;
        below.is_none_or(|below| self.puts[first].record.sequence_number < below).then_some(first)
    }

    /// Checks a delivery before it is made, and counts it as in flight.
    pub(super) fn begin(&mut self, of: usize, delivery: &Delivery) -> Vec<usize> {
        let plan = self.subscriptions[of].plan.clone();
        let name = &plan.name;
        let mut nths = Vec::new();
        for entry in delivery.iter() {
            let place = (delivery.shard().clone(), entry.sequence_number);
            let Some(nth) = self.places.get(&place).copied() else {
                self.violate("nothing is delivered that was not put", format!("{} to {name}", entry.id()));
                continue;
            };
            nths.push(nth);
            let put = &self.puts[nth];
            if put.record != *entry.record() || put.channel != entry.channel() {
                self.violate("records arrive as they were put", format!("#{nth} to {name}: {:?}", entry.record()));
            }
            let within = self.subscriptions[of].window.is_some_and(|(may, _)| nth >= may);
            let channel = &self.puts[nth].channel;
            if !within || plan.channels.as_ref().is_some_and(|channels| !channels.contains(channel)) {
                let evidence = format!("#{nth} of {channel} to {name}");
                self.violate("nothing is delivered that was not subscribed to", evidence);
            }
        }
        self.seen.deliveries += 1;
        let (shard, attempt) = (delivery.shard(), delivery.attempt());
        self.journal.line(format_args!("{name} <- {shard} {nths:?} attempt {attempt}"));
        self.check_parents(of, shard);
        self.check_order(of, shard, &nths);
        self.check_bounds(of, delivery, &nths);
        for nth in &nths {
            self.subscriptions[of].fates[*nth].tried(attempt == 1);
        }
        nths
    }

    fn check_parents(&mut self, of: usize, shard: &ShardId) {
        let mut above: Vec<ShardId> = self.shards[shard].parents.clone();
        let mut met = BTreeSet::new();
        while let Some(parent) = above.pop() {
            if !met.insert(parent.clone()) {
                continue;
            }
            if let Some(open) = self.first_open(of, &Row::Shard(parent.clone()), None) {
                let name = &self.subscriptions[of].plan.name;
                let evidence = format!("{name} is given {shard} while #{open} of {parent} is open");
                self.violate("a child is never read before its parents", evidence);
            }
            above.extend(self.shards.get(&parent).map(|facts| facts.parents.clone()).unwrap_or_default());
        }
    }

    /// What is before a record in its row is settled, or comes before it in the same delivery.
    fn check_order(&mut self, of: usize, shard: &ShardId, nths: &[usize]) {
        let ordering = self.subscriptions[of].plan.ordering;
        let mut earlier = BTreeSet::new();
        for nth in nths.iter().copied() {
            let row = match ordering {
                Ordering::PerShard => Row::Shard(shard.clone()),
                Ordering::PerKey { .. } => Row::Key(self.puts[nth].record.partition_key.to_string()),
                _ => return,
            };
            // Per shard, the key's order across shards has to hold too; `check_parents` sees to that.
            if let Some(first) = self.first_open(of, &row, None) {
                let from = self.row(&row).partition_point(|other| *other < first);
                let to = self.row(&row).partition_point(|other| *other < nth);
                let behind = self.row(&row).get(from..to).unwrap_or_default();
                let passed = behind.iter().find(|other| self.is_open(of, **other) && !earlier.contains(*other));
                if let Some(passed) = passed {
                    let name = &self.subscriptions[of].plan.name;
                    let evidence = format!("{name} is given #{nth} while #{passed} before it is open, in {row:?}");
                    self.violate("order is kept", evidence);
                }
            }
            earlier.insert(nth);
        }
    }

    fn check_bounds(&mut self, of: usize, delivery: &Delivery, nths: &[usize]) {
        let SubscriptionPlan { name, batch, demand, ordering, .. } = self.subscriptions[of].plan.clone();
        let bytes: usize = delivery.records().map(Record::size).sum();
        if nths.len() > batch.max_records || nths.len() > 1 && bytes > batch.max_bytes || nths.is_empty() {
            let evidence = format!("{name}: {} records of {bytes} bytes, allowed are {batch:?}", nths.len());
            self.violate("no delivery exceeds its policy", evidence);
        }
        let parallel = match ordering {
            Ordering::PerKey { parallel } | Ordering::Unordered { parallel } => parallel.get(),
            _ => 1,
        };
        let now = self.subscriptions[of].in_flight.entry(delivery.shard().clone()).or_default();
        now.calls += 1;
        now.records += nths.len();
        now.first_tries += if delivery.attempt() == 1 { nths.len() } else { 0 };
        now.bytes += bytes;
        let fits = now.bytes <= demand.max_bytes || now.records == 1;
        if now.calls > parallel || now.first_tries > demand.max || !fits {
            let evidence = format!("{name} on {}: {now:?}, allowed are {parallel} calls, {demand:?}", delivery.shard());
            self.violate("no more is in flight than was asked for", evidence);
        }
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

    /// The sink answers, one outcome a record. What is behind a record that is held by order is not charged.
    pub(super) fn answered(&mut self, of: usize, nths: &[usize], outcomes: &Outcomes) {
        let SubscriptionPlan { ordering, retry, name, .. } = self.subscriptions[of].plan.clone();
        self.journal.line(format_args!("{name} -> {nths:?} {}", brief(outcomes)));
        let taken = nths.iter().zip(outcomes.iter()).filter(|(_, outcome)| **outcome == Outcome::Delivered);
        let taken: Vec<usize> = taken.map(|(nth, _)| *nth).collect();
        self.taken(of, &taken);
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
    pub(super) fn failed(&mut self, of: usize, nths: &[usize], how: &str) {
        let SubscriptionPlan { retry, name, .. } = self.subscriptions[of].plan.clone();
        self.journal.line(format_args!("{name} -> {nths:?} {how}"));
        for nth in nths {
            self.subscriptions[of].fates[*nth].failed(nths.len() == 1, &retry);
        }
    }

    /// Dead letters come; answers which they are.
    pub(super) fn dead_letters(&mut self, of: usize, delivery: &Delivery) -> Vec<usize> {
        let name = self.subscriptions[of].plan.name.clone();
        let place = |record: &Record| self.places.get(&(delivery.shard().clone(), record.sequence_number)).copied();
        let nths: Vec<usize> = delivery.records().filter_map(place).collect();
        self.journal.line(format_args!("{name} dead letters {nths:?}"));
        for (nth, entry) in nths.iter().zip(delivery.iter()) {
            let unfounded = !self.subscriptions[of].fates[*nth].given_up;
            if unfounded || entry.rejection().is_none() || self.puts[*nth].record != *entry.record() {
                let evidence = format!("#{nth} of {name}: {:?}", entry.rejection());
                self.violate("a dead letter has a reason and its payload", evidence);
            }
        }
        nths
    }

    /// Dead letters are stored.
    pub(super) fn buried(&mut self, of: usize, nth: usize) {
        self.subscriptions[of].fates[nth].settled = true;
        self.seen.dead_letters += 1;
    }

    /// Checks a cursor that is to be stored: everything before it is settled.
    pub(super) fn check_cursor(&mut self, name: &str, shard: &ShardId, position: CursorPosition) {
        let Some(of) = self.subscriptions.iter().position(|subscriber| subscriber.plan.name == name) else { return };
        let below = match position {
            CursorPosition::Next(StartPosition::At(number)) => Some(number),
            CursorPosition::Next(StartPosition::After(number)) => Some(number.plus(1)),
            CursorPosition::Next(StartPosition::Latest) => {
                return self.violate("a stored cursor is a place", format!("{name} at the tip of {shard}"));
            }
            CursorPosition::Next(_) => return,
            CursorPosition::End if !self.shards.get(shard).is_some_and(|facts| facts.closed) => {
                return self.violate("only a closed shard ends", format!("{name} on {shard}"));
            }
            CursorPosition::End => None,
        };
        if let Some(open) = self.first_open(of, &Row::Shard(shard.clone()), below) {
            let evidence = format!("{name} on {shard}: {position:?} is stored while #{open} is open");
            self.violate("a cursor never passes an unsettled record", evidence);
        }
    }

    /// Whether a subscription met a record that it may not pass over.
    pub(super) fn may_have_halted(&self, of: usize) -> bool {
        let subscriber = &self.subscriptions[of];
        subscriber.plan.on_reject == Reject::Halt && subscriber.fates.iter().any(|fate| fate.given_up)
    }

    /// After the last life: everything is settled for whoever has not halted.
    pub(super) fn check_all_settled(&mut self, of: usize) {
        let name = self.subscriptions[of].plan.name.clone();
        if self.subscriptions[of].window.is_none() {
            self.violate("who subscribes is attached", name.clone());
        }
        let open: Vec<usize> = (0..self.puts.len()).filter(|nth| self.is_open(of, *nth)).collect();
        if let Some(first) = open.first() {
            let Put { shard, channel, record } = &self.puts[*first];
            let (key, lost) = (&record.partition_key, open.len());
            let evidence = format!("{name} lacks #{first} of {shard}, {key}, {channel}; {lost} in all");
            self.violate("no record is lost", evidence);
        }
        let skipped = |fate: &&Fate| fate.given_up && !fate.settled;
        self.seen.skipped += self.subscriptions[of].fates.iter().filter(skipped).count();
    }

    /// Whether a subscription wants anything of a shard.
    pub(super) fn wants_of(&self, of: usize, shard: &ShardId) -> bool {
        self.shards.get(shard).is_some_and(|facts| facts.puts.iter().any(|nth| self.wants(of, *nth)))
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
