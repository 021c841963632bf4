//! Sending off: deliveries leave their slots when they are due, and what became of them comes back.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Lane, Run, State};
use crate::broken::{self, Part};
use crate::deliver::{self, Holds, Report, Settled};
use crate::pipeline::BatchPolicy;
use crate::sink::Delivery;

impl Lane {
    /// Sends off every delivery that is due; returns when the next one will be.
    pub(crate) fn send_off(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        // Nothing more can come before something is settled, and nothing is under way: waiting would fill nothing.
        let stalled = (self.demand.open() == 0 || self.starved) && self.busy == 0;
        let most_busy = self.most_busy();
        for slot in 0..self.slots.len() {
            while self.is_working()
                && (self.slots[slot].running < self.width || broken::is(Part::SlotSendsTwo))
                && self.busy < most_busy
                && let Some(due) = self.slots[slot].queue.due(&self.parts.subscription.batch)
            {
                if due > now && !self.flushing && !stalled {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    break;
                }
                self.send(slot);
            }
        }
        next
    }

    /// How many records may be with the sink at once.
    fn most_busy(&self) -> usize {
        if broken::is(Part::DemandIgnored) { usize::MAX } else { self.parts.subscription.demand.max }
    }

    fn send(&mut self, slot: usize) {
        let most_busy = self.most_busy();
        let Self { held, absent, histories, demand, parts, slots, .. } = self;
        let holds = parts.terms.holds;
        let ordered = match holds {
            Holds::Key => !held.is_empty() || !absent.is_empty(),
            Holds::Shard => !absent.is_empty(),
            Holds::Nothing => false,
        };
        let BatchPolicy { max_records, .. } = parts.subscription.batch;
        // What has been tried before goes alone, because it has a count of its own.
        let most = if histories.is_empty() { max_records } else { 1 };
        let room = most.min(most_busy - self.busy);
        let policy = BatchPolicy { max_records: room, ..parts.subscription.batch };
        let taken = slots[slot].queue.take(&policy, |page, index| {
            if !ordered {
                return false;
            }
            let hash = page.key_hashes()[index];
            let order = if holds == Holds::Key { hash } else { 0 };
            let offset = page.offset(index);
            if absent.holds_before(order, offset) {
                // Something before it was given back meanwhile: it waits for that, away as well.
                absent.insert(offset, order, histories.remove(&offset));
                demand.settle(1, page.size(index));
                return true;
            }
            let kept = holds == Holds::Key && held.keep(hash, page, index);
            if kept {
                demand.put_aside(1);
            }
            kept
        });
        if taken.len == 0 {
            return;
        }
        let delivery = Delivery::of(Arc::clone(&parts.origin), taken.parts);
        let first = delivery.offsets().next();
        // Its time has come, or it would not be here.
        let history = first.and_then(|offset| histories.remove(&offset));
        let history = history.map(|history| deliver::History { due: None, ..history });
        let run = self.next_run;
        self.next_run += 1;
        slots[slot].running += 1;
        self.busy += taken.len;
        self.runs.insert(run, Run { slot, left: taken.len, waiting: false });
        let (terms, reports, lane) = (Arc::clone(&parts.terms), parts.reports.clone(), parts.id);
        self.tasks.spawn(async move {
            // A runner that is gone has let the shard go; nobody waits for the report.
            deliver::deliver(&terms, delivery, history, |report| drop(reports.send((lane, run, report)))).await;
        });
    }

    /// Takes in what became of a delivery.
    pub(crate) fn on_report(&mut self, run: u64, report: Report, now: Instant) {
        if self.parts.state == State::Halted {
            return;
        }
        match report {
            Report::Settled(delivery, how) => self.settle(run, &delivery, how, now),
            Report::Waiting(left) => self.wait(run, &left),
            Report::Failed(reason) => {
                self.parts.counters.failed();
                self.last_failure = Some(reason);
            }
            Report::Returned(delivery, histories) => self.on_returned(run, &delivery, histories),
            Report::Halted(reason) => {
                self.parts.counters.halted(reason);
                self.halt();
            }
        }
    }

    fn settle(&mut self, run: u64, delivery: &Delivery, how: Settled, now: Instant) {
        let Some((_, waiting)) = self.leave(run, delivery) else { return };
        self.parts.ledger.settle(delivery);
        self.parts.counters.settled(how, delivery.len() as u64);
        self.progressed_at = now;
        self.demand.widen();
        if how == Settled::Delivered {
            self.last_failure = None;
        }
        if waiting && self.parts.terms.holds == Holds::Key {
            for key in delivery.key_hashes() {
                let freed = self.held.release(key);
                self.demand.take_back(freed.len());
                for (page, index) in freed.into_iter().rev() {
                    let slot = self.slot_of(page.key_hashes()[index as usize]);
                    self.slots[slot].queue.push_front(page, index, now);
                }
            }
        }
    }

    /// Records leave their run, settled or called back; says which slot that was of, and whether it waited for another
    /// attempt. Nothing, where the run is gone.
    pub(super) fn leave(&mut self, run: u64, delivery: &Delivery) -> Option<(usize, bool)> {
        let entry = self.runs.get_mut(&run)?;
        let (slot, waiting) = (entry.slot, entry.waiting);
        entry.left -= delivery.len();
        if entry.left == 0 {
            self.runs.remove(&run);
            self.slots[slot].running -= usize::from(!waiting);
        }
        if waiting {
            self.demand.settle_aside(delivery.bytes());
        } else {
            self.busy -= delivery.len();
            self.demand.settle(delivery.len(), delivery.bytes());
        }
        Some((slot, waiting))
    }

    /// A delivery failed for the first time. Where order allows it, its slot goes on without it.
    fn wait(&mut self, run: u64, left: &Delivery) {
        let holds = self.parts.terms.holds;
        let Some(entry) = self.runs.get_mut(&run) else { return };
        if holds == Holds::Shard {
            return;
        }
        entry.waiting = true;
        self.slots[entry.slot].running -= 1;
        self.busy -= left.len();
        self.demand.put_aside(left.len());
        if holds == Holds::Key {
            left.key_hashes().for_each(|key| self.held.hold(key));
        }
    }
}
