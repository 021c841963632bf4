//! One batch on its way to every subscription: a lane for each, and the account of what became of the records.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Deliverer, Fate, Settlement, SubscriptionSettlement};
use crate::budget::{Account, Budget};
use crate::deliver::{Report, Settled};
use crate::error::Result;
use crate::feed::Start;
use crate::lane::{Lane, LaneParts, LaneReport, Ledger, State, terms};
use crate::lease::{Cursor, CursorPosition};
use crate::pipeline::Subscription;
use crate::record::{Page, Record};
use crate::shard::{ShardKey, StartPosition};
use crate::sink::{Origin, SubscriptionName};

/// One batch on its way.
pub(super) struct Round {
    runs: Vec<Run>,
}

/// The batch on its way to one subscription.
struct Run {
    lane: Lane,
    /// What the subscription is to get, if it takes it.
    page: Arc<Page>,
    /// Where in the batch the records of the page are.
    places: Arc<[usize]>,
    settlement: SubscriptionSettlement,
}

impl Round {
    pub(super) fn new(
        deliverer: &Deliverer,
        shard: &ShardKey,
        records: &[Record],
        is_settled: &dyn Fn(&SubscriptionName, &Record) -> bool,
        reports: &mpsc::UnboundedSender<LaneReport>,
    ) -> Self {
        let page = |places: &[usize]| {
            let records: Vec<Record> = places.iter().map(|place| records[*place].clone()).collect();
            let channels = deliverer.channel_from.channels_of(&records);
            Arc::new(Page::new(records, channels, None, None))
        };
        let all: Arc<[usize]> = (0..records.len()).collect();
        // Most share one page, whose channels and keys are looked at once.
        let whole = page(&all);
        let run = |(id, subscription): (usize, &Arc<Subscription>)| {
            let is_new = |place: &usize| !is_settled(&subscription.name, &records[*place]);
            let new: Arc<[usize]> = all.iter().copied().filter(is_new).collect();
            let (places, page) = if new.len() == all.len() {
                (Arc::clone(&all), Arc::clone(&whole))
            } else {
                let page = page(&new);
                (new, page)
            };
            let mut fates = vec![Fate::SettledBefore; records.len()];
            for (index, place) in places.iter().enumerate() {
                let takes = subscription.selector.takes(page.channel(index));
                fates[*place] = if takes { Fate::Left } else { Fate::Filtered };
            }
            let settlement = SubscriptionSettlement { fates, halted: None, last_failure: None };
            let lane = lane(id, subscription, shard, deliverer, reports);
            Run { lane, page, places, settlement }
        };
        Self { runs: deliverer.subscriptions.iter().enumerate().map(run).collect() }
    }

    /// Sends off what may go now; says when there will be more, whatever is reported.
    pub(super) fn go_on(&mut self, now: Instant) -> Result<Option<Instant>> {
        let mut next: Option<Instant> = None;
        for Run { lane, page, .. } in &mut self.runs {
            lane.reap()?;
            lane.take_in_hand(page, now);
            let due = lane.send_off(now);
            next = next.into_iter().chain(due).min();
        }
        Ok(next)
    }

    pub(super) fn is_done(&self) -> bool {
        self.runs.iter().all(|run| run.lane.is_done_with(&run.page))
    }

    /// Takes in what is reported by now.
    pub(super) fn take_in(&mut self, reports: &mut mpsc::UnboundedReceiver<LaneReport>) {
        while let Ok(report) = reports.try_recv() {
            self.on_report(report);
        }
    }

    pub(super) fn on_report(&mut self, (id, run, report): LaneReport) {
        let Run { lane, places, settlement, .. } = &mut self.runs[id];
        match &report {
            Report::Settled(delivery, how) => {
                let fate = match how {
                    Settled::Delivered => Fate::Delivered,
                    Settled::DeadLettered => Fate::DeadLettered,
                    Settled::Skipped => Fate::Skipped,
                };
                // The lane has looked at nothing but its page: its offsets are the indices there.
                delivery.offsets().for_each(|index| settlement.fates[places[index as usize]] = fate);
            }
            Report::Failed(reason) => settlement.last_failure = Some(reason.clone()),
            Report::Halted(reason) => settlement.halted = Some(reason.clone()),
            Report::Waiting(_) | Report::Returned(..) => {}
        }
        lane.on_report(run, report, Instant::now());
    }

    pub(super) fn settlement(self) -> Settlement {
        let runs = self.runs.into_iter();
        Settlement { subscriptions: runs.map(|run| (run.lane.subscription().name.clone(), run.settlement)).collect() }
    }
}

/// A lane that has read nothing yet. The batch is in memory already: whether it may be was for others to say.
fn lane(
    id: usize,
    subscription: &Arc<Subscription>,
    shard: &ShardKey,
    deliverer: &Deliverer,
    reports: &mpsc::UnboundedSender<LaneReport>,
) -> Lane {
    let start = StartPosition::TrimHorizon;
    Lane::new(LaneParts {
        id,
        subscription: Arc::clone(subscription),
        origin: Arc::new(Origin {
            stream: shard.stream.clone(),
            shard: shard.shard.clone(),
            subscription: subscription.name.clone(),
        }),
        terms: Arc::new(terms(subscription, Arc::clone(&deliverer.observer), fastrand::u64(..))),
        counters: Arc::default(),
        account: Account::new(&Budget::new(usize::MAX), usize::MAX),
        generation: 0,
        ledger: Ledger::new(Cursor::new(0, CursorPosition::Next(start)), Start::new(start, None)),
        state: State::Running,
        paused: false,
        reports: reports.clone(),
    })
}
