//! What subscribers have had of a batch that Lambda will bring again: a subscriber that is down must not be the reason why
//! the others get the same records a hundred times.
//!
//! It lasts as long as the process. Where Lambda calls another one, or this one was ended, records come twice: at least once
//! is what is promised.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kinesis_core::{Fate, SequenceNumber, Settlement, ShardKey, SubscriptionName};

use super::refused::Refusal;

/// How many records are kept in mind, all subscriptions and shards together: some megabytes. The shard that was called
/// about last is kept whatever it has.
const MOST: usize = 100_000;

/// What each subscription has settled of the last batch of a shard, from the first record on that will come again.
type Settled = BTreeMap<SubscriptionName, BTreeSet<SequenceNumber>>;

/// What subscriptions have settled of batches that will come again; the batch of the last call comes last.
#[derive(Debug, Default)]
pub(super) struct Had(VecDeque<(ShardKey, Settled)>);

impl Had {
    /// Takes out what is known of a shard.
    pub(super) fn take(&mut self, shard: &ShardKey) -> Settled {
        let place = self.0.iter().position(|(known, _)| known == shard);
        place.and_then(|place| self.0.remove(place)).map(|(_, settled)| settled).unwrap_or_default()
    }

    /// Keeps what was settled from `lowest` on.
    pub(super) fn keep(
        &mut self,
        shard: ShardKey,
        lowest: SequenceNumber,
        numbers: &[SequenceNumber],
        settlement: &Settlement,
        refused: &[Refusal],
    ) {
        // Lambda brings stored records, whole aggregates.
        let from = numbers.partition_point(|number| number.without_sub() < lowest.without_sub());
        let settled = settlement.subscriptions.iter().map(|(name, of)| {
            let records = numbers.iter().zip(&of.fates).skip(from);
            let settled = records.filter(|(_, fate)| fate.is_settled() && **fate != Fate::Filtered);
            let mut settled: BTreeSet<_> = settled.map(|(number, _)| *number).collect();
            for refusal in refused.iter().filter(|refusal| refusal.subscription == *name) {
                settled.remove(&refusal.number);
            }
            (name.clone(), settled)
        });
        self.0.push_back((shard, settled.collect()));
        while self.len() > MOST && self.0.len() > 1 {
            self.0.pop_front();
        }
    }

    fn len(&self) -> usize {
        self.0.iter().flat_map(|(_, settled)| settled.values()).map(BTreeSet::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::{Deliverer, Outcome, Record, ShardId, StreamId, Subscription, handler};

    fn shard(n: usize) -> ShardKey {
        ShardKey::new(&StreamId::new("s"), &ShardId::from(format!("shard-{n}")))
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_again_is_kept_of_as_many_shards_as_there_is_room_for() {
        let sink = handler(|_| async { Outcome::Delivered });
        let deliverer = Deliverer::new([Subscription::new("a", sink)]).unwrap();
        let numbers: Vec<SequenceNumber> = (0..MOST as u64 / 2).map(SequenceNumber::from).collect();
        let records = numbers.iter().map(|number| Record::new(*number, "k", "")).collect();
        let settlement = deliverer.deliver_until(&shard(0), records, std::future::pending()).await.unwrap();
        let mut had = Had::default();
        for n in 0..4 {
            had.keep(shard(n), 10.into(), &numbers, &settlement, &[]);
            assert!(had.len() <= MOST);
        }
        assert_eq!(had.take(&shard(1)), Settled::new());
        let settled = had.take(&shard(3)).remove("a").unwrap();
        assert_eq!((settled.first(), settled.len()), (Some(&10.into()), numbers.len() - 10));
        assert_eq!(had.take(&shard(3)), Settled::new(), "it is taken once");
    }
}
