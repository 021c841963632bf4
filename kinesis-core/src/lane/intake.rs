//! Taking in: what a lane lets into its slots, as far as demand, memory and its run ahead of the cursor allow.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Lane, Spot, State};
use crate::broken::{self, Part};
use crate::feed::{Feed, Gap, Ring, Start, TrackId};
use crate::record::{Holding, Page};
use crate::selector::Selector;
use crate::shard::StartPosition;
use crate::sink::Picks;

/// What a lane asks for that it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    /// More than the track has read.
    More(TrackId),
    /// A reader: no track has what it needs.
    Reader,
}

impl Lane {
    /// What it asks for.
    pub(crate) fn wants(&self, feed: &Feed) -> Wants {
        if !self.can_take() || self.starved {
            return Wants::Nothing;
        }
        match self.spot {
            None => Wants::Reader,
            Some(spot) if feed.ring(spot.track).is_some_and(|ring| spot.at == ring.tip()) => Wants::More(spot.track),
            Some(_) => Wants::Nothing,
        }
    }

    /// Whether it asks for a record.
    pub(super) fn can_take(&self) -> bool {
        self.is_working() && self.demand.open() > 0 && (self.again.is_some() || self.may_run_on())
    }

    fn may_run_on(&self) -> bool {
        let ahead = self.parts.ledger.end() - self.parts.ledger.mark();
        ahead < self.max_ahead()
    }

    fn max_ahead(&self) -> u64 {
        if broken::is(Part::MaxAheadIgnored) { u64::MAX } else { self.parts.subscription.demand.max_ahead as u64 }
    }

    /// Whether there is memory for what it asks for.
    fn has_room(&self) -> bool {
        self.holds_nothing() || self.parts.account.room() >= self.needs
    }

