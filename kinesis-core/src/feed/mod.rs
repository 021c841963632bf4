//! The feed: all reading of one held shard, for all its lanes.
//!
//! One reader is at the front, and what it reads is there for every lane. A lane that falls behind what the front's ring
//! still has gets a reader that catches up, shared with others that are close, until it is back. The feed alone paces
//! reads, waits out throttling and passing faults, and asks for memory before it asks for records.

mod reading;
mod ring;
mod start;
mod track;
mod turns;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) use reading::Gap;
pub(crate) use ring::{Ring, RingSize};
pub(crate) use start::{Start, front, lowest};
pub(crate) use track::TrackId;

use crate::budget::{Budget, Seat, Turn, Waiting};
use crate::error::{Error, ErrorKind};
use crate::observe::Observer;
use crate::retry::RetryPolicy;
use crate::selector::ChannelFrom;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::signal::Listener;
use crate::source::StreamSource;

use reading::{Answer, What};
use track::{Allowed, Track};
use turns::{FRONT_SLICE, SLICE, Side, Turns};

/// How many readers of a shard catch up at once.
const MOST_BEHIND: usize = 2;
/// How long a reader that catches up is kept while others wait for one.
const TIME_SLICE: Duration = Duration::from_secs(5);
/// How long a reader that catches up is kept while nobody asks anything of it.
const UNUSED: Duration = Duration::from_secs(5);
/// A read that takes longer than this keeps nobody else from reading.
const SLOW: Duration = Duration::from_secs(1);

/// What a feed reads, and how.
#[derive(Debug)]
pub(crate) struct FeedConfig {
    pub(crate) source: Arc<dyn StreamSource>,
    pub(crate) shard: ShardId,
    pub(crate) channel_from: ChannelFrom,
    /// The wait after an empty answer of a source that polls.
    pub(crate) idle: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) budget: Budget,
    /// The most payload of a page that has more than one record.
    pub(crate) page_bytes: usize,
    pub(crate) ring: RingSize,
    pub(crate) seed: u64,
}

/// What a feed has to tell.
#[derive(Debug)]
pub(crate) enum News {
    /// A track has records that it had not before, from this offset of its ring on.
    Pages(TrackId, u64),
    /// There is nothing new; but where to go on at the tip may have moved.
    Nothing { moved: bool },
    /// A track has met the end of the shard.
    End(TrackId),
    /// Reading cannot go on.
    Failed(Error),
    /// There may be room for a read that there was none for.
    Room,
}

/// A lane that asks for records no track has.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    since: Instant,
    from: Start,
}

/// What came of planning.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// When to plan again, even if nothing happens.
    pub(crate) wake: Option<Instant>,
    /// A reader was opened for those who wait, perhaps in place of one that others read from.
    pub(crate) opened: bool,
}

pub(crate) struct Feed {
    config: Arc<FeedConfig>,
    /// The front comes first.
    tracks: Vec<Track>,
    next_id: u32,
    answer: mpsc::UnboundedSender<(TrackId, Answer)>,
    answers: mpsc::UnboundedReceiver<(TrackId, Answer)>,
    turns: Turns,
    /// Where readers that catch up were opened lately, and when.
    opened: Vec<(StartPosition, Instant)>,
    /// By lane.
    waiters: BTreeMap<usize, Waiter>,
    /// What the stream's clock showed, and when on ours.
    clock: Option<(SystemTime, Instant)>,
    /// When the newest record that is known of had arrived.
    newest: Option<SystemTime>,
    last_failure: Option<ErrorKind>,
    freed: Listener,
    /// Some read finds no room.
    starved: Option<Waiting>,
    queued: Option<Pin<Box<dyn Future<Output = Turn> + Send + Sync>>>,
    /// The turn is ours, for the next read.
    turn: Option<Turn>,
    /// The turn passes on when what it brought has been offered to the lanes.
    passing: Option<Turn>,
    /// One of those who share the budget.
    seat: Seat,
    closed: bool,
}

impl Feed {
    /// Starts reading at `from`, as soon as somebody wants a record.
    pub(crate) fn start(config: FeedConfig, from: Start) -> Self {
        let config = Arc::new(config);
        let (answer, answers) = mpsc::unbounded_channel();
        Self {
            tracks: vec![Track::start(TrackId::FRONT, &config, from, answer.clone())],
            next_id: 1,
            answer,
            answers,
            turns: Turns::default(),
            opened: Vec::new(),
            waiters: BTreeMap::new(),
            clock: None,
            newest: None,
            last_failure: None,
            freed: config.budget.freed(),
            starved: None,
            queued: None,
            turn: None,
            passing: None,
            seat: config.budget.seat(),
            closed: false,
            config,
        }
    }

