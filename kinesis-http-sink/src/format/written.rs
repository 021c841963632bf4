//! What several sinks of one format have sent lately, so that none of them writes it again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kinesis_core::{Channel, Delivery, Entry, Record, SequenceNumber, ShardId, StreamId};

use super::Message;

/// So much is kept at most, in bytes of records and of what was written of them. Sinks that keep step send the same few
/// records; what lies further apart is written again.
const MOST_BYTES: usize = 16 << 20;
/// And so many records.
const MOST_RECORDS: usize = 4096;

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    messages: HashMap<(ShardId, SequenceNumber), One>,
    bytes: usize,
}

/// A message, and all that it was written from: a number alone does not say what it stands for.
#[derive(Debug)]
struct One {
    stream: StreamId,
    channel: Channel,
    record: Record,
    message: Message,
}

impl One {
    fn is_of(&self, delivery: &Delivery, entry: &Entry<'_>) -> bool {
        self.record == *entry.record() && *self.channel == *entry.channel() && self.stream == *delivery.stream()
    }
}

impl Written {
    /// The message of a record, written by `write` if it is not there.
    pub(super) fn get_or(&self, delivery: &Delivery, entry: &Entry<'_>, write: impl FnOnce() -> Message) -> Message {
        let key = (delivery.shard().clone(), entry.sequence_number);
        if let Some(one) = self.kept().messages.get(&key).filter(|one| one.is_of(delivery, entry)) {
            return one.message.clone();
        }
        // Without the lock: two may write the same, but nobody waits for who writes much.
        let message = write();
        let bytes = entry.record().size() + message.body.len();
        let mut kept = self.kept();
        if kept.bytes + bytes > MOST_BYTES || kept.messages.len() == MOST_RECORDS {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        let (stream, channel) = (delivery.stream().clone(), entry.channel().into());
        kept.messages.insert(key, One { stream, channel, record: entry.record().clone(), message: message.clone() });
        message
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What is kept is whole at any time, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Named};
    use super::*;

    fn delivery(data: &str) -> Delivery {
        let record = Record::new(SequenceNumber::from(7), "key", data.to_owned());
        Delivery::new(StreamId::new("orders"), "shardId-0", "audit", vec![record])
    }

    fn only(delivery: &Delivery) -> Named<'_> {
        Named::of(delivery, delivery.iter().next().unwrap())
    }

    #[test]
    fn a_record_is_written_once_for_all_sinks_of_a_format() {
        let (one, other) = (Format::original(), Format::original());
        let delivery = delivery("text");
        let record = only(&delivery);
        let (first, second) = (one.message(&delivery, &record).body, other.message(&delivery, &record).body);
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn the_same_number_of_another_record_is_another_message() {
        let (format, _shared) = (Format::original(), Format::original());
        let body = |delivery: &Delivery| format.message(delivery, &only(delivery)).body;
        assert!(body(&delivery("one")) != body(&delivery("two")));
        assert_eq!(body(&delivery("one")), body(&delivery("one")));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let written = Written::default();
        let large = delivery(&"x".repeat(MOST_BYTES));
        for delivery in [&delivery("small"), &large, &large] {
            let entry = delivery.iter().next().unwrap();
            written.get_or(delivery, &entry, || Message::of(entry.data.clone()));
        }
        assert_eq!(written.kept().messages.len(), 1);
    }
}
