//! The producer: puts records in bursts, splits, merges and trims in between, and finishes the stream.

use std::time::Duration;

use fastrand::Rng;
use kinesis_core::{Error, Record, Result, ShardId};
use kinesis_mock::MemoryStream;
use tokio::time::sleep;

use super::super::model::Model;
use super::super::plan::Plan;

/// What the producer does.
pub(super) struct Producer {
    records: usize,
    keys: usize,
    channels: usize,
    pause: Duration,
    largest_burst: usize,
    reshard: f64,
    trim: f64,
}

impl Producer {
    pub(super) fn of(plan: &Plan) -> Self {
        let Plan { records, keys, channels, pause, largest_burst, reshard, trim, .. } = *plan;
        Self { records, keys, channels, pause, largest_burst, reshard, trim }
    }
}

/// Puts records in bursts, splits and merges in between, and finishes the stream.
pub(super) async fn produce(stream: MemoryStream, plan: Producer, model: Model, mut rng: Rng) {
    let mut left = plan.records;
    while left > 0 {
        for _ in 0..rng.usize(1..=plan.largest_burst).min(left) {
            put(&stream, &plan, &model, &mut rng);
            left -= 1;
        }
        if rng.f64() < plan.reshard {
            reshard(&stream, &model, &mut rng);
        }
        if rng.f64() < plan.trim {
            trim(&stream, &model, &mut rng);
        }
        sleep(plan.pause.mul_f64(rng.f64())).await;
    }
    stream.finish();
    let mut state = model.state();
    state.line(format_args!("the stream is finished"));
    state.shards_are(&stream.shards());
}

fn put(stream: &MemoryStream, plan: &Producer, model: &Model, rng: &mut Rng) {
    let key = format!("key-{}", rng.usize(0..plan.keys));
    let channel = match plan.channels {
        0 => key.clone(),
        channels => format!("channel-{}", rng.usize(0..channels)),
    };
    let nth = model.state().seen.records;
    let data = format!("{channel} {nth} {}", "x".repeat(rng.usize(0..60)));
    let (shard, number) = stream.put(key.clone(), data.clone()).expect("the stream is not finished yet");
    let record = Record::new(number, key, data).with_arrived_at(stream.now());
    model.state().put(shard, channel, record);
}

/// The channel that the producer wrote at the beginning of the payload.
pub(super) fn channel_in(record: &Record) -> &str {
    let text = std::str::from_utf8(&record.data).unwrap_or_default();
    text.split(' ').next().unwrap_or_default()
}

/// Splits or merges, and tells the model.
fn reshard(stream: &MemoryStream, model: &Model, rng: &mut Rng) {
    let Some((shard, changed)) = split_or_merge(stream, rng) else { return };
    let mut state = model.state();
    state.seen.reshards += usize::from(changed.is_ok());
    state.line(format_args!("{shard} and its neighbour: {:?}", changed.map_err(|error: Error| error.chain())));
    state.shards_are(&stream.shards());
}

/// Splits an open shard, or merges two neighbours: which one, and what it came to.
pub(in crate::simulation) fn split_or_merge(
    stream: &MemoryStream,
    rng: &mut Rng,
) -> Option<(ShardId, Result<&'static str>)> {
    let open: Vec<_> = stream.shards().into_iter().filter(|shard| !shard.closed).collect();
    let one = rng.choice(&open)?;
    let end = one.hash_range.map(|range| range.end.value());
    let starts_behind = |start: u128| end.is_some_and(|end| end.checked_add(1) == Some(start));
    let neighbour = open.iter().find(|other| other.hash_range.is_some_and(|range| starts_behind(range.start.value())));
    let changed = match neighbour {
        Some(other) if open.len() > 6 || rng.bool() => stream.merge(&one.id, &other.id).map(|_| "merged"),
        _ => stream.split(&one.id).map(|_| "split"),
    };
    Some((one.id.clone(), changed))
}

/// Trims some of what is left, unless the world has calmed down.
fn trim(stream: &MemoryStream, model: &Model, rng: &mut Rng) {
    let mut state = model.state();
    let through = if state.is_calm() { None } else { state.trim(rng) };
    through.into_iter().for_each(|through| stream.trim(through));
}
