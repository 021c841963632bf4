//! Every write on a lease table, seen on its way: whether each came from the worker that held the lease then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

/// The attributes by which a write is judged, as `DynamoLeaseStore` and the KCL name them.
const KEY: &str = "leaseKey";
const OWNER: &str = "leaseOwner";
const COUNTER: &str = "leaseCounter";
const NONCE: &str = "nonce";
const WANTED_BY: &str = "wantedBy";

/// A write that a worker sent, and what the server made of it.
#[derive(Debug)]
pub struct Write<'a> {
    /// When it was sent on to the server. Writes are sent one after the other.
    pub at: Instant,
    /// Who sent it, by its connection: what the row says of its owner is not believed.
    pub worker: usize,
    /// As `UpdateItem`.
    pub operation: &'a str,
    /// The body.
    pub request: &'a Value,
    /// The body of the reply, where the server did it.
    pub reply: Result<&'a Value, &'a Value>,
}

/// What is known of a lease.
#[derive(Debug)]
struct Row {
    item: Map<String, Value>,
    /// Who claimed it last and has not let it go.
    holder: Option<usize>,
    /// When the holder wrote last.
    written: Instant,
}

/// The writes on one lease table, and what is wrong with them.
///
/// A worker is fenced when another one has claimed its lease, or when it has let the lease go: it may not change it any more.
#[derive(Debug)]
pub struct LeaseLog {
    table: String,
    failover: Duration,
    rows: BTreeMap<String, Row>,
    /// The name under which each worker claims.
    names: BTreeMap<usize, String>,
    accepted: usize,
    refused: BTreeMap<usize, usize>,
    violations: Vec<String>,
}

