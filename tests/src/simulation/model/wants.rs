//! What a subscription is to have: by where it starts, was sought to, and what was trimmed before it could be read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use kinesis_core::{OnGap, SequenceNumber, ShardId, StartPosition, SubscriptionRecord};
use tokio::time::Instant;

use super::{Put, Row, State, Subscriber};
use crate::simulation::plan::Reject;

/// Which records of a shard a subscription is to have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Window {
    /// All of them.
    All,
    /// From the tip on: records from `may` on may come, and from `must` on must.
    Tip { may: usize, must: usize },
    /// From a time on.
    Since(SystemTime),
    /// From a number on.
    From(SequenceNumber),
}

/// What a subscription is to have, since it was attached or sought.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    window: Window,
    /// Shards that were listed; those born later are read from their beginning.
    listed: BTreeSet<ShardId>,
    /// Shards that were sought by themselves.
    on: BTreeMap<ShardId, Window>,
}

/// What is asked of the handle at the moment.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Asked {
    pub(super) of: usize,
    pub(super) shard: Option<ShardId>,
    pub(super) to: Option<StartPosition>,
    /// How many records there were.
    pub(super) puts: usize,
}

/// Since when what a worker does for a subscription may belong to another generation than the model's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Change {
    #[default]
    Done,
    /// The store has it, the worker may not.
    Open,
    /// The worker has it, but tasks of this instant may not have ended.
    Until(Instant),
}

impl Wish {
    fn window(&self, shard: &ShardId) -> Window {
        let by_itself = self.on.get(shard).copied();
        by_itself.unwrap_or(if self.listed.contains(shard) { self.window } else { Window::All })
    }
}

impl State {
    /// Something is asked of the handle.
    pub(in crate::simulation) fn asked(&mut self, of: usize, shard: Option<ShardId>, to: Option<StartPosition>) {
        self.asked = Some(Asked { of, shard, to, puts: self.puts.len() });
    }

    /// The handle has answered, well or not.
    pub(in crate::simulation) fn was_answered(&mut self, of: usize, well: bool) {
        self.asked = None;
        let change = &mut self.subscriptions[of].change;
        if well && *change == Change::Open {
            *change = Change::Until(Instant::now());
        }
    }

    /// Whether a subscription's records may still be handled as an older generation would.
    pub(super) fn is_changing(&self, of: usize) -> bool {
        match self.subscriptions[of].change {
            Change::Done => false,
            Change::Open => true,
            Change::Until(at) => Instant::now() <= at,
        }
    }

    /// A subscription's record was written.
    pub(in crate::simulation) fn wrote(&mut self, seen: Option<&SubscriptionRecord>, new: &SubscriptionRecord) {
        let Some(of) = self.subscriptions.iter().position(|known| *known.plan.name == *new.name) else { return };
        self.subscriptions[of].paused = new.paused && !new.forgotten;
        if new.forgotten {
            self.journal.line(format_args!("{} is forgotten", new.name));
            return self.begin_anew(of, new, None, |_| true);
        }
        let before = seen.filter(|seen| !seen.forgotten);
        if before.is_none_or(|before| before.generation != new.generation) {
            let wish = Wish { window: self.window(of, new.start), listed: new.shards.clone(), on: BTreeMap::new() };
            self.journal.line(format_args!("{} begins at {:?}", new.name, wish.window));
            return self.begin_anew(of, new, Some(wish), |_| true);
        }
        let moved = |shard: &ShardId| before.is_some_and(|before| before.sought.get(shard) != new.sought.get(shard));
        let sought: Vec<ShardId> = new.sought.keys().filter(|shard| moved(shard)).cloned().collect();
        let Some(mut wish) = self.subscriptions[of].wish.clone().filter(|_| !sought.is_empty()) else { return };
        for shard in &sought {
            let asked = self.asked.as_ref().filter(|asked| asked.of == of && asked.shard.as_ref() == Some(shard));
            let to = asked.and_then(|asked| asked.to).or(new.pins.get(shard).copied());
            wish.on.insert(shard.clone(), self.window(of, to.unwrap_or(StartPosition::TrimHorizon)));
        }
        self.journal.line(format_args!("{} begins anew on {:?}", new.name, wish.on));
        self.begin_anew(of, new, Some(wish), |shard| sought.contains(shard));
    }

    fn window(&self, of: usize, start: StartPosition) -> Window {
        match start {
            StartPosition::TrimHorizon => Window::All,
            StartPosition::Timestamp(time) => Window::Since(time),
            StartPosition::At(number) => Window::From(number),
            StartPosition::After(number) => Window::From(number.plus(1)),
            _ => {
                let asked = self.asked.as_ref().filter(|asked| asked.of == of).map_or(0, |asked| asked.puts);
                let may = self.puts_at_birth.max(asked);
                Window::Tip { may: self.begin_of_second(may), must: self.puts.len() }
            }
        }
    }

    /// Over the wire, the tip of a moment may be known as the second that it is in; its first record.
    fn begin_of_second(&self, nth: usize) -> usize {
        let second = |put: &Put| Some(put.record.arrived_at?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs());
        let Some(last) = nth.checked_sub(1).filter(|_| self.over_the_wire) else { return nth };
        nth - self.puts[..nth].iter().rev().take_while(|put| second(put) == second(&self.puts[last])).count()
    }

