//! What a subscriber got of a made-up file: whether it is whole, in order, and what was sent.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A file of so many records, of so many keys in turn.
#[derive(Debug, Clone, Copy)]
pub struct MadeUp {
    /// How many records.
    pub records: usize,
    /// How many keys.
    pub keys: usize,
}

impl MadeUp {
    /// The file, one record a line.
    #[must_use]
    pub fn file(&self) -> String {
        (0..self.records).fold(String::new(), |mut file, n| {
            let line = json!({ "partitionKey": self.key(n), "data": Self::data(n) });
            writeln!(file, "{line}").expect("a string takes every write");
            file
        })
    }

    /// The key of a record.
    #[must_use]
    pub fn key(&self, n: usize) -> String {
        format!("key-{}", n % self.keys)
    }

    /// The payload of a record: its number, and text that only it has.
    #[must_use]
    pub fn data(n: usize) -> String {
        let own = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{n} {own:016x}{}", "x".repeat(n % 150))
    }
}

/// What a subscriber got.
#[derive(Debug)]
pub struct Ledger {
    made_up: MadeUp,
    /// The next record of each key that was never delivered.
    next: Vec<usize>,
    repeats: usize,
    /// The least record since the sender began anew.
    least: Option<usize>,
    violations: Vec<String>,
}

impl Ledger {
    /// Nothing of the file.
    #[must_use]
    pub fn new(made_up: MadeUp) -> Self {
        Self { next: (0..made_up.keys).collect(), made_up, repeats: 0, least: None, violations: Vec::new() }
    }

    /// Takes an event in, as it was posted.
    pub fn take(&mut self, body: &[u8]) {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let data = event["data"].as_str().unwrap_or_default();
        let number = data.split(' ').next().and_then(|number| number.parse::<usize>().ok());
        let whole = |n: &usize| {
            *n < self.made_up.records && data == MadeUp::data(*n) && event["channel"] == self.made_up.key(*n).as_str()
        };
        let Some(n) = number.filter(whole) else {
            self.violations.push(format!("nobody sent this: {}", String::from_utf8_lossy(body)));
            return;
        };
        self.least = Some(self.least.map_or(n, |least| least.min(n)));
        let next = &mut self.next[n % self.made_up.keys];
        match n.cmp(next) {
            std::cmp::Ordering::Less => self.repeats += 1,
            std::cmp::Ordering::Equal => *next += self.made_up.keys,
            std::cmp::Ordering::Greater => self.violations.push(format!("record {n} came before record {next}")),
        }
    }

    /// The sender begins anew. Answers with the least record that came since it did so before.
    pub fn begin(&mut self) -> Option<usize> {
        self.least.take()
    }

    /// How many different records came.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.next.iter().map(|next| next / self.made_up.keys).sum()
    }

    /// How many came again.
    #[must_use]
    pub fn repeats(&self) -> usize {
        self.repeats
    }

    /// What is wrong; at the end, what is missing too.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.violations_of(self.made_up.records)
    }

    /// What is wrong, and what is missing of the first so many records: there were no more in the end.
    #[must_use]
    pub fn violations_of(&self, records: usize) -> Vec<String> {
        let missing = self.next.iter().filter(|next| **next < records);
        let missing = missing.map(|next| format!("record {next} is missing"));
        self.violations.iter().cloned().chain(missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_UP: MadeUp = MadeUp { records: 6, keys: 2 };

    fn event(n: usize) -> Vec<u8> {
        json!({ "channel": MADE_UP.key(n), "sequenceNumber": "1", "data": MadeUp::data(n) }).to_string().into_bytes()
    }

    fn after(events: &[usize]) -> Ledger {
        let mut ledger = Ledger::new(MADE_UP);
        events.iter().for_each(|n| ledger.take(&event(*n)));
        ledger
    }

    #[test]
    fn everything_in_order_with_repeats_is_fine() {
        let ledger = after(&[1, 0, 2, 0, 2, 3, 4, 5, 4]);
        assert_eq!(ledger.violations(), Vec::<String>::new());
        assert_eq!((ledger.delivered(), ledger.repeats()), (6, 3));
        let mut ledger = after(&[1, 0, 2]);
        assert_eq!((ledger.begin(), ledger.begin()), (Some(0), None));
    }

    #[test]
    fn a_loss_a_leap_and_a_stranger_are_noticed() {
        assert_eq!(after(&[0, 1, 2, 3, 4]).violations(), ["record 5 is missing"]);
        assert_eq!(after(&[0, 1, 4, 2, 4, 3, 5]).violations(), ["record 4 came before record 2"]);
        let mut ledger = after(&[0, 1, 2, 3, 4, 5]);
        let mut garbled = event(3);
        let x = garbled.iter().rposition(|byte| *byte == b'x').expect("the payload has one");
        garbled[x] = b'y';
        ledger.take(&garbled);
        assert!(ledger.violations()[0].starts_with("nobody sent this"), "{:?}", ledger.violations());
        ledger.take(&event(4)[..20]);
        assert_eq!(ledger.violations().len(), 2);
    }

    #[test]
    fn a_file_has_a_line_for_each_record() {
        assert_eq!(MADE_UP.file().lines().count(), 6);
    }
}