impl LeaseLog {
    /// Nothing is written yet on this table. Its workers may take a lease from one that has not written for `failover`.
    #[must_use]
    pub fn new(table: impl Into<String>, failover: Duration) -> Self {
        Self {
            table: table.into(),
            failover,
            rows: BTreeMap::new(),
            names: BTreeMap::new(),
            accepted: 0,
            refused: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Takes a write in; one on another table is none of its business.
    pub fn take(&mut self, write: &Write<'_>) {
        let (worker, request) = (write.worker, write.request);
        if request["TableName"] != self.table.as_str() {
            return;
        }
        let key = request["Key"][KEY]["S"].as_str().or(request["Item"][KEY]["S"].as_str()).unwrap_or_default();
        let reply = match write.reply {
            Ok(reply) => reply,
            Err(refusal) => {
                let refusal = refusal["__type"].as_str().unwrap_or_default();
                if refusal.ends_with("ConditionalCheckFailedException") {
                    *self.refused.entry(worker).or_default() += 1;
                }
                return;
            }
        };
        self.accepted += 1;
        let wrong = match write.operation {
            "PutItem" => self.created(key, request["Item"].as_object(), write.at),
            "UpdateItem" => self.updated(key, reply["Attributes"].as_object(), write),
            "DeleteItem" => match self.rows.remove(key).and_then(|row| row.holder) {
                Some(holder) if holder != worker => Some(format!("removed it while worker {holder} held it")),
                _ => None,
            },
            other => Some(format!("wrote it by {other}, which nobody judges")),
        };
        self.violations.extend(wrong.map(|wrong| format!("lease {key}: worker {worker} {wrong}")));
    }

    fn created(&mut self, key: &str, item: Option<&Map<String, Value>>, at: Instant) -> Option<String> {
        let row = Row { item: item.cloned().unwrap_or_default(), holder: None, written: at };
        self.rows.insert(key.to_owned(), row).map(|_| "put it anew where it was".to_owned())
    }

    fn updated(&mut self, key: &str, item: Option<&Map<String, Value>>, write: &Write<'_>) -> Option<String> {
        let (Some(row), Some(item)) = (self.rows.get_mut(key), item) else {
            return Some("updated it before it was there".to_owned());
        };
        let before = std::mem::replace(&mut row.item, item.clone());
        let names = before.keys().chain(item.keys());
        if names.into_iter().all(|name| name == WANTED_BY || before.get(name) == item.get(name)) {
            // Asking for a lease is everybody's right.
            return None;
        }
        if number(item) != number(&before) + 1 {
            return Some(format!("took its counter from {} to {}", number(&before), number(item)));
        }
        let claims = item.contains_key(NONCE) && item.get(NONCE) != before.get(NONCE);
        let holder = row.holder;
        let since = write.at.duration_since(row.written);
        (row.holder, row.written) = match item.contains_key(NONCE) {
            true => (Some(write.worker), write.at),
            false => (None, write.at),
        };
        match holder {
            Some(holder) if claims && holder != write.worker && since < self.failover => {
                Some(format!("took it from worker {holder}, which had written {since:?} before"))
            }
            _ if claims => self.names_itself(item, write.worker),
            Some(holder) if holder == write.worker => None,
            Some(holder) => Some(format!("wrote it while worker {holder} held it")),
            None => Some("wrote it while nobody held it".to_owned()),
        }
    }

    fn names_itself(&mut self, item: &Map<String, Value>, worker: usize) -> Option<String> {
        let name = item.get(OWNER).and_then(|owner| owner["S"].as_str()).unwrap_or_default();
        let known = self.names.entry(worker).or_insert_with(|| name.to_owned());
        if known != name {
            return Some(format!("claimed it as {name}, and others as {known}"));
        }
        let other = self.names.iter().find(|(other, known)| **other != worker && *known == name);
        other.map(|(other, _)| format!("claimed it by the name of worker {other}"))
    }

    /// The leases that each worker holds.
    #[must_use]
    pub fn held(&self) -> BTreeMap<usize, Vec<String>> {
        let mut held: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (key, row) in &self.rows {
            row.holder.into_iter().for_each(|holder| held.entry(holder).or_default().push(key.clone()));
        }
        held
    }

    /// How many writes were done.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// How many writes of a worker were refused because the lease was not as it knew it.
    #[must_use]
    pub fn refused(&self, worker: usize) -> usize {
        self.refused.get(&worker).copied().unwrap_or_default()
    }

    /// What is wrong.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn number(item: &Map<String, Value>) -> u64 {
    let text = item.get(COUNTER).and_then(|counter| counter["N"].as_str());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FAILOVER: Duration = Duration::from_secs(10);

    /// A table with one lease that nobody holds, and a clock.
    struct Story {
        log: LeaseLog,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let mut story = Self { log: LeaseLog::new("t", FAILOVER), now: Instant::now() };
            let item = json!({ KEY: { "S": "0" }, COUNTER: { "N": "0" } });
            story.send(0, "PutItem", &json!({ "TableName": "t", "Item": item }), Ok(&json!({})));
            story
        }

        fn send(&mut self, worker: usize, operation: &str, request: &Value, reply: Result<&Value, &Value>) {
            self.log.take(&Write { at: self.now, worker, operation, request, reply });
        }

        /// The row after an update: owner, counter, nonce, and who wants it.
        fn update(&mut self, worker: usize, row: (&str, u64, Option<u64>, Option<&str>)) {
            let (owner, counter, nonce, wanted_by) = row;
            let mut item = json!({ KEY: { "S": "0" }, COUNTER: { "N": counter.to_string() } });
            item[OWNER] = json!({ "S": owner });
            nonce.into_iter().for_each(|nonce| item[NONCE] = json!({ "N": nonce.to_string() }));
            wanted_by.into_iter().for_each(|asker| item[WANTED_BY] = json!({ "S": asker }));
            let request = json!({ "TableName": "t", "Key": { KEY: { "S": "0" } } });
            self.send(worker, "UpdateItem", &request, Ok(&json!({ "Attributes": item })));
        }
    }

    #[test]
    fn a_holder_writes_and_is_followed_by_whoever_was_handed_the_lease_or_waited_for_it() {
        let mut story = Story::new();
        story.update(0, ("a", 1, Some(7), None));
        story.update(0, ("a", 2, Some(7), None));
        story.update(1, ("a", 2, Some(7), Some("b")));
        story.update(0, ("b", 3, None, None));
        assert!(story.log.held().is_empty());
        story.update(1, ("b", 4, Some(8), None));
        story.now += FAILOVER;
        story.update(2, ("c", 5, Some(9), None));
        assert_eq!(story.log.held(), BTreeMap::from([(2, vec!["0".to_owned()])]));
        let refused = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException" });
        story.send(1, "UpdateItem", &json!({ "TableName": "t" }), Err(&refused));
        assert_eq!((story.log.refused(1), story.log.refused(2), story.log.accepted()), (1, 0, 7));
        assert_eq!(story.log.violations(), [""; 0]);
    }

    #[test]
    fn a_write_of_one_that_is_fenced_is_noticed() {
        let mut story = Story::new();
        story.update(0, ("a", 1, Some(7), None));
        story.now += FAILOVER;
        story.update(1, ("b", 2, Some(8), None));
        story.update(0, ("b", 3, Some(8), None));
        assert_eq!(story.log.violations(), ["lease 0: worker 0 wrote it while worker 1 held it"]);
        let mut story = Story::new();
        story.update(0, ("a", 1, Some(7), None));
        story.update(0, ("a", 2, None, None));
        story.update(0, ("a", 3, None, None));
        assert_eq!(story.log.violations(), ["lease 0: worker 0 wrote it while nobody held it"]);
    }

    #[test]
    fn a_lease_taken_too_early_or_by_another_name_and_a_leap_are_noticed() {
        let mut story = Story::new();
        story.update(0, ("a", 1, Some(7), None));
        story.now += FAILOVER / 2;
        story.update(1, ("b", 2, Some(8), None));
        story.now += FAILOVER;
        story.update(0, ("b", 3, Some(9), None));
        story.update(0, ("b", 5, Some(9), None));
        let wanted = [
            "lease 0: worker 1 took it from worker 0, which had written 5s before",
            "lease 0: worker 0 claimed it as b, and others as a",
            "lease 0: worker 0 took its counter from 3 to 5",
        ];
        assert_eq!(story.log.violations(), wanted);
    }
}
