//! Gaps: trimming was faster than a subscription. What is missing is told, and the subscription halts or goes on behind
//! it, as it wants.

use super::{Notice, Round, Runner};
use crate::broken::{self, Part};
use crate::feed::{Gap, Start, TrackId};
use crate::lane::{Lane, State, trimmed};
use crate::observe::{Event, Observer};
use crate::pipeline::OnGap;
use crate::shard::StartPosition;

impl Runner {
    /// The reader of a track has found something missing: it concerns whoever would have read it there.
    pub(super) fn on_gap(&mut self, track: TrackId, gap: &Gap, round: &mut Round) {
        let there = |lane: &Lane| lane.spot().is_none_or(|spot| spot.track == track);
        let goes_on = |lane: &Lane| matches!(lane.state(), State::Running | State::Gated);
        let misses = |lane: &Lane| goes_on(lane) && there(lane) && misses(&lane.next(), gap);
        let concerned = self.lanes.iter().filter(|(_, lane)| misses(lane)).map(|(id, _)| *id);
        for id in concerned.collect::<Vec<_>>() {
            self.settle_gap(id, gap, round);
        }
    }

    /// Tells of what a lane has missed, and does what its subscription wants.
    pub(super) fn settle_gap(&mut self, id: usize, gap: &Gap, round: &mut Round) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if broken::is(Part::GapPassedOver) {
            round.touched.insert(id);
            return lane.jump(gap);
        }
        let subscription = lane.subscription().name.clone();
        let from = lane.next();
        let lasted = gap.to.and_then(|(_, arrived_at)| arrived_at).zip(from.arrived_at);
        let lasted = lasted.and_then(|(to, from)| to.duration_since(from).ok());
        let to = gap.to.map(|(number, _)| number);
        let error = trimmed(&Gap { from, ..*gap });
        tracing::error!(%subscription, shard = %self.shard, ?lasted, "{error}");
        let shard = self.shard.clone();
        let event = Event::Gap { subscription: subscription.clone(), shard, from: from.position, to, lasted };
        self.observer.on(&event);
        match lane.subscription().on_gap {
            OnGap::Jump => lane.jump(gap),
            OnGap::Halt if broken::is(Part::GapDoesNotHalt) => lane.jump(gap),
            OnGap::Halt => {
                let reason = error.to_string();
                lane.halt_because(reason.clone());
                let shard = self.shard.clone();
                self.observer.on(&Event::Halted { subscription: subscription.clone(), shard, reason });
                // A worker that is gone needs no notice.
                let _ = self.notices.send(Notice::Halted(subscription));
            }
        }
        round.touched.insert(id);
    }
}

/// Whether whoever goes on at `next` would have read something of what is missing.
fn misses(next: &Start, gap: &Gap) -> bool {
    let beyond = |start: &Start| match (start.position, gap.to) {
        (StartPosition::At(own), Some((to, _))) => own >= to,
        (StartPosition::After(own), Some((to, _))) => own >= to,
        _ => false,
    };
    next.is_numbered() && !beyond(next)
}
