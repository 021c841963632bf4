//! A stream as the store knows it: its rows and who subscribes, in the shape of a source that cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use async_trait::async_trait;
use kinesis_core::{
    Batch, Error, Lease, LeaseStore, Result, Shard, ShardId, ShardReader, SourceCaps, StartPosition, StreamId,
    StreamSource, SubscriptionRecord,
};

use crate::cli::Place;
use crate::input::{at_record, is_file};

/// One stream of a store.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) stream: StreamId,
    pub(super) rows: BTreeMap<ShardId, Lease>,
    /// Those who subscribe; who was forgotten is not among them.
    pub(super) records: Vec<SubscriptionRecord>,
}

impl Stored {
    /// Reads the stream of this name, or the only one.
    pub(super) async fn read(store: &dyn LeaseStore, named: Option<&str>) -> Result<Self> {
        let (rows, records) = (store.list().await?, store.subscriptions().await?);
        let streams = rows.iter().map(|row| &row.key.stream).chain(records.iter().map(|record| &record.stream));
        let streams: BTreeSet<StreamId> =
            streams.filter(|stream| named.is_none_or(|name| is_named(stream, name))).cloned().collect();
        let names = || streams.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let stream = match (streams.len(), named) {
            (1, _) => streams.iter().next().cloned(),
            (0, Some(name)) => return Err(Error::not_found(format!("nothing is known of a stream {name}"))),
            (0, None) => return Err(Error::not_found("nothing is known of any stream yet")),
            _ => return Err(Error::invalid(format!("there are several streams: name one with --stream: {}", names()))),
        };
        let stream = stream.expect("there is one");
        Ok(Self {
            rows: rows
                .into_iter()
                .filter(|row| row.key.stream == stream)
                .map(|row| (row.key.shard.clone(), row))
                .collect(),
            records: records.into_iter().filter(|record| record.stream == stream && !record.forgotten).collect(),
            stream,
        })
    }

    /// The place that the command line means on this stream.
    pub(super) fn position(&self, place: &Place) -> Result<StartPosition> {
        let file = is_file(&self.stream);
        match place {
            Place::Horizon => Ok(StartPosition::TrimHorizon),
            Place::Tip if file => Err(Error::unsupported("a file has no tip: it is read to its end")),
            Place::Tip => Ok(StartPosition::Latest),
            Place::Time(_) if file => {
                Err(Error::unsupported("a file cannot be read from a time on; give the number of a record"))
            }
            Place::Time(time) => Ok(StartPosition::Timestamp(*time)),
            Place::Number(number) if file => Ok(StartPosition::At(at_record(*number)?)),
            Place::Number(number) => Ok(StartPosition::At(*number)),
        }
    }

    /// The shards that are known, with and without a row.
    pub(super) fn shards(&self) -> Vec<Shard> {
        let known = self.rows.values().map(|row| {
            let shard = Shard::new(row.key.shard.clone()).with_parents(row.parents.iter().cloned());
            if row.children.is_empty() { shard } else { shard.with_end(None) }
        });
        let mut unread: BTreeMap<&ShardId, Vec<ShardId>> = BTreeMap::new();
        for row in self.rows.values() {
            for child in row.children.iter().filter(|child| !self.rows.contains_key(*child)) {
                unread.entry(child).or_default().push(row.key.shard.clone());
            }
        }
        let unread = unread.into_iter().map(|(id, parents)| Shard::new(id.clone()).with_parents(parents));
        known.chain(unread).collect()
    }
}

/// Whether a stream is meant by this name; a file by its path alone.
pub(super) fn is_named(stream: &StreamId, name: &str) -> bool {
    let of_path = || is_file(stream) && stream.name.rsplit_once('@').is_some_and(|(path, _)| path == name);
    stream.name == name || stream.to_string() == name || of_path()
}

#[async_trait]
impl StreamSource for Stored {
    fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Nobody can read here, so the tip cannot be looked at: it is the one that the next run finds.
    fn caps(&self) -> SourceCaps {
        SourceCaps::log().with_replayable(false).with_parks(true)
    }

    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(self.shards())
    }

    async fn open_shard(&self, _: &ShardId, _: StartPosition) -> Result<Box<dyn ShardReader>> {
        Ok(Box::new(Unread))
    }
}

/// Reads nothing.
#[derive(Debug)]
struct Unread;

#[async_trait]
impl ShardReader for Unread {
    async fn next_batch(&mut self, _: NonZeroUsize) -> Result<Batch> {
        std::future::pending().await
    }
}
