//! The runner: one held shard at work. It lets the feed read when a lane wants more, hands what was read to the lanes,
//! and tells the keeper how far they are.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::keeper::Order;
use crate::deliver::Report;
use crate::error::{Error, Result};
use crate::feed::{Feed, FeedConfig, Read, Ring};
use crate::lane::{Lane, LaneReport, State};
use crate::lease::{CursorPosition, Progress};
use crate::observe::{Event, Observer};
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::SubscriptionName;

/// The largest answer that Kinesis gives.
const MOST_RECORDS: usize = 10_000;
/// How many reports are taken in before the lanes are looked at again.
const REPORTS: usize = 256;

/// How far a run of the shard is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Running,
    Draining,
    Stopping,
}

/// What the worker tells the runner of a shard.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// The subscription has finished the shard's parents: it may start.
    Open(SubscriptionName),
    /// The subscription halted on another shard: it stops here too.
    Halt(SubscriptionName),
    /// Finish what is in flight and let go.
    Drain,
    /// Let go now.
    Stop,
}

/// What the worker has to know while a shard runs.
#[derive(Debug)]
pub(super) enum Notice {
    /// The shard ended; these carry on.
    Ended(ShardId, Vec<Shard>),
    /// A subscription is done with the shard.
    Finished(ShardId, SubscriptionName),
    /// A subscription may not pass over a record.
    Halted(SubscriptionName),
}

/// How running a shard ended.
#[derive(Debug)]
pub(super) enum Exit {
    /// Every subscription is done with it, or halted.
    Finished,
    /// It was asked to.
    Drained { in_time: bool },
    /// The source failed for good; what had been read is settled.
    Failed(Error),
}

#[derive(Debug)]
pub(super) struct Runner {
    pub(super) shard: ShardId,
    pub(super) feed: FeedConfig,
    pub(super) lanes: Vec<Lane>,
    pub(super) reports: mpsc::UnboundedReceiver<LaneReport>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    pub(super) orders: watch::Sender<Order>,
    pub(super) commit_every: Duration,
    pub(super) ring: Ring,
    pub(super) records_read: Arc<AtomicU64>,
}

/// What changes while a shard runs.
#[derive(Debug, Default)]
struct Round {
    phase: Phase,
    /// Lanes that something happened to; the others need no look.
    touched: Vec<usize>,
    /// When the next delivery of each lane is due, where it waits to be filled.
    due: Vec<Option<Instant>>,
    /// Some lane asked for more than the ring has.
    wanted: bool,
    commit_at: Option<Instant>,
    stored: Option<Arc<Progress>>,
    failure: Option<Error>,
}

impl Runner {
    /// Runs the shard until it is finished, drained or failed, and leaves the last progress with the keeper.
    pub(super) async fn run(mut self) -> Exit {
        let exit = match self.work().await {
            Ok(exit) => exit,
            Err(error) => Exit::Failed(error),
        };
        self.lanes.iter_mut().for_each(Lane::abort);
        let last = Arc::new(self.progress());
        self.orders.send_replace(Order::Release(last));
        exit
    }

