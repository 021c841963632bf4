//! The runner: one held shard at work. It lets the feed read when a lane wants more, hands what was read to the lanes,
//! and tells the keeper how far they are.

mod gaps;
mod lanes;
mod messages;
mod pressure;
mod progress;
mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::keeper::Order;
use crate::budget::Budget;
use crate::deliver::Report;
use crate::error::{Error, Result};
use crate::feed::{Feed, Gap, News, TrackId};
use crate::lane::{Lane, LaneReport, State};
use crate::lease::{Cursor, Progress};
use crate::observe::{Event, Observer};
use crate::record::Channel;
use crate::shard::ShardId;
use crate::sink::SubscriptionName;

pub(super) use messages::{Command, Exit, Notice};
use report::Paces;

/// How many reports are taken in before the lanes are looked at again.
const REPORTS: usize = 256;
/// An idle shard looks at its progress this often, to note up to which time it was read.
const IDLE_COMMIT: Duration = Duration::from_secs(10 * 60);

/// How far a run of the shard is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Running,
    Draining,
    Stopping,
}

#[derive(Debug)]
pub(super) struct Runner {
    pub(super) shard: ShardId,
    pub(super) feed: Feed,
    pub(super) lanes: BTreeMap<usize, Lane>,
    /// Subscriptions that are no more and have a cursor in the row.
    pub(super) forgotten: BTreeSet<SubscriptionName>,
    pub(super) reports: mpsc::UnboundedReceiver<LaneReport>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    pub(super) orders: watch::Sender<Order>,
    pub(super) commit_every: Duration,
    pub(super) drain: Duration,
    pub(super) budget: Budget,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) records_read: Arc<AtomicU64>,
}

/// A lane that finishes what is in flight and leaves; at the latest then, with what is settled by then.
#[derive(Debug)]
struct Leaving {
    until: Instant,
    _token: mpsc::Sender<()>,
}

/// What changes while a shard runs.
#[derive(Debug, Default)]
struct Round {
    phase: Phase,
    stopped_reading: bool,
    /// Lanes that something happened to; the others need no look.
    touched: BTreeSet<usize>,
    /// When each lane is to be looked at though nothing happens.
    due: BTreeMap<usize, Instant>,
    /// When the reads are to be planned anew.
    plan_at: Option<Instant>,
    /// Lanes that follow the front, which need no look before one of their channels comes.
    following: BTreeSet<usize>,
    /// Who takes a channel, of the lanes that take some only.
    interest: HashMap<Channel, Vec<usize>>,
    /// The offset of the first record that the front had at the last look.
    base: u64,
    /// Lanes that have fallen behind the front.
    behind: BTreeSet<usize>,
    /// Lanes that finish what is in flight and leave.
    leaving: BTreeMap<usize, Leaving>,
    /// Cursors of those who have left.
    parted: BTreeMap<SubscriptionName, Cursor>,
    /// The id of the next lane. None is given twice: reports of a lane that is gone may still be under way.
    next_lane: usize,
    /// Subscriptions whose cursors are to be removed.
    forgotten: BTreeSet<SubscriptionName>,
    pressure: pressure::Pressure,
    paces: Paces,
    commit_at: Option<Instant>,
    stored: Option<Arc<Progress>>,
    ended: bool,
    finished: bool,
    failure: Option<Error>,
}

impl Runner {
    /// Runs the shard until it is finished, drained or failed, and leaves the last progress with the keeper.
    pub(super) async fn run(mut self) -> Exit {
        let forgotten = std::mem::take(&mut self.forgotten);
        let commit_at = Some(Instant::now() + if forgotten.is_empty() { IDLE_COMMIT } else { self.commit_every });
        let mut round = Round { next_lane: self.lanes.len(), forgotten, commit_at, ..Round::default() };
        let exit = match self.work(&mut round).await {
            Ok(exit) => exit,
            Err(error) => Exit::Failed(error),
        };
        self.lanes.values_mut().for_each(Lane::let_go);
        let last = Arc::new(self.progress(&round));
        self.orders.send_replace(Order::Release(last));
        exit
    }

