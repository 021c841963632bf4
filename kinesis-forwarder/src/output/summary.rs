//! The table at the end: what became of the records, a line for each subscription.

use kinesis_core::{SubscriptionSummary, Summary};

use super::text::count;

const HEAD: [&str; 7] = ["subscription", "delivered", "filtered", "dead-lettered", "failed", "retried", "unsettled"];

/// The counts of every subscription, in aligned columns.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let rows = summary.subscriptions.iter().map(|(name, counts)| row(name, counts));
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let (name, counts) = row.split_first().expect("there are seven columns");
        text.push_str(&format!("{name:<width$}", width = widths[0]));
        for (cell, width) in counts.iter().zip(&widths[1..]) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push('\n');
    }
    for (name, counts) in &summary.subscriptions {
        if let Some(reason) = &counts.halted {
            text.push_str(&format!("{name} halted: {reason}\n"));
        }
    }
    text
}

fn row(name: &str, counts: &SubscriptionSummary) -> [String; HEAD.len()] {
    [
        name.to_owned(),
        count(counts.delivered),
        count(counts.filtered),
        count(counts.dead_lettered),
        count(counts.skipped),
        count(counts.failed_attempts),
        count(counts.unsettled),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_a_halt_is_explained() {
        let mut summary = Summary::default();
        let counts = summary.subscriptions.entry("http://127.0.0.1:3000/events".into()).or_default();
        counts.delivered = 1234;
        let counts = summary.subscriptions.entry("short".into()).or_default();
        counts.dead_lettered = 7;
        counts.halted = Some("no way".into());
        let expected = "\
subscription                  delivered  filtered  dead-lettered  failed  retried  unsettled
http://127.0.0.1:3000/events      1,234         0              0       0        0          0
short                                 0         0              7       0        0          0
short halted: no way
";
        assert_eq!(table(&summary), expected);
    }
}
