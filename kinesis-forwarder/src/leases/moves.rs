//! What a reset will do: which subscriptions go where, on which shards. Pure.

use std::collections::BTreeSet;

use kinesis_core::lineage::Lineage;
use kinesis_core::pipeline::stored::position;
use kinesis_core::{
    CursorPosition, Error, Lease, Result, ShardId, StartPosition, SubscriptionName, SubscriptionRecord,
};
use serde::{Serialize, Serializer};

use super::list::{in_json, in_words};
use super::stored::Stored;
use crate::cli::Reset;
use crate::output::columns;

/// Whom a reset reaches.
pub(super) struct Reach {
    pub(super) names: Vec<SubscriptionName>,
    /// The one shard, where it is about one and what came from it.
    pub(super) shard: Option<ShardId>,
    /// Every shard that it is about, and where each is read from then.
    places: Vec<(ShardId, StartPosition)>,
}

impl Reach {
    pub(super) fn of(stored: &Stored, args: &Reset, to: StartPosition) -> Result<Self> {
        let named =
            |record: &&SubscriptionRecord| args.subscription.as_ref().is_none_or(|name| record.name == name.as_str());
        let names: Vec<_> = stored.records.iter().filter(named).map(|record| record.name.clone()).collect();
        if names.is_empty() {
            let known: Vec<String> = stored.records.iter().map(|record| record.name.to_string()).collect();
            return Err(Error::not_found(match known.is_empty() {
                true => format!("nobody has subscribed to stream {} yet: there is nothing to reset", stored.stream),
                false => {
                    format!("stream {} has no such subscription; it has: {}", stored.stream, known.join(", "))
                }
            }));
        }
        let shards = stored.shards();
        let is_number = matches!(to, StartPosition::At(_) | StartPosition::After(_));
        let shard = match &args.change.selection.shard {
            Some(id) => Some(ShardId::from(id.as_str())),
            None if is_number && shards.len() == 1 => Some(shards[0].id.clone()),
            None if is_number => {
                return Err(Error::invalid(
                    "a sequence number belongs to one shard: name it with --shard; `leases list` shows them",
                ));
            }
            None => None,
        };
        let mut lineage = Lineage::new();
        lineage.observe_listing(&shards);
        let places = match &shard {
            Some(shard) if !lineage.contains(shard) => {
                return Err(
                    Error::not_found(format!("nothing is known of such a shard of {}", stored.stream)).on_shard(shard)
                );
            }
            Some(shard) => {
                let descendants: BTreeSet<&ShardId> = lineage.descendants(shard);
                let after = descendants.into_iter().map(|shard| (shard.clone(), StartPosition::TrimHorizon));
                std::iter::once((shard.clone(), to)).chain(after).collect()
            }
            None => shards.iter().map(|shard| (shard.id.clone(), to)).collect(),
        };
        Ok(Self { names, shard, places })
    }

    /// The rows that are concerned.
    pub(super) fn rows<'a>(&self, stored: &'a Stored) -> Vec<&'a Lease> {
        self.places.iter().filter_map(|(shard, _)| stored.rows.get(shard)).collect()
    }

    /// Each step, from where to where.
    pub(super) fn moves<'a>(&self, stored: &'a Stored) -> Vec<Move<'a>> {
        let records = stored.records.iter().filter(|record| self.names.contains(&record.name));
        let moves = records.flat_map(|record| {
            self.places.iter().map(|(shard, to)| {
                let from = stored.rows.get(shard).map(|row| position(record, row));
                Move { stored, subscription: &record.name, shard: shard.clone(), from, to: *to }
            })
        });
        moves.collect()
    }
}

/// One subscription on one shard.
pub(super) struct Move<'a> {
    stored: &'a Stored,
    subscription: &'a SubscriptionName,
    shard: ShardId,
    /// Nothing where the shard has no row yet.
    from: Option<CursorPosition>,
    to: StartPosition,
}

impl Serialize for Move<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stream = &self.stored.stream;
        let fields = serde_json::json!({
            "stream": stream,
            "shard": self.shard,
            "subscription": self.subscription,
            "from": self.from.map(|from| in_json(stream, from)),
            "to": in_json(stream, CursorPosition::Next(self.to)),
        });
        fields.serialize(serializer)
    }
}

/// The moves as people read them.
pub(super) fn table(stored: &Stored, moves: &[Move<'_>]) -> String {
    let head = ["subscription", "shard", "from", "to"].map(str::to_owned);
    let line = |step: &Move<'_>| {
        let from = step.from.map_or_else(|| "not begun".to_owned(), |from| in_words(&stored.stream, from));
        let to = in_words(&stored.stream, CursorPosition::Next(step.to));
        [step.subscription.to_string(), step.shard.to_string(), from, to]
    };
    let lines: Vec<_> = std::iter::once(head).chain(moves.iter().map(line)).collect();
    format!("stream {}\n{}", stored.stream, columns(&lines))
}
