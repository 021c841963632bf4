//! Delivering one batch that is in hand already, without a stream to follow: for a function that is called with records,
//! or a test.
//!
//! Everything about a delivery is as in a pipeline, because the same lanes do it; what is missing is the reading, the
//! leases and the cursors. Whoever calls keeps account of what is [left](Fate::Left).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::budget::{Account, Budget};
use crate::deliver::{Report, Settled};
use crate::error::{Error, Result};
use crate::feed::Start;
use crate::lane::{Lane, LaneParts, LaneReport, Ledger, State, terms};
use crate::lease::{Cursor, CursorPosition};
use crate::observe::{Observer, Silent};
use crate::pipeline::{Subscription, check};
use crate::record::{Page, Record};
use crate::selector::ChannelFrom;
use crate::shard::{ShardKey, StartPosition};
use crate::sink::{Origin, SubscriptionName};
use crate::source::SourceCaps;

/// Delivers batches that are in hand to subscriptions.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// use std::time::Duration;
/// use kinesis_core::{Deliverer, Record, SequenceNumber, ShardId, ShardKey, StreamId, Subscription, handler};
///
/// let audit = handler(|record| async move { println!("{:?}", record.data) });
/// let deliverer = Deliverer::new([Subscription::new("audit", audit)])?;
/// let shard = ShardKey::new(&StreamId::new("orders"), &ShardId::from("shardId-000000000000"));
/// let records = vec![Record::new(SequenceNumber::from(7), "customer-1", "hello")];
/// let settlement = deliverer.deliver_until(&shard, records, tokio::time::sleep(Duration::from_secs(10))).await?;
/// assert_eq!(settlement.first_left(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Deliverer {
    subscriptions: Vec<Arc<Subscription>>,
    channel_from: ChannelFrom,
    observer: Arc<dyn Observer>,
}

/// What became of one record for one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The sink took it.
    Delivered,
    /// It is where [dead letters](crate::OnReject::DeadLetter) go.
    DeadLettered,
    /// It was rejected, and [passed over](crate::OnReject::Skip).
    Skipped,
    /// It is of a channel that the subscription does not take.
    Filtered,
    /// It was settled before, as [`deliver_rest_until`](Deliverer::deliver_rest_until) was told.
    SettledBefore,
    /// It is not settled: it was not tried, or not with success, or nobody knows, because time was up before the sink had
    /// answered. It has to be delivered again.
    Left,
}

impl Fate {
    /// Whether the record is done for good.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Left)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settlement {
    /// For each subscription.
    pub subscriptions: BTreeMap<SubscriptionName, SubscriptionSettlement>,
}

impl Settlement {
    /// The place in the batch of the first record that is not settled for every subscription; `None` when all are.
    #[must_use]
    pub fn first_left(&self) -> Option<usize> {
        self.subscriptions.values().filter_map(SubscriptionSettlement::first_left).min()
    }
}

/// What became of a batch for one subscription.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionSettlement {
    /// One a record, in the order of the batch.
    pub fates: Vec<Fate>,
    /// Why the subscription stopped at a record that it [may not pass over](crate::OnReject::Halt), where it did. The next
    /// batch finds it running again.
    pub halted: Option<String>,
    /// What the last attempt came to that failed, where one did.
    pub last_failure: Option<String>,
}

impl SubscriptionSettlement {
    /// The place in the batch of the first record that is not settled; `None` when all are.
    #[must_use]
    pub fn first_left(&self) -> Option<usize> {
        self.fates.iter().position(|fate| !fate.is_settled())
    }
}

