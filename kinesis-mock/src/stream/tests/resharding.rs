//! The rules of the stream under random resharding.

use std::collections::{BTreeMap, BTreeSet};

use kinesis_core::{Record, SequenceNumber, StartPosition};
use proptest::prelude::*;

use super::super::MemoryStream;
use super::{max, open};

/// What is done to a stream between reads.
#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    Split(prop::sample::Index),
    Merge(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => any::<u8>().prop_map(Step::Put),
        1 => any::<prop::sample::Index>().prop_map(Step::Split),
        1 => any::<prop::sample::Index>().prop_map(Step::Merge),
    ];
    prop::collection::vec(step, 1..300)
}

/// Applies the steps; answers the numbers that each key was put with, in order.
fn apply(stream: &MemoryStream, steps: Vec<Step>) -> BTreeMap<String, Vec<SequenceNumber>> {
    let mut put: BTreeMap<String, Vec<SequenceNumber>> = BTreeMap::new();
    for step in steps {
        let mut open: Vec<_> = stream.shards().into_iter().filter(|shard| !shard.closed).collect();
        open.sort_by_key(|shard| shard.hash_range.unwrap().start);
        match step {
            Step::Put(key) => {
                let (_, number) = stream.put(key.to_string(), "x").unwrap();
                put.entry(key.to_string()).or_default().push(number);
            }
            Step::Split(index) => {
                stream.split(&index.get(&open).id).unwrap();
            }
            Step::Merge(index) if open.len() > 1 => {
                let at = index.index(open.len() - 1);
                stream.merge(&open[at].id, &open[at + 1].id).unwrap();
            }
            Step::Merge(_) => {}
        }
    }
    put
}

/// Reads every shard, parents before their children, with `max` cycling through `sizes`.
async fn read_in_order(stream: &MemoryStream, sizes: &[usize]) -> Vec<Record> {
    let mut sizes = sizes.iter().copied().cycle();
    let mut records = Vec::new();
    // Ids grow with time, so their order puts parents first.
    for shard in stream.shards() {
        let mut reader = open(stream, &shard.id, StartPosition::TrimHorizon).await;
        loop {
            let size = sizes.next().unwrap();
            let batch = reader.next_batch(max(size)).await.unwrap();
            assert!(batch.records.len() <= size);
            let more = !batch.records.is_empty();
            records.extend(batch.records);
            if !more {
                assert_eq!(batch.end.is_some(), shard.closed);
                break;
            }
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered_within_a_key_over_splits_and_merges(
        shards in 1..5usize,
        steps in steps(),
        sizes in prop::collection::vec(1..20usize, 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let stream = MemoryStream::new("any", shards);
        let put = apply(&stream, steps);
        let mut read: BTreeMap<String, Vec<SequenceNumber>> = BTreeMap::new();
        for record in runtime.block_on(read_in_order(&stream, &sizes)) {
            read.entry(record.partition_key.to_string()).or_default().push(record.sequence_number);
        }
        prop_assert_eq!(read, put);
    }

    #[test]
    fn the_open_shards_always_cover_the_key_space(steps in steps()) {
        let stream = MemoryStream::new("any", 3);
        apply(&stream, steps);
        let ranges: BTreeSet<_> = stream.shards().into_iter()
            .filter(|shard| !shard.closed)
            .map(|shard| shard.hash_range.unwrap())
            .map(|range| (range.start, range.end))
            .collect();
        let mut next = Some(0);
        for (start, end) in ranges {
            prop_assert_eq!(Some(start.value()), next);
            next = end.value().checked_add(1);
        }
        prop_assert_eq!(next, None);
    }
}
