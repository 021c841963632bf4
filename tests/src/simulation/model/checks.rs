//! The promises, each checked against the model the moment something happens that could break it.

use std::collections::BTreeSet;

use kinesis_core::{
    BudgetStatus, Cursor, CursorPosition, Delivery, LaneState, LaneStatus, OnGap, Ordering, Record, ShardId,
    StartPosition, Status, ToTip,
};

use tokio::time::Instant;

use super::{Put, Row, State};
use crate::simulation::fate::Fate;
use crate::simulation::plan::{Reject, SubscriptionPlan};

/// More than any record of a world needs in memory, with the marks of its page.
const LARGEST: usize = 1_000;

/// More than is kept of a record between the cursor and where its lane reads, on whatever page it came.
const PLACE: usize = 250;

/// What a read under way may have set aside though little is expected.
const READ: usize = 16 << 10;

impl State {
    /// Checks a delivery before it is made, and counts it as in flight.
    pub(in crate::simulation) fn begin(&mut self, of: usize, delivery: &Delivery) -> Vec<usize> {
        let plan = self.subscriptions[of].plan.clone();
        let name = &plan.name;
        let changing = self.is_changing(of);
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
            let within = changing || self.may_come(of, nth);
            let channel = &self.puts[nth].channel;
            if !within || plan.channels.as_ref().is_some_and(|channels| !channels.contains(channel)) {
                let evidence = format!("#{nth} of {channel} to {name}");
                self.violate("nothing is delivered that was not subscribed to", evidence);
            }
        }
        self.seen.deliveries += 1;
        let (shard, attempt) = (delivery.shard(), delivery.attempt());
        self.journal.line(format_args!("{name} <- {shard} {nths:?} attempt {attempt}"));
        // Tasks of the generation before may not have ended yet.
        if !changing {
            self.check_parents(of, shard);
            self.check_order(of, shard, &nths);
            self.check_ahead(of, shard, &nths);
        }
        self.check_bounds(of, delivery, &nths, changing);
        self.check_silence(of, delivery, &nths);
        self.check_lease(of, shard);
        if let Some(first) = nths.iter().min().filter(|_| !changing) {
            let met = self.subscriptions[of].met.entry(shard.clone()).or_insert(*first);
            *met = *first.min(met);
        }
        for nth in &nths {
            self.subscriptions[of].fates[*nth].tried(attempt == 1);
        }
        nths
    }

    /// Who was paused, detached or forgotten is given nothing new.
    fn check_silence(&mut self, of: usize, delivery: &Delivery, nths: &[usize]) {
        let since = self.subscriptions[of].silent_since.filter(|since| *since < Instant::now());
        if since.is_some() && delivery.attempt() == 1 {
            let evidence = format!("{} is given {nths:?}", self.subscriptions[of].plan.name);
            self.violate("who is paused or gone is given nothing new", evidence);
        }
    }

    /// Who was told that the lease is lost has stopped at once.
    fn check_lease(&mut self, of: usize, shard: &ShardId) {
        if self.fenced.get(shard).is_some_and(|since| *since < Instant::now()) {
            let evidence = format!("{} is given records of {shard}", self.subscriptions[of].plan.name);
            self.violate("who has lost a lease delivers nothing", evidence);
        }
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

    /// Between the first record that is open and one that is given lie no more than a subscription may run ahead. What
    /// was trimmed may have been jumped, and does not count.
    fn check_ahead(&mut self, of: usize, shard: &ShardId, nths: &[usize]) {
        let row = Row::Shard(shard.clone());
        let Some((first, last)) = self.first_open(of, &row, None).zip(nths.iter().max().copied()) else { return };
        let SubscriptionPlan { name, demand, .. } = &self.subscriptions[of].plan;
        let between = |nth: &&usize| (first.max(self.trimmed)..last).contains(*nth);
        let (ahead, most) = (self.row(&row).iter().filter(between).count(), demand.max_ahead);
        if ahead >= most {
            let evidence = format!("{name} on {shard}: #{last} is {ahead} records past #{first}, allowed are {most}");
            self.violate("nobody runs further ahead than it may", evidence);
        }
    }

    fn check_bounds(&mut self, of: usize, delivery: &Delivery, nths: &[usize], changing: bool) {
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
        if !changing && (now.calls > parallel || now.first_tries > demand.max || !fits) {
            let evidence = format!("{name} on {}: {now:?}, allowed are {parallel} calls, {demand:?}", delivery.shard());
            self.violate("no more is in flight than was asked for", evidence);
        }
    }

    /// Checks a cursor that is to be stored: everything before it is settled.
    pub(in crate::simulation) fn check_cursor(&mut self, name: &str, shard: &ShardId, cursor: &Cursor) {
        let Some(of) = self.subscriptions.iter().position(|subscriber| subscriber.plan.name == name) else { return };
        let Cursor { generation, position, .. } = *cursor;
        let record = self.subscriptions[of].record.as_ref();
        // Older generations are void.
        if record.is_none_or(|record| record.forgotten || generation < record.generation_on(shard)) {
            return;
        }
        if record.is_some_and(|record| generation > record.generation_on(shard)) {
            return self.violate("a cursor has a generation that exists", format!("{name} on {shard}: {cursor:?}"));
        }
        if matches!(position, CursorPosition::Next(StartPosition::After(_))) {
            self.subscriptions[of].placed.insert(shard.clone());
        }
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

    /// Dead letters come; answers which they are.
    pub(in crate::simulation) fn dead_letters(&mut self, of: usize, delivery: &Delivery) -> Vec<usize> {
        let name = self.subscriptions[of].plan.name.clone();
        let place = |record: &Record| self.places.get(&(delivery.shard().clone(), record.sequence_number)).copied();
        let nths: Vec<usize> = delivery.records().filter_map(place).collect();
        self.journal.line(format_args!("{name} dead letters {nths:?}"));
        for (nth, entry) in nths.iter().zip(delivery.iter()) {
            let unfounded = !self.is_changing(of) && !self.subscriptions[of].fates[*nth].given_up;
            if unfounded || entry.rejection().is_none() || self.puts[*nth].record != *entry.record() {
                let evidence = format!("#{nth} of {name}: {:?}", entry.rejection());
                self.violate("a dead letter has a reason and its payload", evidence);
            }
        }
        nths
    }

    /// A worker has claimed a lease that another one held.
    pub(in crate::simulation) fn taken_over(&mut self, shard: &ShardId) {
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

    /// Whether a subscription met a record that it may not pass over.
    pub(in crate::simulation) fn may_have_halted(&self, of: usize) -> bool {
        let subscriber = &self.subscriptions[of];
        let may_not_pass =
            subscriber.plan.on_reject == Reject::Halt && subscriber.fates.iter().any(|fate| fate.given_up);
        may_not_pass || subscriber.plan.on_gap == OnGap::Halt && subscriber.gapped
    }

    /// After the last life: everything is settled for whoever has not halted.
    pub(in crate::simulation) fn check_all_settled(&mut self, of: usize) {
        let name = self.subscriptions[of].plan.name.clone();
        if self.subscriptions[of].wish.is_none() {
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
    pub(in crate::simulation) fn wants_of(&self, of: usize, shard: &ShardId) -> bool {
        self.shards.get(shard).is_some_and(|facts| facts.puts.iter().any(|nth| self.wants(of, *nth)))
    }

    /// Checks how the pipeline says that it stands.
    pub(in crate::simulation) fn check_status(&mut self, status: &Status) {
        self.journal.beat();
        let BudgetStatus { limit, used, .. } = status.budget;
        // Every lane may hold one record whatever the budget says, and every shard read one answer.
        let lanes: usize = status.subscriptions.values().map(|of_name| of_name.shards.len()).sum();
        let places: usize = self.subscriptions.iter().map(|known| known.plan.demand.max_ahead * PLACE).sum();
        let most = limit + limit / 4 + (lanes + status.shards.len()) * LARGEST + places * status.shards.len();
        if limit != self.budget || used > most {
            self.violate("memory stays within the budget", format!("{used} bytes of {limit}, with {lanes} lanes"));
        }
        let at_rest = |lane: &LaneStatus| lane.state == LaneState::AtFront && lane.to_tip == ToTip::AtTip;
        let mut all = status.subscriptions.values().flat_map(|of_name| of_name.shards.values());
        // What a read under way has set aside counts as well.
        let shards = status.shards.len();
        if all.all(at_rest) && used > (lanes + shards) * LARGEST + shards * (limit / 2 + READ) {
            self.violate("at rest nothing is held", format!("{used} bytes, with {lanes} lanes"));
        }
        for (name, of_name) in &status.subscriptions {
            // What failed is copied out of its page, and both are there until the page has gone.
            let most = 2 * of_name.cap + (status.shards.len() + of_name.shards.len() + 4) * LARGEST;
            if of_name.held_bytes > most {
                self.violate("a subscription stays within its cap", format!("{name}: {of_name:?}"));
            }
        }
    }
}
