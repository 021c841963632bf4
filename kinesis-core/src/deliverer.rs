//! Delivering one batch that is in hand already, without a stream to follow: for a function that is called with records,
//! or a test.
//!
//! Everything about a delivery is as in a pipeline, because the same lanes do it; what is missing is the reading, the
//! leases and the cursors. Whoever calls keeps account of what is [left](Fate::Left).

mod round;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};
use crate::observe::{Observer, Silent};
use crate::pipeline::{Subscription, check};
use crate::record::Record;
use crate::selector::ChannelFrom;
use crate::shard::ShardKey;
use crate::sink::SubscriptionName;
use crate::source::SourceCaps;

use round::Round;

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
        let subscriptions: Vec<Subscription> = subscriptions.into_iter().collect();
        if subscriptions.is_empty() {
            return Err(Error::invalid("there is no subscription to deliver to; give at least one"));
        }
        let caps = SourceCaps { timestamps: true, ..SourceCaps::default() };
        check(&subscriptions, usize::MAX, caps)?;
        let subscriptions = subscriptions.into_iter().map(Arc::new).collect();
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

#[cfg(test)]
mod tests;