    pub(crate) fn replayable(&self) -> bool {
        self.config.source.caps().replayable
    }

    /// The ring of a track, unless that is closed.
    pub(crate) fn ring(&self, track: TrackId) -> Option<&Ring> {
        self.tracks.iter().find(|known| known.id == track).map(|track| &track.ring)
    }

    /// The ring of the front.
    pub(crate) fn front(&self) -> &Ring {
        &self.tracks[0].ring
    }

    /// Which track has everything behind `from`, and from which offset on: the front, if it does. A reader that catches up
    /// has it only if it is there, or close to it.
    pub(crate) fn locate(&self, from: Start) -> Option<(TrackId, u64)> {
        self.tracks.iter().find_map(|track| {
            let at = track.ring.locate(from)?;
            let tip = track.ring.at_tip();
            let close = || at < track.ring.tip() || from.position == tip.position || tip.is_near(&from);
            (track.id == TrackId::FRONT || close()).then_some((track.id, at))
        })
    }

    /// What the stream's clock shows now, where that is known.
    pub(crate) fn stream_time(&self, now: Instant) -> Option<SystemTime> {
        self.clock.map(|(shown, at)| shown + now.saturating_duration_since(at))
    }

    /// When the newest record had arrived that is known of, read or not.
    pub(crate) fn newest(&self) -> Option<SystemTime> {
        self.newest
    }

    /// The shards that carry on, once some reader has met the end of this one.
    pub(crate) fn end(&self) -> Option<&[Shard]> {
        self.tracks.iter().find_map(|track| track.ring.end())
    }

