//! How a shard's lanes stand, told to whoever asks: position, lag, and when the tip will be reached at this rate.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Round, Runner};
use crate::feed::TrackId;
use crate::lane::{Lane, State};
use crate::pipeline::{LaneState, LaneStatus, ToTip};
use crate::sink::SubscriptionName;

/// Rates are measured over this long, and not over less than [`LEAST`].
const WINDOW: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(2);

/// How far lanes were from the tip lately.
#[derive(Debug, Default)]
pub(super) struct Paces(BTreeMap<usize, Pace>);

impl Paces {
    pub(super) fn forget(&mut self, lane: usize) {
        self.0.remove(&lane);
    }
}

/// How far a lane was from the tip at some times: in stream time, from the last settled record to the newest one.
#[derive(Debug, Default)]
struct Pace(VecDeque<(Instant, Duration)>);

impl Pace {
    fn note(&mut self, now: Instant, distance: Duration) {
        while self.0.len() > 1 && self.0.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= LEAST / 2) {
            self.0.push_back((now, distance));
        }
    }

    /// When the tip is reached if the distance goes on as it did.
    fn to_tip(&self, now: Instant, distance: Duration) -> ToTip {
        let Some((at, before)) = self.0.front() else { return ToTip::Unknown };
        let took = now.saturating_duration_since(*at);
        if took < LEAST {
            return ToTip::Unknown;
        }
        let closed = before.as_secs_f64() - distance.as_secs_f64();
        if closed <= 0.0 {
            return ToTip::Never;
        }
        Duration::try_from_secs_f64(distance.as_secs_f64() * took.as_secs_f64() / closed)
            .map_or(ToTip::Never, ToTip::In)
    }
}

impl Runner {
    /// Notes how far every lane is from the tip.
    pub(super) fn measure(&mut self, round: &mut Round, now: Instant) {
        let newest = self.feed.newest();
        for (id, lane) in self.lanes.iter_mut().filter(|(id, _)| !round.following.contains(id)) {
            let settled = lane.cursor(&self.feed).and_then(|cursor| cursor.arrived_at);
            if lane.unsettled() == 0 && !lane.is_behind() {
                round.paces.forget(*id);
            } else if let Some(distance) = distance(settled, newest) {
                round.paces.0.entry(*id).or_default().note(now, distance);
            }
        }
    }

    pub(super) fn status(&mut self, round: &Round) -> BTreeMap<SubscriptionName, LaneStatus> {
        let now = Instant::now();
        let (newest, stream_time) = (self.feed.newest(), self.feed.stream_time(now));
        let mut status = BTreeMap::new();
        for (id, lane) in &mut self.lanes {
            let Some(cursor) = lane.cursor(&self.feed) else {
                status.insert(lane.subscription().name.clone(), LaneStatus::new(LaneState::Gated));
                continue;
            };
            let state = state_of(lane, &self.feed);
            let at_tip = lane.is_at_rest(&self.feed);
            let mut told = LaneStatus::new(state);
            told.position = Some(cursor.position);
            told.arrived_at = cursor.arrived_at;
            told.lag = if at_tip { Some(Duration::ZERO) } else { distance(cursor.arrived_at, stream_time) };
            told.in_flight = lane.in_flight();
            told.unsettled = lane.unsettled();
            told.last_failure = lane.last_failure().map(str::to_owned);
            let to_tip = |distance| round.paces.0.get(id).map_or(ToTip::Unknown, |pace| pace.to_tip(now, distance));
            told.to_tip = match distance(cursor.arrived_at, newest) {
                _ if at_tip => ToTip::AtTip,
                Some(distance) => to_tip(distance),
                None => ToTip::Unknown,
            };
            status.insert(lane.subscription().name.clone(), told);
        }
        status
    }
}

fn distance(settled: Option<SystemTime>, to: Option<SystemTime>) -> Option<Duration> {
    Some(to?.duration_since(settled?).unwrap_or_default())
}

fn state_of(lane: &Lane, feed: &crate::feed::Feed) -> LaneState {
    match lane.state() {
        State::Gated => LaneState::Gated,
        State::Halted => LaneState::Halted,
        State::Finished => LaneState::Finished,
        State::Running if lane.is_paused() => LaneState::Paused,
        State::Running if lane.is_starved() => LaneState::WaitingForMemory,
        State::Running => match lane.spot() {
            Some(spot) if spot.track == TrackId::FRONT => LaneState::AtFront,
            Some(_) => LaneState::CatchingUp,
            None if lane.wants(feed) == crate::lane::Wants::Reader => LaneState::WaitingForReader,
            None => LaneState::Behind,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_estimate_follows_the_rate_at_which_the_distance_shrinks() {
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        let mut pace = Pace::default();
        assert_eq!(pace.to_tip(start, seconds(100)), ToTip::Unknown);
        pace.note(start, seconds(100));
        assert_eq!(pace.to_tip(start + seconds(1), seconds(99)), ToTip::Unknown);
        assert_eq!(pace.to_tip(start + seconds(10), seconds(80)), ToTip::In(seconds(40)));
        assert_eq!(pace.to_tip(start + seconds(10), seconds(100)), ToTip::Never);
        assert_eq!(pace.to_tip(start + seconds(10), seconds(130)), ToTip::Never);
        for n in 1..=100 {
            pace.note(start + seconds(n), seconds(100 + n));
        }
        assert!(pace.0.len() <= 32, "{}", pace.0.len());
        assert_eq!(pace.to_tip(start + seconds(101), seconds(201)), ToTip::Never, "long ago does not count");
    }
}