    async fn work(&mut self) -> Result<Exit> {
        let replayable = self.feed.source.caps().replayable;
        let mut feed = Some(Feed::start(self.feed.clone()));
        let mut round = Round { due: vec![None; self.lanes.len()], ..Round::default() };
        let mut reports: Vec<LaneReport> = Vec::with_capacity(REPORTS);
        round.touched.extend(0..self.lanes.len());
        loop {
            if round.phase >= Phase::Draining && feed.take().is_some() {
                self.lanes.iter_mut().for_each(Lane::drain);
            }
            self.look_at_lanes(&mut round)?;
            if let Some(exit) = self.exit(&mut round, replayable) {
                return Ok(exit);
            }
            if let Some(feed) = &mut feed
                && round.wanted
                && round.failure.is_none()
                && self.ring.end().is_none()
                && let Some(room) = NonZeroUsize::new(self.ring.room().min(MOST_RECORDS))
            {
                feed.request(room);
                round.wanted = false;
            }
            let wake = round.due.iter().flatten().chain(&round.commit_at).min().copied();
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.obey(command, &mut round),
                _ = self.reports.recv_many(&mut reports, REPORTS) => {
                    self.take_reports(&mut reports, &mut round);
                }
                read = next_read(&mut feed) => self.take_read(read, &mut round),
                () = wait_until(wake) => self.on_time(&mut round),
            }
        }
    }

    fn look_at_lanes(&mut self, round: &mut Round) -> Result<()> {
        if round.touched.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let mut touched = std::mem::take(&mut round.touched);
        touched.sort_unstable();
        touched.dedup();
        for index in touched.drain(..) {
            let lane = &mut self.lanes[index];
            lane.reap()?;
            if round.phase == Phase::Running {
                round.due[index] = work_off(lane, &self.ring, now);
            } else {
                round.due[index] = None;
            }
            if lane.finish(&self.ring) {
                let subscription = lane.subscription().name.clone();
                self.feed
                    .observer
                    .on(&Event::ShardFinished { subscription: subscription.clone(), shard: self.shard.clone() });
                // A worker that is gone needs no notice.
                let _ = self.notices.send(Notice::Finished(self.shard.clone(), subscription));
            }
            round.wanted |= lane.wants_more(&self.ring);
        }
        round.touched = touched;
        // The base follows the slowest lane: until lanes can catch up on their own, it holds the feed back.
        let slowest = self.lanes.iter().filter(|lane| matches!(lane.state(), State::Running | State::Gated));
        let base = slowest.map(Lane::position).min().unwrap_or(self.ring.tip());
        self.ring.evict(base);
        Ok(())
    }

    fn exit(&self, round: &mut Round, replayable: bool) -> Option<Exit> {
        if self.lanes.iter().all(|lane| matches!(lane.state(), State::Finished | State::Halted)) {
            return Some(round.failure.take().map_or(Exit::Finished, Exit::Failed));
        }
        match round.phase {
            Phase::Stopping => return Some(Exit::Drained { in_time: false }),
            Phase::Draining => {
                // What waits for another attempt is read again by whoever comes next, where the source can do that.
                let drained = self.lanes.iter().all(|lane| lane.is_drained(replayable));
                return drained.then_some(Exit::Drained { in_time: true });
            }
            Phase::Running => {}
        }
        let done = |lane: &Lane| lane.has_settled(&self.ring, replayable);
        if round.failure.is_some() && self.lanes.iter().all(done) {
            return round.failure.take().map(Exit::Failed);
        }
        None
    }

    fn obey(&mut self, command: Command, round: &mut Round) {
        match command {
            Command::Open(subscription) => self.on_lane_of(&subscription, round, Lane::open),
            Command::Halt(subscription) => self.on_lane_of(&subscription, round, Lane::halt),
            Command::Drain => round.phase = round.phase.max(Phase::Draining),
            Command::Stop => round.phase = Phase::Stopping,
        }
    }

    fn on_lane_of(&mut self, subscription: &SubscriptionName, round: &mut Round, act: fn(&mut Lane)) {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.subscription().name == *subscription {
                act(lane);
                round.touched.push(index);
            }
        }
    }

    fn take_reports(&mut self, reports: &mut Vec<LaneReport>, round: &mut Round) {
        let now = Instant::now();
        for (lane, run, report) in reports.drain(..) {
            if matches!(report, Report::Halted(_)) {
                // A worker that is gone needs no notice.
                let _ = self.notices.send(Notice::Halted(self.lanes[lane].subscription().name.clone()));
            }
            self.lanes[lane].on_report(run, report, now);
            if round.touched.last() != Some(&lane) {
                round.touched.push(lane);
            }
        }
        self.commit_later(round, now);
    }

    fn take_read(&mut self, read: Read, round: &mut Round) {
        match read {
            Read::Page(page) => {
                self.records_read.fetch_add(page.records().len() as u64, Ordering::Relaxed);
                self.ring.push(page);
            }
            Read::Tip(resume) => {
                self.ring.set_resume(resume);
                self.commit_later(round, Instant::now());
                return;
            }
            Read::End(children) => {
                let ids = children.iter().map(|child| child.id.clone()).collect();
                self.feed.observer.on(&Event::ShardEnded { shard: self.shard.clone(), children: ids });
                // A worker that is gone needs no notice.
                let _ = self.notices.send(Notice::Ended(self.shard.clone(), children.clone()));
                self.ring.set_end(children);
            }
            Read::Failed(error) => {
                tracing::error!(shard = %self.shard, error = error.chain(), "reading cannot go on");
                round.failure = Some(error);
                self.lanes.iter_mut().for_each(Lane::flush);
            }
        }
        self.commit_later(round, Instant::now());
        round.touched.extend(0..self.lanes.len());
    }

    fn commit_later(&self, round: &mut Round, now: Instant) {
        round.commit_at.get_or_insert(now + self.commit_every);
    }

    fn on_time(&mut self, round: &mut Round) {
        let now = Instant::now();
        let due = |(index, due): (usize, &Option<Instant>)| due.is_some_and(|due| due <= now).then_some(index);
        round.touched.extend(round.due.iter().enumerate().filter_map(due));
        if round.commit_at.take_if(|at| *at <= now).is_some() {
            let progress = Arc::new(self.progress());
            if round.stored.as_ref() != Some(&progress) {
                round.stored = Some(Arc::clone(&progress));
                self.orders.send_replace(Order::Hold(Some(progress)));
            }
        }
    }

    fn progress(&mut self) -> Progress {
        let resume = self.ring.resume();
        let tip = self.ring.tip();
        let cursors = self.lanes.iter_mut().filter_map(|lane| {
            let at_tip = resume.filter(|_| lane.position() == tip);
            let cursor = lane.cursor(at_tip)?;
            Some((lane.subscription().name.clone(), cursor))
        });
        // The tip is a wish, not a place: a cursor that nothing has pinned yet is not stored.
        let pinned = cursors.filter(|(_, cursor)| cursor.position != CursorPosition::Next(StartPosition::Latest));
        let progress = Progress::new(pinned);
        match self.ring.end() {
            Some(children) => progress.with_children(children.iter().map(|child| child.id.clone())),
            None => progress,
        }
    }
}

/// Lets a lane take and send off what it can; returns when its next delivery is due.
fn work_off(lane: &mut Lane, ring: &Ring, now: Instant) -> Option<Instant> {
    lane.take(ring, now);
    loop {
        let due = lane.send_off(now);
        let before = lane.position();
        // What was put aside behind a held key on the way made room for others.
        lane.take(ring, now);
        if lane.position() == before {
            return due;
        }
    }
}

async fn next_read(feed: &mut Option<Feed>) -> Read {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}

async fn wait_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
