//! Giving back: a lane without progress lets its payloads go when others need the memory, and reads them again later.
//!
//! What is with the sink stays there. Everything else is remembered by offset, with what it has been through, so that no
//! record gets more attempts or a longer life than without this.

use std::sync::Arc;

use tokio::time::Instant;

use super::Lane;
use crate::broken::{self, Part};
use crate::deliver::{History, Holds};
use crate::error::{Error, ErrorKind};
use crate::feed::Gap;
use crate::record::{Holding, Page};
use crate::sink::{Delivery, Picks};

/// What a stuck lane may hold without being asked for it, in bytes, as a part of the budget and at most.
pub(crate) const FLOOR: (usize, usize) = (64, 64 << 10);

impl Lane {
    /// Lets go of every payload that is not with the sink, and takes less at a time until something is settled.
    pub(crate) fn give_back(&mut self) {
        let mut back = Vec::new();
        for slot in &mut self.slots {
            let queued = std::mem::take(&mut slot.queue).take_all();
            back.extend(queued.iter().map(|(held, index)| entry(held, *index, true)));
        }
        back.extend(self.held.take_waiting().iter().map(|(held, index)| entry(held, *index as usize, false)));
        for (offset, hash, size, counted) in back {
            if counted {
                self.demand.settle(1, size);
            } else {
                self.demand.settle_aside(size);
            }
            let history = self.histories.remove(&offset);
            if broken::is(Part::GivenBackForgotten) {
                self.parts.ledger.lose(offset);
                continue;
            }
            self.absent.insert(offset, self.order_of(hash, offset), history);
        }
        self.parts.terms.recall.give();
    }

    /// Takes less at a time from now on.
    pub(crate) fn narrow(&mut self, floor: usize) {
        self.demand.narrow(floor);
    }

    /// Takes more at a time again; says whether it takes all it may.
    pub(crate) fn widen(&mut self) -> bool {
        self.demand.widen();
        self.demand.is_wide()
    }

    /// Records came back from a delivery that was called back.
    pub(super) fn on_returned(&mut self, run: u64, delivery: &Delivery, histories: Vec<Option<History>>) {
        let Some((slot, waiting)) = self.leave(run, delivery) else { return };
        let hashes: Vec<u64> = delivery.key_hashes().collect();
        for ((offset, hash), history) in delivery.offsets().zip(&hashes).zip(histories) {
            self.absent.insert(offset, self.order_of(*hash, offset), history);
        }
        self.send_away_behind(slot);
        if waiting && self.parts.terms.holds == Holds::Key {
            for hash in hashes {
                // What waited behind it must not overtake it now.
                for (held, index) in self.held.release(hash) {
                    let index = index as usize;
                    self.demand.settle_aside(held.size(index));
                    self.absent.insert(held.offset(index), hash, None);
                }
            }
        }
    }

    /// What has come into a slot's queue since must not go before what is away now.
    fn send_away_behind(&mut self, slot: usize) {
        if self.parts.terms.holds == Holds::Nothing || self.slots[slot].queue.is_empty() {
            return;
        }
        let since = Instant::now();
        for (held, index) in std::mem::take(&mut self.slots[slot].queue).take_all() {
            let (offset, hash, size, _) = entry(&held, index, true);
            let order = self.order_of(hash, offset);
            if self.absent.holds_before(order, offset) {
                self.demand.settle(1, size);
                let history = self.histories.remove(&offset);
                self.absent.insert(offset, order, history);
            } else {
                let index = index as u32;
                self.slots[slot].queue.push(&held, Picks::Run { from: index, to: index + 1 }, since);
            }
        }
    }

    /// What a record keeps its order with: its key, the shard, or nothing but itself.
    pub(super) fn order_of(&self, hash: u64, offset: u64) -> u64 {
        match self.parts.terms.holds {
            Holds::Key => hash,
            Holds::Shard => 0,
            Holds::Nothing => offset,
        }
    }

    /// Turns back to the first record that was given back and may return now, if there is one.
    pub(super) fn turn_back(&mut self, now: Instant) {
        if self.again.is_none()
            && self.absent.may_have(now)
            && let Some(offset) = self.absent.first_to_return(0, now)
        {
            self.go_to(Some(offset));
        }
    }

