//! Shards split and merge.

use aws_sdk_kinesis::types::ScalingType;

use super::*;

/// The ranges of the open shards, in sixteenths of the key space.
fn sixteenths(stream: &MemoryStream) -> Vec<(u128, u128)> {
    let open = stream.shards().into_iter().filter(|shard| !shard.closed);
    let mut ranges: Vec<_> = open
        .map(|shard| shard.hash_range.unwrap())
        .map(|range| (range.start.value() >> 124, (range.end.value() >> 124) + 1))
        .collect();
    ranges.sort_unstable();
    ranges
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_split_where_the_request_says_and_merged_again() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let split = |shard: &str, key: &str| {
        client.split_shard().stream_name("orders").shard_to_split(shard).new_starting_hash_key(key).send()
    };
    split("shardId-000000000000", &(1u128 << 126).to_string()).await.unwrap();
    assert_eq!(sixteenths(&stream), [(0, 4), (4, 16)]);
    assert_eq!(code(split("shardId-000000000000", "1").await), "InvalidArgumentException");
    assert_eq!(code(split("shardId-000000000001", "0").await), "InvalidArgumentException");
    assert_eq!(code(split("shardId-000000000001", "x").await), "InvalidArgumentException");
    let error = split("shardId-7", "1").await.unwrap_err();
    let message = "Could not find shard shardId-7 in stream orders under account 000000000000.";
    assert_eq!(error.message(), Some(message));
    let merge = |one: &str, other: &str| {
        client.merge_shards().stream_name("orders").shard_to_merge(one).adjacent_shard_to_merge(other).send()
    };
    assert_eq!(code(merge("shardId-000000000001", "shardId-000000000000").await), "InvalidArgumentException");
    merge("shardId-000000000001", "shardId-000000000002").await.unwrap();
    assert_eq!(sixteenths(&stream), [(0, 16)]);
    let shards = client.list_shards().stream_name("orders").send().await.unwrap().shards.unwrap();
    assert_eq!(shards[3].parent_shard_id(), Some("shardId-000000000001"));
    assert_eq!(shards[3].adjacent_parent_shard_id(), Some("shardId-000000000002"));
}

#[tokio::test(start_paused = true)]
async fn while_a_stream_is_updated_it_is_not_updated_again() {
    let account = Account::builder().transition(Duration::from_secs(10)).build();
    account.create("orders", 1);
    let client = sdk(&account.http_client());
    let scale = |target| {
        let request = client.update_shard_count().stream_name("orders").target_shard_count(target);
        request.scaling_type(ScalingType::UniformScaling).send()
    };
    scale(2).await.unwrap();
    let error = scale(4).await.unwrap_err();
    let message = "Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING";
    assert_eq!((error.code(), error.message()), (Some("ResourceInUseException"), Some(message)));
    tokio::time::advance(Duration::from_secs(10)).await;
    scale(4).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_scaled_to_even_shards_within_a_half_and_the_double() {
    let stream = MemoryStream::new("orders", 4);
    let client = client(&stream);
    let scale = |target| {
        let request = client.update_shard_count().stream_name("orders").target_shard_count(target);
        request.scaling_type(ScalingType::UniformScaling).send()
    };
    let scaled = scale(8).await.unwrap();
    assert_eq!((scaled.current_shard_count, scaled.target_shard_count), (Some(4), Some(8)));
    assert_eq!(sixteenths(&stream), [0, 2, 4, 6, 8, 10, 12, 14].map(|at| (at, at + 2)));
    scale(4).await.unwrap();
    assert_eq!(sixteenths(&stream), [0, 4, 8, 12].map(|at| (at, at + 4)));
    for refused in [9, 1] {
        assert_eq!(code(scale(refused).await), "InvalidArgumentException");
    }
    assert_eq!(code(scale(0).await), "ValidationException");
    // What does not divide evenly is cut and joined across the old borders.
    for target in [3, 5, 7, 6] {
        scale(target).await.unwrap();
        let mut ranges: Vec<_> =
            stream.shards().into_iter().filter(|shard| !shard.closed).map(|s| s.hash_range.unwrap()).collect();
        ranges.sort_by_key(|range| range.start);
        assert_eq!(ranges, crate::stream::even_ranges(target as usize).collect::<Vec<_>>());
    }
    // Six times so far.
    for target in [7, 6, 7, 6] {
        scale(target).await.unwrap();
    }
    assert_eq!(code(scale(7).await), "LimitExceededException");
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    scale(7).await.unwrap();
}
