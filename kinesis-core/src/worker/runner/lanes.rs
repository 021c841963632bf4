//! Looking at lanes: only those that something happened to, and of what was read only who takes it.

use tokio::time::Instant;

use super::{Leaving, Notice, Phase, Round, Runner};
use crate::broken::{self, Part};
use crate::error::Result;
use crate::feed::{Start, TrackId};
use crate::lane::{Lane, LaneParts, Ledger, Wants};
use crate::lease::{Cursor, CursorPosition};
use crate::observe::{Event, Observer};
use crate::selector::Selector;
use crate::sink::SubscriptionName;

impl Runner {
    pub(super) fn look_at_lanes(&mut self, round: &mut Round) -> Result<()> {
        if round.touched.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let mut touched = std::mem::take(&mut round.touched);
        while let Some(id) = touched.pop_first() {
            self.look_at(id, now, round)?;
        }
        self.evict(round);
        Ok(())
    }

    fn look_at(&mut self, id: usize, now: Instant, round: &mut Round) -> Result<()> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        lane.reap()?;
        round.due.remove(&id);
        let takes = round.phase == Phase::Running && !round.leaving.contains_key(&id);
        if takes {
            if lane.follows() {
                lane.follow(self.feed.front().tip());
            }
            self.work_off(id, now, round);
        }
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        if lane.finish(&self.feed) {
            round.finished = true;
            let (subscription, shard) = (lane.subscription().name.clone(), self.shard.clone());
            self.observer.on(&Event::ShardFinished { subscription: subscription.clone(), shard: shard.clone() });
            // A worker that is gone needs no notice.
            let _ = self.notices.send(Notice::Finished(shard, subscription, lane.generation()));
        }
        // Who finishes what is in flight and leaves asks for nothing.
        let wants = if takes { lane.wants(&self.feed) } else { Wants::Nothing };
        match wants {
            Wants::More(track) => self.feed.want(track, lane.holds_nothing()),
            Wants::Reader => self.feed.wait(id, lane.next(), now),
            Wants::Nothing => {}
        }
        if wants != Wants::Reader {
            self.feed.wait_no_longer(id);
        }
        if lane.set_follows(&self.feed) {
            round.following.insert(id);
        } else {
            round.following.remove(&id);
        }
        round.pressure.note(id, lane);
        self.tell_where_it_reads(id, round);
        Ok(())
    }

    /// Lets a lane take and send off what it can.
    fn work_off(&mut self, id: usize, now: Instant, round: &mut Round) {
        loop {
            let Some(lane) = self.lanes.get_mut(&id) else { return };
            let before = (lane.spot(), lane.unsettled());
            if let Err(gap) = lane.take(&self.feed, now) {
                self.settle_gap(id, &gap, round);
                continue;
            }
            let due = lane.send_off(now);
            // What was put aside behind a held key on the way made room for others.
            if before == (lane.spot(), lane.unsettled()) {
                let due = due.into_iter().chain(lane.returns_at(now)).min();
                round.due.extend(due.map(|due| (id, due)));
                return;
            }
        }
    }

    /// Whoever reads this track has something new, from this offset on.
    pub(super) fn touch_readers(&mut self, track: TrackId, from: u64, round: &mut Round) {
        if track != TrackId::FRONT {
            // Those who wait may find what they need now.
            round.touched.extend(self.feed.waiting());
        }
        let reads = |lane: &Lane| lane.spot().is_some_and(|spot| spot.track == track);
        let looking = self.lanes.iter().filter(|(id, lane)| !round.following.contains(id) && reads(lane));
        round.touched.extend(looking.map(|(id, _)| *id));
        if track != TrackId::FRONT || round.following.is_empty() {
            return;
        }
        // They ask for more without being looked at.
        self.feed.want(track, true);
        let mut offset = from;
        while let Some((first, page)) = self.feed.front().page_at(offset) {
            for id in page.channels().filter_map(|channel| round.interest.get(channel)).flatten() {
                if round.following.remove(id)
                    && let Some(lane) = self.lanes.get_mut(id)
                {
                    lane.follow(first);
                    lane.stop_following();
                    round.touched.insert(*id);
                }
            }
            offset = first + page.len() as u64;
        }
    }

    /// Lets go of what no lane needs any more.
    pub(super) fn evict(&mut self, round: &Round) {
        let mut needed = std::collections::BTreeMap::new();
        if !round.following.is_empty() {
            needed.insert(TrackId::FRONT, self.feed.front().tip());
        }
        for (_, lane) in self.lanes.iter().filter(|(id, _)| !round.following.contains(id)) {
            if let Some(spot) = lane.spot() {
                let least = needed.entry(spot.track).or_insert(spot.at);
                *least = spot.at.min(*least);
            }
        }
        self.feed.evict(|track| needed.get(&track).copied());
    }

    /// Looks at the lanes again whose next record the front has let go of to make room.
    pub(super) fn notice_overtaken(&self, round: &mut Round) {
        let base = self.feed.front().base();
        if std::mem::replace(&mut round.base, base) == base {
            return;
        }
        let lost = |lane: &Lane| lane.spot().is_some_and(|spot| spot.track == TrackId::FRONT && spot.at < base);
        let looking = self.lanes.iter().filter(|(id, lane)| !round.following.contains(id) && lost(lane));
        round.touched.extend(looking.map(|(id, _)| *id));
    }

    pub(super) fn add(&mut self, mut parts: LaneParts, round: &mut Round) {
        let name = parts.subscription.name.clone();
        let here = if broken::is(Part::SeekKeepsOldLane) { None } else { self.retire(&name, round) };
        let parted = round.parted.remove(&name);
        round.forgotten.remove(&name);
        // What was settled here may not be stored yet.
        let known = here.or(parted).filter(|known| known.generation == parts.generation);
        if let Some(known) = known.filter(|known| known.supersedes(&parts.ledger.cursor())) {
            let CursorPosition::Next(position) = known.position else {
                round.parted.insert(name.clone(), known);
                // A worker that is gone needs no notice.
                let _ = self.notices.send(Notice::Finished(self.shard.clone(), name, known.generation));
                return;
            };
            parts.ledger = Ledger::new(known, Start::new(position, known.arrived_at));
        }
        let id = round.next_lane;
        round.next_lane += 1;
        parts.id = id;
        self.lanes.insert(id, Lane::new(parts));
        round.touched.insert(id);
        self.learn_interest(round);
    }

    /// Ends the lane of a subscription, and says how far it was.
    pub(super) fn retire(&mut self, name: &SubscriptionName, round: &mut Round) -> Option<Cursor> {
        let of_name = |(id, lane): (&usize, &Lane)| (lane.subscription().name == *name).then_some(*id);
        let mut lane = self.lanes.iter().find_map(of_name).and_then(|id| self.remove(id, round))?;
        let cursor = lane.cursor(&self.feed);
        lane.retire();
        cursor
    }

    /// Lets those go that have nothing in flight any more.
    pub(super) fn part(&mut self, round: &mut Round) {
        if round.leaving.is_empty() {
            return;
        }
        let now = Instant::now();
        let gone = |(id, leaving): (&usize, &Leaving)| {
            let drained = self.lanes.get(id).is_none_or(Lane::is_drained);
            (drained || leaving.until <= now).then_some(*id)
        };
        for id in round.leaving.iter().filter_map(gone).collect::<Vec<_>>() {
            let done = round.leaving.remove(&id);
            if let Some(mut lane) = self.remove(id, round) {
                let cursor = lane.cursor(&self.feed);
                lane.retire();
                round.parted.extend(cursor.map(|cursor| (lane.subscription().name.clone(), cursor)));
            }
            self.commit_later(round, now);
            drop(done);
        }
    }

    fn remove(&mut self, id: usize, round: &mut Round) -> Option<Lane> {
        let lane = self.lanes.remove(&id)?;
        self.feed.wait_no_longer(id);
        round.following.remove(&id);
        round.behind.remove(&id);
        round.due.remove(&id);
        round.leaving.remove(&id);
        round.pressure.forget(id);
        round.paces.forget(id);
        self.learn_interest(round);
        Some(lane)
    }

    /// Notes which lane takes which channel.
    pub(super) fn learn_interest(&self, round: &mut Round) {
        round.interest.clear();
        for (id, lane) in &self.lanes {
            if let Selector::Only(channels) = &lane.subscription().selector {
                for channel in channels {
                    round.interest.entry(channel.clone()).or_default().push(*id);
                }
            }
        }
    }

    fn tell_where_it_reads(&self, id: usize, round: &mut Round) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let behind = lane.is_working() && lane.is_behind();
        let names = || (lane.subscription().name.clone(), self.shard.clone());
        let track = lane.spot().map(|spot| spot.track);
        if behind && round.behind.insert(id) {
            let (subscription, shard) = names();
            tracing::info!(%subscription, %shard, "the subscription has fallen behind and catches up on its own");
            self.observer.on(&Event::FellBehind { subscription, shard });
        } else if track == Some(TrackId::FRONT) && round.behind.remove(&id) {
            let (subscription, shard) = names();
            tracing::info!(%subscription, %shard, "the subscription has caught up");
            self.observer.on(&Event::CaughtUp { subscription, shard });
        }
    }
}
