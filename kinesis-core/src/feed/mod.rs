//! The feed: all reading of one held shard, for all its lanes.
//!
//! One reader is at the front, and what it reads is there for every lane. A lane that falls behind what the front's ring
//! still has gets a reader that catches up, shared with others that are close, until it is back. The feed alone paces
//! reads, waits out throttling and passing faults, and asks for memory before it asks for records.

mod gap;
mod plan;
mod reading;
mod ring;
mod start;
mod taking;
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

pub(crate) use gap::Gap;
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

use reading::Answer;
use track::Track;
use turns::Turns;

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
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("shard", &self.config.shard).field("tracks", &self.tracks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