    /// What was settled on these shards is so no more.
    fn begin_anew(
        &mut self,
        of: usize,
        record: &SubscriptionRecord,
        wish: Option<Wish>,
        on: impl Fn(&ShardId) -> bool,
    ) {
        let attached = wish.is_some();
        let shards: BTreeSet<ShardId> = self.shards.keys().filter(|shard| on(shard)).cloned().collect();
        let subscriber = &mut self.subscriptions[of];
        subscriber.record = Some(record.clone());
        subscriber.wish = wish;
        subscriber.change = Change::Open;
        subscriber.fronts.clear();
        let puts = self.puts.iter().map(|put| shards.contains(&put.shard));
        for (fate, _) in subscriber.fates.iter_mut().zip(puts).filter(|(_, there)| *there) {
            fate.begin_anew();
        }
        subscriber.gapped &= attached;
        for shard in &shards {
            *subscriber.epochs.entry(shard.clone()).or_default() += 1;
            subscriber.met.remove(shard);
            subscriber.placed.remove(shard);
        }
    }

    /// Whether a record may come.
    pub(super) fn may_come(&self, of: usize, nth: usize) -> bool {
        let (put, subscriber) = (&self.puts[nth], &self.subscriptions[of]);
        subscriber.wish.as_ref().is_some_and(|wish| match wish.window(&put.shard) {
            Window::Tip { may, .. } => nth >= may,
            window => window.holds(nth, put),
        })
    }

    pub(super) fn wants(&self, of: usize, nth: usize) -> bool {
        let (put, subscriber) = (&self.puts[nth], &self.subscriptions[of]);
        let channels = &subscriber.plan.channels;
        subscriber.wish.as_ref().is_some_and(|wish| wish.window(&put.shard).holds(nth, put))
            && channels.as_ref().is_none_or(|channels| channels.contains(&put.channel))
    }

    pub(super) fn is_open(&self, of: usize, nth: usize) -> bool {
        self.wants(of, nth) && !self.is_settled(of, nth) && !self.is_excused(of, nth)
    }

    fn is_settled(&self, of: usize, nth: usize) -> bool {
        let subscriber = &self.subscriptions[of];
        let fate = &subscriber.fates[nth];
        fate.settled || fate.lost || fate.given_up && subscriber.plan.on_reject == Reject::Skip
    }

    /// Whether a record was trimmed before its subscription had any place in the shard: nobody can know that it is missing.
    fn is_excused(&self, of: usize, nth: usize) -> bool {
        let met = |subscriber: &Subscriber| subscriber.met.get(&self.puts[nth].shard).is_some_and(|first| *first < nth);
        nth < self.trimmed && !met(&self.subscriptions[of])
    }

    /// Everything up to a record is trimmed.
    pub(in crate::simulation) fn trim(&mut self, rng: &mut fastrand::Rng) -> Option<SequenceNumber> {
        let nth = self.trimmed + rng.usize(0..=self.puts.len().checked_sub(self.trimmed + 1)?);
        self.trimmed = nth + 1;
        self.seen.trimmed = self.trimmed;
        self.journal.line(format_args!("everything up to #{nth} is trimmed"));
        Some(self.puts[nth].record.sequence_number)
    }

    /// The pipeline tells a subscription of a gap: what it says is missing must be.
    pub(in crate::simulation) fn gap(
        &mut self,
        name: &str,
        shard: &ShardId,
        from: StartPosition,
        to: Option<SequenceNumber>,
    ) {
        let Some(of) = self.subscriptions.iter().position(|known| known.plan.name == name) else { return };
        let number = |nth: &usize| self.puts[*nth].record.sequence_number;
        let within = |nth: &usize| {
            let begun = match from {
                StartPosition::At(own) => number(nth) >= own,
                StartPosition::After(own) => number(nth) > own,
                StartPosition::Timestamp(time) => self.puts[*nth].record.arrived_at.is_some_and(|at| at >= time),
                _ => true,
            };
            begun && to.is_none_or(|to| number(nth) < to)
        };
        let own = |nth: &usize| matches!(from, StartPosition::After(own) if number(nth) == own);
        let puts = self.row(&Row::Shard(shard.clone())).to_vec();
        let missing: Vec<usize> = puts.iter().copied().filter(within).collect();
        let own_is_gone = puts.iter().any(|nth| own(nth) && *nth < self.trimmed);
        let told = format!("{name} on {shard}: from {from:?} to {to:?}, {missing:?}; trimmed up to #{}", self.trimmed);
        // Where a place is refused at which no record need be, the refusal is all that anybody knows.
        let is_known = matches!(from, StartPosition::After(_));
        if missing.iter().any(|nth| *nth >= self.trimmed) {
            self.violate("a gap is told of what is gone only", told);
        } else if missing.is_empty() && is_known && !own_is_gone {
            self.violate("a gap is told only where something is gone", told);
        }
        self.seen.gaps += 1;
        self.subscriptions[of].gapped = true;
        if self.subscriptions[of].plan.on_gap == OnGap::Jump {
            missing.into_iter().for_each(|nth| self.subscriptions[of].fates[nth].lost = true);
        }
    }
}

impl Window {
    fn holds(&self, nth: usize, put: &super::Put) -> bool {
        match *self {
            Self::All => true,
            Self::Tip { must, .. } => nth >= must,
            Self::Since(time) => put.record.arrived_at.is_some_and(|at| at >= time),
            Self::From(number) => put.record.sequence_number >= number,
        }
    }
}
