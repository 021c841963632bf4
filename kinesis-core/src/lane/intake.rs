//! Taking in: what a lane lets into its slots, as far as demand and its run ahead of the cursor allow.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Lane, State, slot_of, start};
use crate::feed::Ring;
use crate::record::Page;
use crate::selector::Selector;
use crate::sink::Picks;

impl Lane {
    /// Whether it asks for a record that is not in the ring yet.
    pub(crate) fn wants_more(&self, ring: &Ring) -> bool {
        self.parts.state == State::Running && self.position == ring.tip() && self.demand.open() > 0 && self.may_run_on()
    }

    fn may_run_on(&self) -> bool {
        self.position - self.parts.ledger.mark() < self.subscription().demand.max_ahead as u64
    }

    /// Takes from the ring what was asked for.
    pub(crate) fn take(&mut self, ring: &Ring, now: Instant) {
        while self.parts.state == State::Running && self.demand.open() > 0 && self.may_run_on() {
            let Some(page) = ring.page_at(self.position) else { break };
            let before = self.position;
            self.take_page(page, now);
            if self.position == before {
                break;
            }
        }
        self.flushing |= ring.end().is_some() && self.position == ring.tip();
    }

    fn take_page(&mut self, page: &Arc<Page>, now: Instant) {
        let mut from = (self.position - page.first()) as usize;
        if self.skipping {
            let had = start::already_had(self.parts.start.position, &page.records()[from..]);
            from += had;
            self.skipping = from == page.records().len();
            self.position = page.first() + from as u64;
            self.parts.ledger.pass(page, self.position);
        }
        let furthest = self.parts.ledger.mark() + self.subscription().demand.max_ahead as u64;
        let to = page.records().len().min(furthest.saturating_sub(page.first()) as usize);
        if from >= to {
            return;
        }
        match &Arc::clone(&self.parts.subscription).selector {
            Selector::All => self.admit(page, (from..to).map(|index| index as u32), to, now),
            Selector::Only(channels) => {
                let mut chosen: Vec<u32> = Vec::new();
                for channel in channels {
                    let of_channel = page.of_channel(channel);
                    let within = of_channel.partition_point(|index| (*index as usize) < from)
                        ..of_channel.partition_point(|index| (*index as usize) < to);
                    chosen.extend_from_slice(&of_channel[within]);
                }
                chosen.sort_unstable();
                self.admit(page, chosen.into_iter(), to, now);
            }
        }
    }

    /// Lets in what demand allows of `chosen`; with all of them in, everything up to `to` has been looked at.
    fn admit(&mut self, page: &Arc<Page>, chosen: impl Iterator<Item = u32>, to: usize, now: Instant) {
        let (first, from) = (page.first(), (self.position - page.first()) as u32);
        let mut picked: Vec<Vec<u32>> = vec![Vec::new(); self.slots.len()];
        let hashes = (self.slots.len() > 1).then(|| page.key_hashes());
        let (mut reached, mut taken) = (from, 0u64);
        let mut stopped = false;
        for index in chosen {
            let size = page.size(index as usize);
            if !self.demand.admits(size) {
                stopped = true;
                self.parts.ledger.pass(page, first + u64::from(index));
                reached = index;
                break;
            }
            self.demand.emit(size);
            // The high bits spread evenly over any number of slots.
            let slot = hashes.map_or(0, |hashes| slot_of(hashes[index as usize], self.slots.len()));
            picked[slot].push(index);
            if index > reached {
                self.parts.ledger.pass(page, first + u64::from(index));
            }
            reached = index + 1;
            taken += 1;
            self.parts.ledger.enter(page, first + u64::from(reached));
        }
        if !stopped {
            self.parts.ledger.pass(page, first + to as u64);
            reached = to as u32;
        }
        self.position = first + u64::from(reached);
        self.parts.counters.taken(taken, u64::from(reached - from) - taken);
        for (slot, indices) in self.slots.iter_mut().zip(picked) {
            if !indices.is_empty() {
                slot.queue.push(page, Picks::of(indices), now);
            }
        }
    }
}
