//! A whole delivery in one request, and the reply that may name those of its records that failed.

use std::collections::HashSet;

use kinesis_core::{Delivery, Error, Outcome, Outcomes, Result};
use serde_json::Value;

use super::{BEHIND, HttpSink};
use crate::reply::{self, Said};

/// The member of a reply that names what failed.
const FAILURES: &str = "batchItemFailures";

impl HttpSink {
    /// Posts a delivery. What is refused as a whole is an error while it is more than one record: the pipeline halves it
    /// then, until the one that is refused stands alone.
    pub(super) async fn post_batch(&self, delivery: &Delivery) -> Result<Outcomes> {
        let id = delivery.id();
        if let Some(wait) = self.refusals.wait(&id) {
            return Ok(Outcomes::all(delivery.len(), Outcome::busy(Some(wait))));
        }
        let posted = self.post(&id, &self.format.batch(delivery), delivery.len()).await?;
        match posted.outcome {
            Outcome::Delivered => {
                let outcomes = outcomes(delivery, &posted.said, self.format.fails_all_behind());
                if outcomes.is_ok() {
                    self.refusals.delivered(&id);
                }
                outcomes.map_err(|why| Error::transient(format!("{} took the batch, but {why}", self.endpoint)))
            }
            Outcome::Rejected { reason } if delivery.len() > 1 => {
                Err(Error::transient(format!("{reason}; its {} records are tried in halves", delivery.len())))
            }
            outcome if delivery.len() == 1 => Ok(Outcomes::all(1, self.settled(&id, outcome))),
            outcome => Ok(Outcomes::all(delivery.len(), outcome)),
        }
    }
}

/// What a reply that is a success says of each record. Those that it names are to be tried again, and with them what is
/// behind them in their key, or behind all of them; what is behind is not charged for it. Where none was taken, or it cannot
/// be told which, all of it is to be tried again, as Lambda has it: then it is an error, which says why.
fn outcomes(delivery: &Delivery, said: &Said, fails_all_behind: bool) -> Result<Outcomes, String> {
    let mut named = named(said)?;
    if named.is_empty() {
        return Ok(Outcomes::delivered(delivery.len()));
    }
    let mut held_keys = HashSet::new();
    let mut outcomes = Outcomes::delivered(delivery.len());
    for (nth, entry) in delivery.iter().enumerate() {
        // Either may be named, or both.
        let number = entry.sequence_number;
        let mut failed = named.remove(&entry.id()) | named.remove(&number.to_string());
        // A Lambda event says the number of the aggregate: from its first record on, to be sure.
        failed |= fails_all_behind && named.remove(&number.without_sub().to_string());
        let key = entry.record().partition_key.as_str();
        let is_behind = if fails_all_behind { !held_keys.is_empty() } else { held_keys.contains(key) };
        if failed || is_behind {
            outcomes.mark(nth, if is_behind { BEHIND } else { Outcome::Retry });
            held_keys.insert(key);
        }
    }
    if let Some(name) = named.iter().next() {
        return Err(format!("its {FAILURES} name what was not in it{}", reply::excerpt(name.as_bytes())));
    }
    // The first of them may be named for another one: an error has them halved until the one that fails stands alone.
    if outcomes.iter().all(|outcome| *outcome != Outcome::Delivered) {
        return Err(format!("its {FAILURES} leave none of its {} records delivered", delivery.len()));
    }
    Ok(outcomes)
}

/// What a reply names: ids of records, or their sequence numbers.
fn named(said: &Said) -> Result<HashSet<String>, String> {
    if said.is_cut {
        // Only an object has members.
        return match said.text.trim_ascii_start().first() {
            Some(b'{') | None => Err("its reply was longer than the cap and not read to its end".to_owned()),
            Some(_) => Ok(HashSet::new()),
        };
    }
    let is_named = || said.text.windows(FAILURES.len()).any(|text| text == FAILURES.as_bytes());
    let names = match serde_json::from_slice::<Value>(&said.text) {
        Ok(reply) => match reply.get(FAILURES) {
            None | Some(Value::Null) => Some(HashSet::new()),
            Some(Value::Array(failures)) => failures.iter().map(name).collect(),
            Some(_) => None,
        },
        Err(_) if is_named() => None,
        Err(_) => Some(HashSet::new()),
    };
    names.ok_or_else(|| format!("its {FAILURES} is not understood{}", reply::excerpt(&said.text)))
}

fn name(failure: &Value) -> Option<String> {
    failure.get("itemIdentifier")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use kinesis_core::{Record, SequenceNumber, StreamId};

    use super::*;

    /// Which records of four, of the keys a, b, a and b, are delivered after a reply.
    fn delivered(said: &str, fails_all_behind: bool) -> Vec<usize> {
        let record = |nth: u64| Record::new(SequenceNumber::from(nth), ["a", "b"][nth as usize % 2], "data");
        let delivery = Delivery::new(StreamId::new("orders"), "shardId-0", "audit", (0..4).map(record).collect());
        let said = Said { text: said.as_bytes().to_vec(), is_cut: false };
        let Ok(outcomes) = outcomes(&delivery, &said, fails_all_behind) else { return Vec::new() };
        (0..4).filter(|nth| outcomes.get(*nth) == Some(&Outcome::Delivered)).collect()
    }

    fn naming(numbers: &[&str]) -> String {
        let items: Vec<_> = numbers.iter().map(|number| serde_json::json!({ "itemIdentifier": number })).collect();
        serde_json::json!({ "batchItemFailures": items }).to_string()
    }

    #[test]
    fn a_reply_that_names_nothing_is_a_success() {
        for said in ["", "fine", "[]", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
            assert_eq!(delivered(said, false), [0, 1, 2, 3], "{said}");
        }
    }

    #[test]
    fn what_is_named_fails_and_what_is_behind_it_in_its_key() {
        assert_eq!(delivered(&naming(&["0"]), false), [1, 3]);
        assert_eq!(delivered(&naming(&["shardId-0:1", "2"]), false), [0]);
        assert_eq!(delivered(&naming(&["3", "3"]), false), [0, 1, 2]);
    }

    #[test]
    fn of_a_lambda_event_all_behind_the_lowest_fails() {
        assert_eq!(delivered(&naming(&["3", "1"]), true), [0]);
    }

    /// A Lambda event says the number of an aggregate for each of its records, and a function that named it back was taken to
    /// name what was not sent.
    #[test]
    fn of_a_lambda_event_the_number_of_an_aggregate_is_its_first_record() {
        let record = |(number, sub): (u64, u64)| Record::new(SequenceNumber::from(number).with_sub(sub), "key", "data");
        let records = [(1, 0), (2, 3), (2, 4), (3, 0)].map(record).to_vec();
        let delivery = Delivery::new(StreamId::new("orders"), "shardId-0", "audit", records);
        for (name, delivered) in [("2", 1), ("shardId-0:2:4", 2), ("3", 3)] {
            let said = Said { text: naming(&[name]).into_bytes(), is_cut: false };
            let outcomes = outcomes(&delivery, &said, true).unwrap();
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Delivered).count(), delivered, "{name}");
            assert_eq!(outcomes.get(delivered), Some(&Outcome::Retry));
        }
    }

    #[test]
    fn what_was_not_sent_leaves_nothing_certain() {
        assert!(delivered(&naming(&["3", "9"]), false).is_empty());
        assert!(delivered(r#"{"batchItemFailures":[{}]}"#, false).is_empty());
    }
}