impl Deliverer {
    /// Delivers to these subscriptions. Where they start, and what they do about gaps, counts for nothing: there is no
    /// stream to read.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when there is none, when two have the same name, or when one cannot work;
    /// it names the field, its value and the way out.
    pub fn new(subscriptions: impl IntoIterator<Item = Subscription>) -> Result<Self> {
        let subscriptions: Vec<_> = subscriptions.into_iter().map(Arc::new).collect();
        if subscriptions.is_empty() {
            return Err(Error::invalid("there is no subscription to deliver to; give at least one"));
        }
        let caps = SourceCaps { timestamps: true, ..SourceCaps::default() };
        let mut names = BTreeSet::new();
        for subscription in &subscriptions {
            check(subscription, usize::MAX, caps)?;
            if !names.insert(&subscription.name) {
                let name = &subscription.name;
                return Err(Error::invalid(format!("two subscriptions are named {name:?}; names must differ")));
            }
        }
        Ok(Self { subscriptions, channel_from: ChannelFrom::default(), observer: Arc::new(Silent) })
    }

    /// How a record's channel is found. Default: the partition key.
    #[must_use]
    pub fn channel_from(mut self, from: ChannelFrom) -> Self {
        self.channel_from = from;
        self
    }

    /// Is told what happens. Default: nobody.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Delivers `records`, in shard order, to every subscription at the same time, until all are settled or `until` is
    /// ready. None waits for another: one that hangs costs the others nothing but the wait for the end.
    ///
    /// Order, batching, retries and rejections are those of each subscription. What waits for another attempt when `until`
    /// is ready is left; so is what is with a sink, whose call is dropped there.
    ///
    /// # Errors
    ///
    /// [`Contract`](crate::ErrorKind::Contract) when a delivery panicked outside its sink, in an observer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every call of a sink; what has become of the records is not known.
    pub async fn deliver_until(
        &self,
        shard: &ShardKey,
        records: Vec<Record>,
        until: impl Future<Output = ()> + Send,
    ) -> Result<Settlement> {
        self.deliver_rest_until(shard, records, |_, _| false, until).await
    }

    /// As [`deliver_until`](Self::deliver_until), for a batch that comes again: what a subscription has settled already, as
    /// `is_settled` says, it is spared.
    ///
    /// # Errors
    ///
    /// As [`deliver_until`](Self::deliver_until).
    ///
    /// # Cancel safety
    ///
    /// As [`deliver_until`](Self::deliver_until).
    pub async fn deliver_rest_until(
        &self,
        shard: &ShardKey,
        records: Vec<Record>,
        is_settled: impl Fn(&SubscriptionName, &Record) -> bool + Send,
        until: impl Future<Output = ()> + Send,
    ) -> Result<Settlement> {
        let (send, mut reports) = mpsc::unbounded_channel();
        let mut round = Round::new(self, shard, &records, &is_settled, &send);
        drop(is_settled);
        let mut until = pin!(until);
        loop {
            let next = round.go_on(Instant::now())?;
            if round.is_done() {
                break;
            }
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut until => {
                    round.take_in(&mut reports);
                    break;
                }
                report = reports.recv() => {
                    round.on_report(report.expect("the round holds a sender"));
                    round.take_in(&mut reports);
                }
                () = due => {}
            }
        }
        Ok(round.settlement())
    }
}

/// One batch on its way.
struct Round {
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
    fn new(
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
    fn go_on(&mut self, now: Instant) -> Result<Option<Instant>> {
        let mut next: Option<Instant> = None;
        for Run { lane, page, .. } in &mut self.runs {
            lane.reap()?;
            lane.take_in_hand(page, now);
            let due = lane.send_off(now);
            next = next.into_iter().chain(due).min();
        }
        Ok(next)
    }

    fn is_done(&self) -> bool {
        self.runs.iter().all(|run| run.lane.is_done_with(&run.page))
    }

    /// Takes in what is reported by now.
    fn take_in(&mut self, reports: &mut mpsc::UnboundedReceiver<LaneReport>) {
        while let Ok(report) = reports.try_recv() {
            self.on_report(report);
        }
    }

    fn on_report(&mut self, (id, run, report): LaneReport) {
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

    fn settlement(self) -> Settlement {
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

#[cfg(test)]
mod tests;
