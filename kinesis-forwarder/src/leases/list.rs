//! The list: every shard with its owner and counter, and where each subscription is.

use kinesis_core::pipeline::stored::position;
use kinesis_core::{CursorPosition, Lease, LeaseStore, Result, StartPosition, StreamId, SubscriptionRecord};
use serde_json::{Value, json};

use crate::cli::Selection;
use crate::input::{is_file, record_of};
use crate::output::{columns, time};

/// What is known of the rows that were asked for.
pub(super) struct View {
    rows: Vec<(Lease, Vec<(SubscriptionRecord, CursorPosition)>)>,
}

impl View {
    pub(super) async fn of(store: &dyn LeaseStore, selection: &Selection) -> Result<Self> {
        let records = store.subscriptions().await?;
        let mut rows = store.list().await?;
        rows.retain(|row| selection.takes(&row.key));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        let with_places = |row: Lease| {
            let of_stream = records.iter().filter(|record| record.stream == row.key.stream && !record.forgotten);
            let places = of_stream.map(|record| (record.clone(), position(record, &row))).collect();
            (row, places)
        };
        Ok(Self { rows: rows.into_iter().map(with_places).collect() })
    }

    pub(super) fn table(&self) -> String {
        let mut lines = vec![["stream", "shard", "owner", "counter", "subscription", "position"].map(str::to_owned)];
        for (row, places) in &self.rows {
            let line = |name: &str, place: String| {
                let owner = row.owner.as_deref().unwrap_or("-");
                let counter = row.counter.to_string();
                [&row.key.stream.to_string(), &*row.key.shard, owner, &counter, name, &place].map(str::to_owned)
            };
            if places.is_empty() {
                lines.push(line("-", "-".to_owned()));
            }
            for (record, place) in places {
                let paused = if record.paused { " (paused)" } else { "" };
                lines.push(line(&record.name, in_words(&row.key.stream, *place) + paused));
            }
        }
        columns(&lines)
    }

    pub(super) fn json(&self) -> Value {
        let leases = self.rows.iter().map(|(row, places)| {
            let subscriptions = places.iter().map(|(record, place)| {
                json!({
                    "name": record.name,
                    "generation": record.generation_on(&row.key.shard),
                    "paused": record.paused,
                    "position": in_json(&row.key.stream, *place),
                })
            });
            json!({
                "stream": row.key.stream,
                "shard": row.key.shard,
                "owner": row.owner,
                "counter": row.counter,
                "parents": row.parents,
                "children": row.children,
                "subscriptions": subscriptions.collect::<Vec<_>>(),
            })
        });
        json!({ "leases": leases.collect::<Vec<_>>() })
    }
}

/// A place as people read it. The records of a file are counted.
pub(super) fn in_words(stream: &StreamId, place: CursorPosition) -> String {
    let record = |number| if is_file(stream) { record_of(number).to_string() } else { format!("{number}") };
    match place {
        CursorPosition::End => "the end".to_owned(),
        CursorPosition::Next(StartPosition::TrimHorizon) => "the horizon".to_owned(),
        CursorPosition::Next(StartPosition::Latest) => "the tip".to_owned(),
        CursorPosition::Next(StartPosition::At(number)) => format!("at {}", record(number)),
        CursorPosition::Next(StartPosition::After(number)) => format!("after {}", record(number)),
        CursorPosition::Next(StartPosition::Timestamp(at)) => format!("from {}", time(at)),
        CursorPosition::Next(other) => other.to_string(),
    }
}

/// A place as programs read it.
pub(super) fn in_json(stream: &StreamId, place: CursorPosition) -> Value {
    let record = |number| if is_file(stream) { record_of(number).to_string() } else { format!("{number}") };
    match place {
        CursorPosition::End => json!({ "kind": "end" }),
        CursorPosition::Next(StartPosition::TrimHorizon) => json!({ "kind": "horizon" }),
        CursorPosition::Next(StartPosition::Latest) => json!({ "kind": "tip" }),
        CursorPosition::Next(StartPosition::At(number)) => json!({ "kind": "at", "number": record(number) }),
        CursorPosition::Next(StartPosition::After(number)) => json!({ "kind": "after", "number": record(number) }),
        CursorPosition::Next(StartPosition::Timestamp(at)) => json!({ "kind": "time", "time": time(at) }),
        CursorPosition::Next(other) => json!({ "kind": "other", "text": other.to_string() }),
    }
}
