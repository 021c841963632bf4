//! What a worker knows of its stream: the family of shards, who is how far, which shards it holds. Synchronous.

mod counters;
mod deaf;
mod free;
mod spent;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;
use tokio::task::Id;

use super::attach::Place;
use super::runner::Command;
use crate::broken::{self, Part};
use crate::lane::LaneReport;
use crate::lease::{CursorPosition, Lease, SubscriptionRecord};
use crate::lineage::{Lineage, Standing};
use crate::shard::{Shard, ShardId};
use crate::sink::SubscriptionName;
use crate::source::ShardEnd;
use counters::Counters;
use deaf::Requests;

#[derive(Debug, Default)]
pub(super) struct Shards {
    lineage: Lineage,
    closed: BTreeSet<ShardId>,
    known: BTreeMap<ShardId, Shard>,
    records: BTreeMap<SubscriptionName, SubscriptionRecord>,
    rows: BTreeMap<ShardId, Lease>,
    held: BTreeMap<ShardId, Held>,
    /// What was finished since the rows were read, and in which generation.
    finished: BTreeMap<(ShardId, SubscriptionName), u64>,
    /// Those of rows that this worker could take.
    watched: Counters,
    requests: Requests,
    /// Whether no listing is wanted: it is at the start, when a shard has ended, and when a row is of an unknown shard.
    listed: bool,
    /// Shards with a row that the stream does not retain any more.
    gone: BTreeSet<ShardId>,
    /// Those of rows that nobody needs any more, but somebody holds.
    left_behind: Counters,
}

/// A shard at work, by two tasks: its runner and its keeper.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    /// Where lanes that are added later report to.
    pub(super) reports: mpsc::UnboundedSender<LaneReport>,
    /// Subscriptions that have not finished its parents.
    pub(super) gated: BTreeSet<SubscriptionName>,
    pub(super) tasks: Vec<Id>,
}

impl Shards {
    pub(super) fn wants_listing(&self) -> bool {
        !self.listed
    }

    pub(super) fn list(&mut self, listing: &[Shard]) {
        self.lineage.observe_listing(listing);
        listing.iter().for_each(|shard| self.know(shard));
        self.announce();
        self.listed = true;
        self.gone = self.named().filter(|shard| !self.lineage.contains(shard)).cloned().collect();
    }

    /// Takes in the children that the rows of known shards name. A listing may lag behind those that were just born.
    fn announce(&mut self) {
        loop {
            let known = self.rows.values().filter(|row| self.lineage.contains(&row.key.shard));
            let born = known.flat_map(|row| &row.children).find(|child| !self.lineage.contains(child)).cloned();
            let Some(born) = born else { break };
            let parents = self.rows.values().filter(|row| row.children.contains(&born));
            let shard = Shard::new(born.clone()).with_parents(parents.map(|row| row.key.shard.clone()));
            self.lineage.observe(&shard);
            self.know(&shard);
        }
    }

    fn know(&mut self, shard: &Shard) {
        if shard.closed {
            self.closed.insert(shard.id.clone());
        }
        self.known.insert(shard.id.clone(), shard.clone());
    }

    /// Takes in the end of a shard. The listing is asked as well: a source may leave children out here.
    pub(super) fn ended(&mut self, shard: &ShardId, end: &ShardEnd) {
        self.lineage.observe_end(shard, end);
        self.closed.insert(shard.clone());
        end.children.iter().for_each(|child| self.know(child));
        self.listed = false;
    }

    pub(super) fn records(&self) -> &BTreeMap<SubscriptionName, SubscriptionRecord> {
        &self.records
    }

    pub(super) fn set_record(&mut self, record: SubscriptionRecord) {
        self.records.insert(record.name.clone(), record);
    }

    pub(super) fn set_rows(&mut self, rows: impl IntoIterator<Item = Lease>) {
        self.rows = rows.into_iter().map(|row| (row.key.shard.clone(), row)).collect();
        let (rows, held, lineage) = (&self.rows, &self.held, &self.lineage);
        self.finished.retain(|(shard, name), generation| match rows.get(shard) {
            Some(row) => {
                let stored = row.cursors.get(name);
                stored.is_none_or(|stored| (stored.generation, stored.position) != (*generation, CursorPosition::End))
            }
            None => held.contains_key(shard) || lineage.contains(shard),
        });
        let all_known = self.named().all(|shard| self.lineage.contains(shard) || self.gone.contains(shard));
        self.listed &= all_known;
    }