    /// Reads nothing any more. What was read stays.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.tracks.iter_mut().for_each(Track::close);
        (self.starved, self.queued, self.turn, self.passing) = (None, None, None, None);
    }

    /// Lets the oldest records go, whoever needs them, down to the part of the budget that is this shard's own; of that,
    /// as much as the budget is overdrawn.
    pub(crate) fn shrink(&mut self) {
        for track in &mut self.tracks {
            track.ring.shrink(self.seat.share());
            track.ring.shrink(track.ring.bytes().saturating_sub(self.config.budget.overdrawn()));
        }
    }

    /// What kind of failure the last read met, where it failed.
    pub(crate) fn last_failure(&self) -> Option<ErrorKind> {
        self.last_failure
    }

    /// A lane at the tip of a track asks for more; urgently, if it holds nothing and so takes a record without room. What
    /// is read without room for anybody else would only be dropped, and read again.
    pub(crate) fn want(&mut self, track: TrackId, urgent: bool) {
        if let Some(track) = self.track(track) {
            track.wanted = true;
            track.urgent |= urgent;
        }
    }

    /// A lane asks for records that no track has.
    pub(crate) fn wait(&mut self, lane: usize, from: Start, now: Instant) {
        self.waiters.entry(lane).or_insert(Waiter { since: now, from }).from = from;
    }

    /// A lane does not wait any more.
    pub(crate) fn wait_no_longer(&mut self, lane: usize) {
        self.waiters.remove(&lane);
    }

    /// The lanes that wait for a reader.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.waiters.keys().copied()
    }

    /// Whether some lane catches up, or waits to.
    pub(crate) fn is_split(&self) -> bool {
        self.tracks.len() > 1 || !self.waiters.is_empty()
    }

    /// Lets go of what no lane needs: on each track everything below the offset that `needed` says, and the track itself
    /// when there is none.
    pub(crate) fn evict(&mut self, needed: impl Fn(TrackId) -> Option<u64>) {
        self.tracks.retain_mut(|track| match needed(track.id) {
            Some(offset) => {
                track.ring.evict(offset);
                true
            }
            None => {
                track.ring.evict(u64::MAX);
                track.id == TrackId::FRONT
            }
        });
    }

    /// Opens readers for those who wait, and sends off the reads that are due and have room.
    pub(crate) fn plan(&mut self, now: Instant) -> Planned {
        // What came with the turn has been offered to every lane by now.
        self.passing = None;
        let mut planned = Planned::default();
        if self.closed {
            return planned;
        }
        let replayable = self.replayable();
        if replayable && self.is_split() {
            self.close_unused(now, &mut planned);
            self.open_for_waiters(now, &mut planned);
        }
        let parks = self.config.source.caps().parks;
        let mut only_urgent = false;
        while let Some(index) = self.next_to_read(now, parks, only_urgent, &mut planned) {
            // Who finds no room does not keep those from reading who need none.
            if !self.ask(index, now) && std::mem::replace(&mut only_urgent, true) {
                return planned;
            }
        }
        if only_urgent {
            return planned;
        }
        if !self.tracks.iter().any(|track| track.is_eager(replayable)) {
            (self.starved, self.queued, self.turn) = (None, None, None);
        }
        planned
    }

    /// Which track reads now.
    fn next_to_read(&mut self, now: Instant, parks: bool, only_urgent: bool, planned: &mut Planned) -> Option<usize> {
        let replayable = self.replayable();
        let mut wake_at = |at: Instant| planned.wake = Some(planned.wake.map_or(at, |wake| wake.min(at)));
        let mut ready = Vec::new();
        let eager = |track: &Track| track.is_eager(replayable) && (track.urgent || !only_urgent);
        for (index, track) in self.tracks.iter().enumerate().filter(|(_, track)| eager(track)) {
            match track.not_before.filter(|_| !track.is_due(now)) {
                None => ready.push(index),
                Some(at) => wake_at(at),
            }
        }
        // A reader that waits for records by itself takes no turn: the others would wait as long as it does.
        if parks && ready.first() == Some(&0) {
            return Some(0);
        }
        let in_turn = self.tracks.iter().filter(|track| !(parks && track.id == TrackId::FRONT));
        let busy_until = in_turn.filter_map(|track| track.asked).map(|asked| asked + SLOW).filter(|until| *until > now);
        if let Some(until) = busy_until.max() {
            if !ready.is_empty() {
                wake_at(until);
            }
            return None;
        }
        let behind = ready.iter().copied().filter(|index| *index > 0).min_by_key(|index| self.tracks[*index].used_at);
        match self.turns.next(ready.first() == Some(&0), behind.is_some())? {
            Side::Front => Some(0),
            Side::Behind => behind,
        }
    }

    /// Sends a request off if there is room for what it may bring.
    fn ask(&mut self, index: usize, now: Instant) -> bool {
        let (replayable, parks) = (self.replayable(), self.config.source.caps().parks);
        let catches_up = self.tracks[1..].iter().any(|track| track.wanted);
        let bytes = match (index, catches_up) {
            (0, false) => usize::MAX,
            (0, true) => FRONT_SLICE,
            _ => SLICE,
        };
        let budget = &self.config.budget;
        let seen = self.tracks.iter().find_map(Track::per_record);
        let track = &mut self.tracks[index];
        track.expect(seen);
        // The other half is for what some lanes have not taken yet, and would have to read again on their own.
        let share = self.seat.share() / 2;
        let (mut max, mut expected) = track.appetite(bytes.min(share), budget.limit(), replayable);
        if parks && index == 0 {
            // Such a read lies in wait for long, and must not keep the room of a large answer from the others.
            expected = expected.min(SLICE / 2);
        }
        let turn = if track.urgent { self.turn.take() } else { None };
        let allowed = match (budget.reserve(expected), turn) {
            (Some(reserved), _) => Allowed::Room(reserved),
            (None, Some(turn)) => {
                max = track.at_most(max, budget.limit().saturating_sub(budget.used()));
                Allowed::Turn(turn)
            }
            (None, None) => {
                if track.urgent && self.queued.is_none() {
                    let budget = budget.clone();
                    self.queued = Some(Box::pin(async move { budget.turn().await }));
                }
                // First said, then looked: bytes that come back in between are noticed.
                if self.starved.is_none() {
                    self.freed.catch_up();
                    self.starved = Some(budget.wait());
                    return self.ask(index, now);
                }
                return false;
            }
        };
        (self.starved, self.queued, self.turn) = (None, None, None);
        track.ask(max, allowed, now, replayable);
        true
    }

    fn close_unused(&mut self, now: Instant, planned: &mut Planned) {
        let mut wake = planned.wake;
        self.tracks.retain(|track| {
            let unused_at = track.used_at + UNUSED;
            let unused = track.id != TrackId::FRONT && !track.wanted && track.asked.is_none();
            if unused && unused_at > now {
                wake = Some(wake.map_or(unused_at, |wake| wake.min(unused_at)));
            }
            !unused || unused_at > now
        });
        planned.wake = wake;
    }

    /// Opens a reader for whoever has been waiting longest; in place of one that has had its time, if there are enough.
    fn open_for_waiters(&mut self, now: Instant, planned: &mut Planned) {
        let oldest = self.waiters.values().min_by_key(|waiter| waiter.since).copied();
        let Some(oldest) = oldest else { return };
        if self.tracks.len() > MOST_BEHIND {
            // Whoever is nearest keeps his reader until he is there. Where all took turns, nobody would ever be, unless
            // there were bytes enough for all of them at once.
            let near = |index: &usize| self.tracks[*index].ring.at_tip().arrived_at;
            let nearest = (1..self.tracks.len()).max_by_key(near);
            let others = (1..self.tracks.len()).filter(|index| Some(*index) != nearest);
            let spent = others.min_by_key(|index| self.tracks[*index].opened_at);
            let spent = spent.expect("more than one reader catches up");
            let until = self.tracks[spent].opened_at + TIME_SLICE;
            if until > now {
                planned.wake = Some(planned.wake.map_or(until, |wake| wake.min(until)));
                return;
            }
            self.tracks.remove(spent);
        }
        // Whoever is a little further back comes along.
        let close = self.waiters.values().map(|waiter| &waiter.from).filter(|from| from.is_near(&oldest.from));
        let from = lowest(close).unwrap_or(oldest.from);
        // What was read there was let go before anybody could take it: nobody has more room for it at once.
        let idle = self.config.idle;
        self.opened.retain(|(_, at)| *at + idle > now);
        if let Some((_, at)) = self.opened.iter().find(|(position, _)| *position == from.position) {
            planned.wake = Some(planned.wake.map_or(*at + idle, |wake| wake.min(*at + idle)));
            return;
        }
        self.opened.push((from.position, now));
        let id = TrackId(self.next_id);
        self.next_id += 1;
        self.tracks.push(Track::start(id, &self.config, from, self.answer.clone()));
        planned.opened = true;
    }

    /// What happens next.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub(crate) async fn next(&mut self) -> (News, Option<Gap>) {
        loop {
            let queued = async {
                match &mut self.queued {
                    Some(queued) => queued.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((id, answer)) = self.answers.recv() => {
                    if let Some(news) = self.take(id, answer) {
                        return news;
                    }
                }
                turn = queued => {
                    (self.turn, self.queued) = (Some(turn), None);
                    return (News::Room, None);
                }
                () = self.freed.hear(), if self.starved.is_some() => return (News::Room, None),
            }
        }
    }

    fn track(&mut self, id: TrackId) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|track| track.id == id)
    }

    fn take(&mut self, id: TrackId, answer: Answer) -> Option<(News, Option<Gap>)> {
        let now = Instant::now();
        let Answer { gap, what, stream_time, behind } = answer;
        let at_tip = behind.is_some_and(|behind| behind.is_zero());
        let track = self.tracks.iter_mut().find(|track| track.id == id)?;
        track.asked = None;
        track.used_at = now;
        self.passing = track.turn.take().or(self.passing.take());
        if let Some(shown) = stream_time {
            self.clock = Some((shown, now));
        }
        if !matches!(what, What::Later(..)) {
            self.last_failure = None;
        }
        if let Some(gap) = &gap {
            track.ring.tear(gap);
        }
        let news = match what {
            What::Pages(pages) => {
                let (records, bytes) = pages
                    .iter()
                    .fold((0, 0), |(records, bytes), page| (records + page.len(), bytes + page.charged_at_first()));
                track.learn(records, bytes, at_tip);
                track.met();
                let from = track.ring.tip();
                pages.into_iter().for_each(|page| track.ring.push(page));
                let newest = track.ring.at_tip().arrived_at;
                self.newest = self.newest.max(newest.map(|at| at + behind.unwrap_or_default()));
                News::Pages(id, from)
            }
            What::Nothing { resume, again } => {
                track.not_before = (!again.is_zero()).then(|| now + again);
                if at_tip {
                    track.learn(0, 0, true);
                    stream_time.into_iter().for_each(|time| track.ring.set_read_until(time));
                }
                if let Some(resume) = resume {
                    track.ring.set_resume(resume);
                }
                News::Nothing { moved: resume.is_some() }
            }
            What::End(children) => {
                track.met();
                track.ring.set_end(children);
                News::End(id)
            }
            What::Later(wait, kind) => {
                track.not_before = Some(now + wait);
                self.last_failure = Some(kind);
                News::Nothing { moved: false }
            }
            What::Failed(error) => News::Failed(error),
        };
        Some((news, gap))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("shard", &self.config.shard).field("tracks", &self.tracks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