    async fn work(&mut self, round: &mut Round) -> Result<Exit> {
        let mut pressed = self.budget.pressed();
        let mut freed = self.budget.freed();
        let mut reports: Vec<LaneReport> = Vec::with_capacity(REPORTS);
        round.touched.extend(self.lanes.keys());
        self.learn_interest(round);
        loop {
            if round.phase >= Phase::Draining && !std::mem::replace(&mut round.stopped_reading, true) {
                self.feed.close();
                let replayable = self.feed.replayable();
                self.lanes.values_mut().for_each(|lane| lane.drain(replayable));
            }
            self.look_at_lanes(round)?;
            self.part(round);
            pressed.catch_up();
            self.mind_pressure(round, self.budget.is_pressed());
            if let Some(exit) = self.exit(round) {
                return Ok(exit);
            }
            round.plan_at = None;
            if round.phase == Phase::Running && round.failure.is_none() {
                let planned = self.feed.plan(Instant::now());
                round.plan_at = planned.wake;
                if planned.opened {
                    round.touched.extend(self.feed.waiting());
                    // Whoever read from a reader that had to make place waits for one again.
                    let homeless = |lane: &Lane| lane.spot().is_some_and(|spot| self.feed.ring(spot.track).is_none());
                    round.touched.extend(self.lanes.iter().filter(|(_, lane)| homeless(lane)).map(|(id, _)| *id));
                }
            }
            self.notice_overtaken(round);
            if !round.touched.is_empty() {
                continue;
            }
            let wake = [round.plan_at, round.commit_at, round.pressure.look_at()];
            let leaving = round.leaving.values().map(|leaving| leaving.until);
            let wake = wake.into_iter().flatten().chain(round.due.values().copied()).chain(leaving).min();
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.obey(command, round),
                _ = self.reports.recv_many(&mut reports, REPORTS) => self.take_reports(&mut reports, round),
                news = self.feed.next() => self.take_news(news, round),
                () = pressed.hear() => {}
                () = freed.hear(), if round.pressure.is_starved() => {
                    round.touched.extend(round.pressure.starved());
                }
                () = wait_until(wake) => self.on_time(round),
            }
        }
    }

    fn exit(&self, round: &mut Round) -> Option<Exit> {
        if self.lanes.values().all(|lane| matches!(lane.state(), State::Finished | State::Halted)) {
            let finished = round.finished && self.lanes.values().all(|lane| lane.state() == State::Finished);
            let exit = if finished { Exit::Finished } else { Exit::Unwanted };
            return Some(round.failure.take().map_or(exit, Exit::Failed));
        }
        match round.phase {
            Phase::Stopping => return Some(Exit::Drained),
            Phase::Draining => return self.lanes.values().all(Lane::is_drained).then_some(Exit::Drained),
            Phase::Running => {}
        }
        let replayable = self.feed.replayable();
        let done = |lane: &Lane| lane.has_settled(&self.feed, replayable);
        if round.failure.is_some() && self.lanes.values().all(done) {
            return round.failure.take().map(Exit::Failed);
        }
        None
    }

    fn obey(&mut self, command: Command, round: &mut Round) {
        match command {
            Command::Open(name) => self.on_lane_of(&name, round, |lane, _| lane.open()),
            Command::Halt(name) => self.on_lane_of(&name, round, |lane, _| lane.halt()),
            Command::Pause(name, paused) => self.on_lane_of(&name, round, |lane, feed| lane.pause(paused, feed)),
            Command::Add(parts) => self.add(*parts, round),
            Command::Detach(name, done) => {
                let replayable = self.feed.replayable();
                for (id, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.subscription().name == name) {
                    lane.drain(replayable);
                    let until = Instant::now() + self.drain;
                    round.leaving.insert(*id, Leaving { until, _token: done.clone() });
                }
            }
            // Where it was is of no use any more: it goes on elsewhere, or not at all.
            Command::Retire(name) => _ = self.retire(&name, round),
            Command::Forget(name) => {
                let _ = self.retire(&name, round);
                round.parted.remove(&name);
                round.forgotten.insert(name);
                self.commit_later(round, Instant::now());
            }
            // Whoever asked may be gone.
            Command::Status(answer) => drop(answer.send((self.status(round), self.feed.last_failure()))),
            Command::Drain => round.phase = round.phase.max(Phase::Draining),
            Command::Stop => round.phase = Phase::Stopping,
        }
    }

    fn on_lane_of(&mut self, name: &SubscriptionName, round: &mut Round, act: impl Fn(&mut Lane, &Feed)) {
        for (id, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.subscription().name == *name) {
            act(lane, &self.feed);
            round.touched.insert(*id);
        }
    }

    fn take_reports(&mut self, reports: &mut Vec<LaneReport>, round: &mut Round) {
        let now = Instant::now();
        let mut last = None;
        for (id, run, report) in reports.drain(..) {
            // A lane that is gone has nobody who waits for its reports.
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            if matches!(report, Report::Halted(_)) {
                // A worker that is gone needs no notice.
                let _ = self.notices.send(Notice::Halted(lane.subscription().name.clone()));
            }
            lane.on_report(run, report, now);
            if last.replace(id) != Some(id) {
                round.touched.insert(id);
            }
        }
        self.commit_later(round, now);
    }

    fn take_news(&mut self, (news, gap): (News, Option<Gap>), round: &mut Round) {
        let now = Instant::now();
        match news {
            News::Pages(track, from) => {
                let read = self.feed.ring(track).map_or(0, |ring| ring.tip() - from);
                self.records_read.fetch_add(read, Ordering::Relaxed);
                if let Some(gap) = gap {
                    self.on_gap(track, &gap, round);
                }
                self.touch_readers(track, from, round);
                self.commit_later(round, now);
            }
            News::Nothing { moved: true, .. } => self.commit_later(round, now),
            News::Nothing { .. } | News::Room => {}
            News::End(track) => {
                if let Some(gap) = gap {
                    self.on_gap(track, &gap, round);
                }
                self.on_end(track, round);
                self.commit_later(round, now);
            }
            News::Failed(error) => {
                tracing::error!(shard = %self.shard, error = error.chain(), "reading cannot go on");
                round.failure = Some(error);
                self.lanes.values_mut().for_each(Lane::flush);
                round.touched.extend(self.lanes.keys());
                self.commit_later(round, now);
            }
        }
    }

    fn on_end(&mut self, track: TrackId, round: &mut Round) {
        let children = self.feed.ring(track).and_then(|ring| ring.end()).unwrap_or_default().to_vec();
        if !std::mem::replace(&mut round.ended, true) {
            let ids = children.iter().map(|child| child.id.clone()).collect();
            self.observer.on(&Event::ShardEnded { shard: self.shard.clone(), children: ids });
            // A worker that is gone needs no notice.
            let _ = self.notices.send(Notice::Ended(self.shard.clone(), children));
        }
        round.touched.extend(self.lanes.keys());
    }

    fn on_time(&mut self, round: &mut Round) {
        let now = Instant::now();
        round.due.retain(|id, due| {
            let is_due = *due <= now;
            if is_due {
                round.touched.insert(*id);
            }
            !is_due
        });
        if round.commit_at.is_some_and(|at| at <= now) {
            round.commit_at = Some(now + IDLE_COMMIT);
            self.commit(round, now);
        }
    }
}

async fn wait_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