    /// Shards that the rows speak of. A child may be named before anybody has made a row of it.
    fn named(&self) -> impl Iterator<Item = &ShardId> {
        self.rows.keys().chain(self.rows.values().flat_map(|row| &row.children))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Lease> {
        self.rows.values()
    }

    pub(super) fn row(&self, shard: &ShardId) -> Option<&Lease> {
        self.rows.get(shard)
    }

    /// Where a subscription is on a shard, by `row` or by the row that was read last.
    pub(super) fn place(&self, shard: &ShardId, subscription: &SubscriptionName, row: Option<&Lease>) -> Option<Place> {
        if self.is_finished(shard, subscription) {
            return Some(Place::Finished);
        }
        let record = self.records.get(subscription)?;
        let row = row.or(self.rows.get(shard));
        let place = Place::of(record, shard, self.closed.contains(shard), row);
        let passed = row.is_none() && matches!(place, Place::Unread(_)) && self.has_passed(record, shard);
        Some(if passed { Place::Finished } else { place })
    }

    /// Whether a subscription is in a descendant of a shard already. It cannot have come there otherwise than through the
    /// shard, whose row is gone: a worker of the KCL removes rows earlier than we do.
    fn has_passed(&self, record: &SubscriptionRecord, shard: &ShardId) -> bool {
        self.lineage.descendants(shard).into_iter().any(|descendant| {
            let Some(row) = self.rows.get(descendant) else { return false };
            !matches!(Place::of(record, descendant, false, Some(row)), Place::Unread(_))
        })
    }

    fn standing(&self, shard: &ShardId, subscription: &SubscriptionName) -> Standing {
        match self.place(shard, subscription, None) {
            Some(Place::Finished) => Standing::Finished,
            _ if broken::is(Part::ParentElsewhereIsFinished) && !self.held.contains_key(shard) => Standing::Finished,
            _ if !self.rows.contains_key(shard) => Standing::Missing,
            Some(Place::Reading(_)) => Standing::Reading,
            _ => Standing::Unread,
        }
    }

    /// Whether a subscription is done with all parents of a shard. What it was reading when the stream let it go comes
    /// first: what became of its ancestors and descendants nobody can say any more.
    pub(super) fn may_start(&self, shard: &ShardId, subscription: &SubscriptionName) -> bool {
        if broken::is(Part::ChildBeforeParent) {
            return true;
        }
        // The stream may let a shard go while it is at work here.
        let at_work = |parent: &ShardId| {
            self.held.contains_key(parent) && self.place(parent, subscription, None) != Some(Place::Finished)
        };
        let mut parents =
            self.lineage.parents(shard).chain(self.rows.get(shard).into_iter().flat_map(|row| &row.parents));
        // Of one that it has let go nobody knows the descendants. One that waits itself keeps nobody waiting.
        let let_go = |(held, at): &(&ShardId, &Held)| {
            !self.lineage.contains(held) && *held != shard && !at.gated.contains(subscription)
        };
        let mut let_go = self.held.iter().filter(let_go).map(|(held, _)| held);
        if parents.any(at_work) || let_go.any(at_work) {
            return false;
        }
        let loses = |gone: &ShardId| gone != shard && self.was_reading(gone, subscription);
        self.gone.contains(shard)
            || self.lineage.may_start(shard, |parent| self.standing(parent, subscription))
                && !self.gone.iter().any(loses)
    }

    /// Whether a subscription is in the middle of a shard.
    fn was_reading(&self, shard: &ShardId, subscription: &SubscriptionName) -> bool {
        matches!(self.place(shard, subscription, None), Some(Place::Reading(_)))
    }

    /// Shards that this worker could take: known, not held, and some of `subscriptions` may read them.
    pub(super) fn wanted(&mut self, subscriptions: &[SubscriptionName]) -> Vec<Shard> {
        let reads = |shard: &ShardId, name: &SubscriptionName| {
            self.place(shard, name, None).is_some_and(|place| place != Place::Finished) && self.may_start(shard, name)
        };
        // Who was in the middle of a shard when the stream let it go has to be told: it is taken once more.
        let gone = self.gone.iter().filter(|shard| !self.held.contains_key(*shard));
        let gone = gone.filter(|shard| subscriptions.iter().any(|name| self.was_reading(shard, name)));
        let gone = gone.filter_map(|shard| self.rows.get(shard));
        let wanted: Vec<Shard> = self
            .lineage
            .shards()
            .filter(|shard| !self.held.contains_key(*shard))
            .filter(|shard| subscriptions.iter().any(|name| reads(shard, name)))
            .filter_map(|shard| self.known.get(shard).cloned())
            .chain(gone.map(|row| Shard::new(row.key.shard.clone()).with_parents(row.parents.iter().cloned())))
            .collect();
        // A lease that nobody here wants any more is not waited for.
        self.watched.keep(|shard| wanted.iter().any(|wanted| wanted.id == *shard));
        wanted
    }

    /// Whether one of `subscriptions` waits here for a parent that is not held here: only the rows tell when it is finished.
    pub(super) fn waits_for_parent(&self, subscriptions: &[SubscriptionName]) -> bool {
        let is_elsewhere = |shard| self.lineage.parents(shard).any(|parent| !self.held.contains_key(parent));
        let waits = |held: &Held| subscriptions.iter().any(|name| held.gated.contains(name));
        self.held.iter().any(|(shard, held)| waits(held) && is_elsewhere(shard))
    }

    pub(super) fn hold(&mut self, shard: &ShardId, held: Held) {
        self.watched.forget(shard);
        self.held.insert(shard.clone(), held);
    }

    /// Tells every runner. Each has a channel of its own: one for all would wake them in an order that no seed decides.
    pub(super) fn tell(&self, command: impl Fn() -> Command) {
        for held in self.held.values() {
            // A runner that is gone needs no command.
            let _ = held.commands.send(command());
        }
    }

    /// The shards held, and how to reach their runners.
    pub(super) fn held(&self) -> impl Iterator<Item = (&ShardId, &Held)> {
        self.held.iter()
    }

    pub(super) fn held_mut(&mut self, shard: &ShardId) -> Option<&mut Held> {
        self.held.get_mut(shard)
    }

    /// A shard and every shard that came from it.
    pub(super) fn family(&self, shard: &ShardId) -> Vec<ShardId> {
        let descendants = self.lineage.descendants(shard);
        std::iter::once(shard).chain(descendants).cloned().collect()
    }

    pub(super) fn contains(&self, shard: &ShardId) -> bool {
        self.lineage.contains(shard)
    }

    /// Takes in that a task ended. The shard is let go when both of its tasks have: until then it must not start anew.
    pub(super) fn task_ended(&mut self, task: Id) {
        self.held.retain(|_, held| {
            held.tasks.retain(|id| *id != task);
            !held.tasks.is_empty()
        });
    }

    pub(super) fn finished(&mut self, shard: &ShardId, subscription: &SubscriptionName, generation: u64) {
        self.finished.insert((shard.clone(), subscription.clone()), generation);
    }

    /// Whether a subscription has come to the end of a shard here, and has not begun anew since.
    fn is_finished(&self, shard: &ShardId, subscription: &SubscriptionName) -> bool {
        let finished = self.finished.get(&(shard.clone(), subscription.clone()));
        let record = self.records.get(subscription);
        finished.zip(record).is_some_and(|(finished, record)| *finished == record.generation_on(shard))
    }

    /// Lets a subscription into the shards held whose parents it has finished now; says whether there may be others.
    pub(super) fn open_gates(&mut self, subscription: &SubscriptionName) -> bool {
        let opens: Vec<ShardId> = self
            .held
            .iter()
            .filter(|(shard, held)| held.gated.contains(subscription) && self.may_start(shard, subscription))
            .map(|(shard, _)| shard.clone())
            .collect();
        for shard in opens {
            if let Some(held) = self.held.get_mut(&shard) {
                held.gated.remove(subscription);
                // A runner that is gone needs no command.
                let _ = held.commands.send(Command::Open(subscription.clone()));
            }
        }
        self.lineage.shards().any(|shard| !self.held.contains_key(shard) && !self.is_finished(shard, subscription))
    }
}