    /// Whether it holds no payload at all: then it may take a record whatever the budget says.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.demand.held() == 0 && self.demand.held_bytes() == 0
    }

    /// Notes that something is taken: whoever held nothing begins to make progress now.
    pub(super) fn note_taking(&mut self, now: Instant) {
        if self.holds_nothing() {
            self.progressed_at = now;
        }
    }

    /// Takes from the rings what was asked for.
    ///
    /// # Errors
    ///
    /// What is gone of the records that it gave back.
    pub(crate) fn take(&mut self, feed: &Feed, now: Instant) -> Result<(), Box<Gap>> {
        if self.is_working() && self.demand.open() > 0 {
            self.turn_back(now);
        }
        self.find(feed);
        self.starved = false;
        while self.can_take()
            && !self.starved
            && let Some(spot) = self.spot
            && let Some(ring) = feed.ring(spot.track)
            && let Some((first, page)) = ring.page_at(spot.at)
        {
            let (before, again) = (self.spot, self.again);
            self.take_page(spot, first, &Arc::clone(page), now)?;
            self.find(feed);
            if (self.spot, self.again) == (before, again) {
                break;
            }
        }
        self.starved |= self.can_take() && !self.has_room();
        let ended = self.spot.and_then(|spot| feed.ring(spot.track)).is_some_and(|ring| ring.end().is_some());
        self.flushing |= ended && self.is_at_tip(feed);
        Ok(())
    }

    /// Finds where it reads: at the front as soon as that has everything it needs, otherwise where it is, or wherever
    /// something is that has. What passes once only is kept for those who wait as well.
    fn find(&mut self, feed: &Feed) {
        let waits = self.parts.state == State::Gated && !feed.replayable();
        if self.parts.state != State::Running && !waits {
            return;
        }
        // What a lane that follows has not looked at, it does not want.
        let kept = |spot: &Spot| self.follows || feed.ring(spot.track).is_some_and(|ring| spot.at >= ring.base());
        self.spot = self.spot.filter(kept);
        if self.spot.is_some_and(|spot| spot.track == TrackId::FRONT) {
            return;
        }
        let next = self.next();
        let found = if !feed.replayable() {
            Some((TrackId::FRONT, feed.front().locate(next).unwrap_or_else(|| join(feed.front(), &next))))
        } else if self.spot.is_none() {
            feed.locate(next)
        } else {
            feed.front().locate(next).map(|at| (TrackId::FRONT, at))
        };
        if let Some((track, at)) = found {
            self.spot = Some(Spot { track, at });
            self.skips_to = Some(next);
        }
    }

    /// Takes in that the records up to `to` of the front are of channels it does not take.
    pub(crate) fn follow(&mut self, to: u64) {
        if let Some(spot) = self.spot.as_mut().filter(|spot| self.follows && spot.at < to) {
            self.parts.counters.taken(0, to - spot.at);
            spot.at = to;
        }
    }

    /// Whether it is at the front's tip with nothing open and takes some channels only: until one of them comes, it need
    /// not be looked at.
    pub(crate) fn set_follows(&mut self, feed: &Feed) -> bool {
        let at_front = self.spot.is_some_and(|spot| spot.track == TrackId::FRONT);
        self.follows = at_front
            && self.is_working()
            && matches!(self.parts.subscription.selector, Selector::Only(_))
            && self.parts.ledger.open() == 0
            && self.skips_to.is_none()
            && self.is_at_tip(feed);
        self.follows
    }

    pub(crate) fn follows(&self) -> bool {
        self.follows
    }

    /// A record of a channel that it takes has come.
    pub(crate) fn stop_following(&mut self) {
        self.follows = false;
    }

    pub(super) fn take_page(&mut self, spot: Spot, first: u64, page: &Arc<Page>, now: Instant) -> Result<(), Box<Gap>> {
        let mut from = (spot.at - first) as usize;
        if let Some(start) = self.skips_to {
            let had = start.had_of(&page.records()[from..]);
            from += had;
            self.skips_to = self.skips_to.filter(|_| from == page.len());
        }
        self.spot = Some(Spot { at: first + from as u64, ..spot });
        if from == page.len() {
            return Ok(());
        }
        if self.again.is_some() {
            let stopped = self.take_again(page, from, now)?;
            // Where nothing may return any more, it goes on elsewhere.
            self.spot = self.spot.map(|spot| Spot { at: first + stopped as u64, ..spot });
            return Ok(());
        }
        let ahead = self.parts.ledger.end() - self.parts.ledger.mark();
        let further = self.max_ahead().saturating_sub(ahead);
        let to = page.len().min(from.saturating_add(usize::try_from(further).unwrap_or(usize::MAX)));
        let reached = match &Arc::clone(&self.parts.subscription).selector {
            Selector::All => self.admit(page, from, to, from as u32..to as u32, now),
            Selector::Only(channels) => {
                let within = |channel| {
                    let of_channel = page.of_channel(channel);
                    let before = |end: usize| of_channel.partition_point(|index| (*index as usize) < end);
                    &of_channel[before(from)..before(to)]
                };
                let mut channels = channels.iter().map(|channel| within(channel));
                let first = channels.next().unwrap_or_default();
                if channels.len() == 0 {
                    self.admit(page, from, to, first.iter().copied(), now)
                } else {
                    let mut chosen = first.to_vec();
                    channels.for_each(|more| chosen.extend_from_slice(more));
                    chosen.sort_unstable();
                    self.admit(page, from, to, chosen.into_iter(), now)
                }
            }
        };
        self.spot = Some(Spot { at: first + reached as u64, ..spot });
        Ok(())
    }

    /// Lets in what may come of `chosen`; says up to where the page has been looked at.
    fn admit(
        &mut self,
        page: &Arc<Page>,
        from: usize,
        to: usize,
        chosen: impl Iterator<Item = u32>,
        now: Instant,
    ) -> usize {
        let begin = self.parts.ledger.end();
        let hashes = (self.slots.len() > 1 || !self.absent.is_empty()).then(|| page.key_hashes());
        let mut room = self.parts.account.room();
        // What was taken side by side, and is not in the ledger yet.
        let mut run = from..from;
        let (mut taken, mut held) = (0u64, 0usize);
        let mut stopped = None;
        for index in chosen.map(|index| index as usize) {
            let (size, footprint) = (page.size(index), page.footprint(index));
            let offset = begin + (index - from) as u64;
            let hash = hashes.map_or(0, |hashes| hashes[index]);
            let away = !self.absent.is_empty() && self.absent.holds(self.order_of(hash, offset));
            let roomy = footprint <= room;
            if !away && !(self.demand.admits(size) && (roomy || self.holds_nothing())) {
                self.starved = self.demand.admits(size);
                self.needs = footprint;
                stopped = Some(index);
                break;
            }
            if index != run.end {
                self.parts.ledger.look(page.marks(), run.start, run.end, true);
                self.parts.ledger.look(page.marks(), run.end, index, false);
                run.start = index;
            }
            run.end = index + 1;
            taken += 1;
            if away {
                // What comes before it of its key has to be read again, and so has this.
                self.absent.insert(offset, self.order_of(hash, offset), None);
                continue;
            }
            self.note_taking(now);
            self.needs = 1;
            self.demand.emit(size);
            let slot = if self.slots.len() > 1 { self.slot_of(hash) } else { 0 };
            if !roomy {
                // It is let in alone, and keeps nothing of the page in memory but itself.
                let copy = Arc::new(Holding::copy_of(page, index, offset, &self.parts.account));
                self.slots[slot].queue.push(&copy, Picks::Run { from: 0, to: 1 }, now);
                self.starved = true;
                stopped = Some(run.end);
                break;
            }
            self.slots[slot].picked.push(index as u32);
            room -= footprint;
            held += footprint;
        }
        let end = stopped.unwrap_or(to);
        self.parts.ledger.look(page.marks(), run.start, run.end, true);
        self.parts.ledger.look(page.marks(), run.end, end, false);
        self.parts.counters.taken(taken, (end - from) as u64 - taken);
        if held > 0 {
            let share = self.parts.account.take(held);
            let holding = Arc::new(Holding::new(Arc::clone(page), from, begin, Some(share)));
            for slot in self.slots.iter_mut().filter(|slot| !slot.picked.is_empty()) {
                slot.queue.push(&holding, Picks::of(&slot.picked), now);
                slot.picked.clear();
            }
        }
        end
    }
}

/// Where a lane joins the ring of a source that can be read once only, when what comes before is gone.
fn join(ring: &Ring, next: &Start) -> u64 {
    if next.position == StartPosition::Latest { ring.tip() } else { ring.base() }
}
