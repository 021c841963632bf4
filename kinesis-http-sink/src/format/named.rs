//! A record with its id. The digits of a sequence number are dear, and a request says them twice or three times: they are
//! written once.

use std::ops::Deref;

use kinesis_core::{Delivery, Entry, ShardId};

/// A record of a delivery, and what it is called.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    entry: Entry<'a>,
    shard: &'a ShardId,
    id: String,
}

impl<'a> Named<'a> {
    pub(crate) fn of(delivery: &'a Delivery, entry: Entry<'a>) -> Self {
        Self { entry, shard: delivery.shard(), id: entry.id() }
    }

    pub(crate) fn shard(&self) -> &'a ShardId {
        self.shard
    }

    /// `<shard>:<sequence number>[:<sub-number>]`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The digits of the sequence number, without its sub-number.
    pub(crate) fn digits(&self) -> &str {
        let number = &self.id[self.shard.len() + 1..];
        number.split_once(':').map_or(number, |(digits, _)| digits)
    }
}

impl<'a> Deref for Named<'a> {
    type Target = Entry<'a>;

    fn deref(&self) -> &Entry<'a> {
        &self.entry
    }
}

#[cfg(test)]
mod tests {
    use kinesis_core::{Record, SequenceNumber, StreamId};

    use super::*;

    #[test]
    fn the_digits_are_those_of_the_number_whatever_its_shard_is_called() {
        let number: SequenceNumber = "49569625073747986051284015760176917265900404709609439234".parse().unwrap();
        for shard in ["shardId-000000000000", "", "a:b", "über:"] {
            for number in [SequenceNumber::ZERO, number, number.with_sub(17)] {
                let records = vec![Record::new(number, "key", "data")];
                let delivery = Delivery::new(StreamId::new("orders"), shard, "audit", records);
                let named = Named::of(&delivery, delivery.iter().next().unwrap());
                assert_eq!(named.digits(), number.without_sub().to_string(), "{shard:?} {number}");
            }
        }
    }
}