    /// Goes on at a record that was looked at before, or behind all of them.
    pub(super) fn go_to(&mut self, again: Option<u64>) {
        self.again = again;
        self.skips_to = None;
        self.spot = None;
    }

    /// Takes what may return of a page that was read again, from `from` on; says where it stopped.
    ///
    /// # Errors
    ///
    /// What is gone: records that were given back, and did not come again.
    pub(super) fn take_again(&mut self, page: &Arc<Page>, from: usize, now: Instant) -> Result<usize, Box<Gap>> {
        let mut index = from;
        while index < page.len()
            && let Some(again) = self.again
        {
            let number = page.records()[index].sequence_number;
            let known = self.parts.ledger.last_number().is_some_and(|last| number <= last);
            let offset = if known { self.parts.ledger.offset_of(number) } else { Some(self.parts.ledger.end()) };
            // A record that was passed over unseen, because its channel is another one.
            let Some(offset) = offset else {
                index += 1;
                continue;
            };
            if !self.absent.between(again, offset).is_empty() {
                let to = Some((number, page.records()[index].arrived_at));
                return Err(Box::new(Gap { from: self.parts.ledger.place_of(again), to }));
            }
            if !known {
                self.again = None;
                break;
            }
            if self.absent.may_return(offset, now) && !self.take_back(page, index, offset, now) {
                break;
            }
            self.again = Some(offset + 1);
            index += 1;
        }
        // Nothing more of it may return now, so the rest of the way is not worth reading.
        if let Some(again) = self.again
            && self.absent.first_to_return(again, now).is_none()
        {
            self.go_to(None);
        }
        Ok(index)
    }

    /// Takes a record that was given back, if there is room for it.
    fn take_back(&mut self, page: &Arc<Page>, index: usize, offset: u64, now: Instant) -> bool {
        let size = page.size(index);
        if self.demand.open() == 0 || !self.demand.admits(size) {
            return false;
        }
        if page.footprint(index) > self.parts.account.room() && !self.holds_nothing() {
            self.starved = true;
            self.needs = page.footprint(index);
            return false;
        }
        self.note_taking(now);
        self.needs = 1;
        self.demand.emit(size);
        if let Some(history) = self.absent.take(offset) {
            self.histories.insert(offset, history);
        }
        let hash = page.key_hashes()[index];
        let slot = if self.slots.len() > 1 { self.slot_of(hash) } else { 0 };
        let copy = Arc::new(Holding::copy_of(page, index, offset, &self.parts.account));
        self.slots[slot].queue.push(&copy, Picks::Run { from: 0, to: 1 }, now);
        true
    }

    /// Records that were to be read again are gone from the stream, all before `number`. They are passed over.
    pub(crate) fn jump(&mut self, gap: &Gap) {
        let Some(again) = self.again.map(|again| again.max(self.parts.ledger.mark())) else {
            self.skips_to = Some(gap.left());
            self.spot = None;
            return;
        };
        let end = self.parts.ledger.end();
        let to = match gap.to {
            Some((number, _)) => {
                let is_gone = |offset: &u64| self.parts.ledger.number_of(*offset).is_some_and(|own| own < number);
                (again..end).find(|offset| !is_gone(offset)).unwrap_or(end)
            }
            None => end,
        };
        let gone = self.absent.between(again, to);
        for offset in &gone {
            self.absent.take(*offset);
            self.parts.ledger.lose(*offset);
        }
        self.parts.counters.lost(gone.len() as u64);
        self.again = Some(to);
    }
}

fn entry(held: &Holding, index: usize, counted: bool) -> (u64, u64, usize, bool) {
    (held.offset(index), held.key_hashes()[index], held.size(index), counted)
}

/// The error of a lane whose records were trimmed.
pub(crate) fn trimmed(gap: &Gap) -> Error {
    let to = gap.to.map_or_else(|| "the end of the shard".to_owned(), |(number, _)| format!("record {number}"));
    Error::new(
        ErrorKind::PositionExpired,
        format!(
            "what lay between {} and {to} was trimmed before it was read; seek the subscription to where it shall go on, \
             or let it jump with OnGap::Jump",
            gap.from.position
        ),
    )
}
