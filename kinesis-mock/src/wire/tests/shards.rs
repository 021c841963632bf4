//! Listing shards.

use super::*;

#[tokio::test(start_paused = true)]
async fn listing_pages_by_token_alone() {
    let stream = MemoryStream::new("orders", 5);
    let client = client(&stream);
    let first = client.list_shards().stream_name("orders").max_results(2).send().await.unwrap();
    let token = first.next_token().unwrap();
    assert_eq!(ids(first.shards()), ["shardId-000000000000", "shardId-000000000001"]);

    let alone = || client.list_shards().next_token(token);
    let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
    for (beside, member) in [
        (alone().stream_name("orders"), "StreamName"),
        (alone().stream_arn(ORDERS), "StreamARN"),
        (alone().exclusive_start_shard_id("shardId-000000000001"), "ExclusiveStartShardId"),
        (alone().stream_creation_timestamp(DateTime::from_secs(1)), "StreamCreationTimestamp"),
        (alone().shard_filter(filter), "ShardFilter"),
    ] {
        let error = beside.send().await.unwrap_err();
        assert!(error.as_service_error().unwrap().is_invalid_argument_exception());
        assert_eq!(error.message(), Some(&*format!("NextToken and {member} cannot be provided together.")));
    }
    let rest = client.list_shards().next_token(token).send().await.unwrap();
    assert_eq!(ids(rest.shards()), ["shardId-000000000002", "shardId-000000000003", "shardId-000000000004"]);
    assert_eq!(rest.next_token(), None);

    tokio::time::advance(Duration::from_secs(301)).await;
    let late = client.list_shards().next_token(token).send().await;
    assert!(late.unwrap_err().as_service_error().unwrap().is_expired_next_token_exception());
    assert_eq!(code(client.list_shards().next_token("rubbish").send().await), "InvalidArgumentException");
    assert_eq!(code(client.list_shards().send().await), "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn listings_are_filtered_by_age_and_place() {
    let stream = MemoryStream::new("orders", 2);
    let client = client(&stream);
    tokio::time::advance(Duration::from_secs(60)).await;
    stream.split(&stream.shards()[0].id).unwrap();
    let listed = |kind: ShardFilterType, shard: Option<&str>, seconds: Option<i64>| {
        let filter = ShardFilter::builder()
            .r#type(kind)
            .set_shard_id(shard.map(str::to_owned))
            .set_timestamp(seconds.map(|seconds| DateTime::from_secs(1_704_067_200 + seconds)))
            .build()
            .unwrap();
        let request = client.list_shards().stream_name("orders").shard_filter(filter);
        async move {
            let output = request.send().await.unwrap();
            output.shards().iter().map(|shard| shard.shard_id()[19..].to_owned()).collect::<String>()
        }
    };
    assert_eq!(listed(ShardFilterType::FromTrimHorizon, None, None).await, "0123");
    assert_eq!(listed(ShardFilterType::AtTrimHorizon, None, None).await, "01");
    assert_eq!(listed(ShardFilterType::AtLatest, None, None).await, "123");
    assert_eq!(listed(ShardFilterType::AfterShardId, Some("shardId-000000000001"), None).await, "23");
    assert_eq!(listed(ShardFilterType::AtTimestamp, None, Some(30)).await, "01");
    assert_eq!(listed(ShardFilterType::FromTimestamp, None, Some(61)).await, "123");
    let start = client.list_shards().stream_name("orders").exclusive_start_shard_id("shardId-000000000002");
    assert_eq!(ids(start.send().await.unwrap().shards()), ["shardId-000000000003"]);
    // With the parent's retention over, its children are what the horizon starts with.
    tokio::time::advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(listed(ShardFilterType::AtTrimHorizon, None, None).await, "123");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_named() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let error = client.list_shards().stream_name("odors").send().await.unwrap_err();
    assert_eq!(error.message(), Some("Stream odors under account 000000000000 not found."));
    let shard = client.get_shard_iterator().stream_name("orders").shard_id("shardId-7");
    let shard = shard.shard_iterator_type(From::Latest).send().await;
    assert!(shard.unwrap_err().as_service_error().unwrap().is_resource_not_found_exception());
    let unknown = client.enable_enhanced_monitoring().stream_name("orders").shard_level_metrics(MetricsName::All);
    assert_eq!(code(unknown.send().await), "UnknownOperationException");
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_is_asked_wrongly_is_told() {
    let client = client(&MemoryStream::new("orders", 2));
    let list = || client.list_shards().stream_name("orders");
    for max in [0, 10_001] {
        assert_eq!(code(list().max_results(max).send().await), "ValidationException");
    }
    let sideways = ShardFilter::builder().r#type(ShardFilterType::from("SIDEWAYS")).build().unwrap();
    let error = list().shard_filter(sideways).send().await.unwrap_err();
    assert!(
        error.message().unwrap().starts_with("1 validation error detected: Value 'SIDEWAYS' at 'shardFilter.type'")
    );
    assert_eq!(code(client.list_shards().send().await), "InvalidArgumentException");
    assert_eq!(code(client.list_shards().next_token("rubbish").send().await), "InvalidArgumentException");
    let of_another = list().stream_creation_timestamp(DateTime::from_secs(1)).send().await;
    assert_eq!(code(of_another), "ResourceNotFoundException");
    let both = list().stream_arn("arn:aws:kinesis:us-east-1:000000000000:stream/odors").send().await;
    assert_eq!(code(both), "InvalidArgumentException");
}
