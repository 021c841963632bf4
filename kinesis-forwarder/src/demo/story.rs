//! What happens to the demo's stream: records are put for a few seconds, and half-way one shard is split.

use std::time::Duration;

use kinesis_core::Result;
use kinesis_mock::MemoryStream;
use tokio::time::{Instant, interval};

use super::since;
use crate::output::{count, say};

/// The channels of the demo's records.
pub(super) const CHANNELS: [&str; 4] = ["member-registered", "member-renewed", "member-moved", "member-left"];
/// Members the records are about; each is a partition key.
const MEMBERS: usize = 50;
/// In so many portions the records are put.
const TICKS: usize = 70;

/// One record of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) member: usize,
    pub(super) channel: &'static str,
    /// Which record of the demo it is, from 0 on.
    pub(super) nth: usize,
}

impl Put {
    /// The `nth` record. Over time every member comes up in every channel, neighbours in neither alike.
    pub(super) fn new(nth: usize) -> Self {
        let member = nth * 17 % MEMBERS;
        Self { member, channel: CHANNELS[(nth + nth / MEMBERS) % CHANNELS.len()], nth }
    }

    fn key(&self) -> String {
        format!("member-{}", self.member)
    }

    fn json(&self) -> String {
        format!(r#"{{"type":"{}","member":{},"nth":{}}}"#, self.channel, self.member, self.nth)
    }
}

/// Puts `records` on `stream` for as long as `putting`, splits a shard when half of them are put, and ends the stream;
/// answers what was put.
pub(super) async fn tell(
    stream: MemoryStream,
    records: usize,
    putting: Duration,
    started: Instant,
) -> Result<Vec<Put>> {
    let line = |text: String| say(&format!("{}  {text}\n", since(started)));
    line(format!("putting {} records of {MEMBERS} members", count(records as u64)));
    let all: Vec<Put> = (0..records).map(Put::new).collect();
    let mut ticks = interval(putting / TICKS as u32);
    for tick in 0..TICKS {
        ticks.tick().await;
        if tick == TICKS / 2 {
            let parent = stream.shards().remove(0).id;
            let [low, high] = stream.split(&parent)?;
            line(format!("{parent} is split into {} and {}; records go on coming", low.id, high.id));
        }
        let (from, to) = (records * tick / TICKS, records * (tick + 1) / TICKS);
        stream.put_all(all[from..to].iter().map(|put| (put.key(), put.json())))?;
    }
    stream.finish();
    line("all records are put, and the stream is ended".to_owned());
    Ok(all)
}
