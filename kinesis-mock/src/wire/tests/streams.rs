//! Streams are created, described, changed and deleted.

use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_summary_describes_the_stream() {
    let stream = MemoryStream::new("orders", 3);
    let output = client(&stream).describe_stream_summary().stream_name("orders").send().await.unwrap();
    let summary = output.stream_description_summary().unwrap();
    assert_eq!(summary.stream_arn(), "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert_eq!((summary.open_shard_count(), summary.retention_period_hours()), (3, 24));
    assert_eq!(summary.stream_creation_timestamp().secs(), 1_704_067_200);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_creating_then_active_then_deleting_then_gone() {
    let account = Account::builder().transition(Duration::from_secs(10)).build();
    let client = sdk(&account.http_client());
    let create = || client.create_stream().stream_name("orders").shard_count(2).send();
    let status = async || {
        let described = client.describe_stream_summary().stream_name("orders").send().await;
        coded(described).map(|output| output.stream_description_summary.unwrap().stream_status.to_string())
    };
    let put = || client.put_record().stream_name("orders").partition_key("key").data(Blob::new("x")).send();
    create().await.unwrap();
    assert_eq!(status().await.unwrap(), "CREATING");
    assert_eq!(code(create().await), "ResourceInUseException");
    assert_eq!(code(put().await), "ResourceNotFoundException");
    assert_eq!(code(client.list_shards().stream_name("orders").send().await), "ResourceInUseException");
    let described = client.describe_stream().stream_name("orders").send().await.unwrap();
    assert!(described.stream_description().unwrap().shards().is_empty());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status().await.unwrap(), "ACTIVE");
    put().await.unwrap();
    client.delete_stream().stream_arn(ORDERS).send().await.unwrap();
    assert_eq!(status().await.unwrap(), "DELETING");
    assert_eq!(code(client.delete_stream().stream_name("orders").send().await), "ResourceInUseException");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status().await.unwrap_err(), "ResourceNotFoundException");
    create().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_no_stream_can_be_is_refused() {
    let client = sdk(&Account::new().http_client());
    let create = |name: &str, shards: i32| client.create_stream().stream_name(name).shard_count(shards).send();
    for (name, shards, expected) in [
        ("", 1, "ValidationException"),
        ("a/b", 1, "ValidationException"),
        ("orders", 0, "ValidationException"),
        ("orders", -1, "ValidationException"),
        ("orders", 20_001, "LimitExceededException"),
    ] {
        assert_eq!(code(create(name, shards).await), expected, "{name} {shards}");
    }
    assert_eq!(code(client.create_stream().stream_name("orders").send().await), "InvalidArgumentException");
    let on_demand = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap();
    client.create_stream().stream_name("orders").stream_mode_details(on_demand).send().await.unwrap();
    let summary = client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!(summary.open_shard_count, 4);
    assert_eq!(summary.stream_mode_details.unwrap().stream_mode, StreamMode::OnDemand);
    let limits = client.describe_limits().send().await.unwrap();
    assert_eq!((limits.open_shard_count, limits.on_demand_stream_count), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_description_pages_through_the_shards() {
    let client = client(&MemoryStream::new("orders", 250));
    let (mut start, mut sizes) = (None, Vec::new());
    loop {
        let page = client.describe_stream().stream_name("orders").limit(10_000).set_exclusive_start_shard_id(start);
        let page = page.send().await.unwrap().stream_description.unwrap();
        sizes.push(page.shards.len());
        start = page.shards.last().map(|shard| shard.shard_id.clone());
        if !page.has_more_shards {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
    let two = client.describe_stream().stream_name("orders").limit(2).send().await.unwrap();
    assert_eq!(two.stream_description().unwrap().shards().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn streams_are_listed_page_by_page() {
    let account = Account::new();
    for name in ["c", "a", "d", "b"] {
        account.create(name, 1);
    }
    let client = sdk(&account.http_client());
    let first = client.list_streams().limit(3).send().await.unwrap();
    assert_eq!((first.stream_names(), first.has_more_streams), (&["a", "b", "c"].map(str::to_owned)[..], true));
    let token = first.next_token().unwrap();
    let last = client.list_streams().next_token(token).send().await.unwrap();
    assert_eq!(last.stream_summaries()[0].stream_arn(), "arn:aws:kinesis:us-east-1:000000000000:stream/d");
    assert!(!last.has_more_streams && last.next_token().is_none());
    let after = client.list_streams().exclusive_start_stream_name("b").send().await.unwrap();
    assert_eq!(after.stream_names(), ["c", "d"]);
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(code(client.list_streams().next_token(token).send().await), "ExpiredNextTokenException");
}

#[tokio::test(start_paused = true)]
async fn retention_goes_up_and_down_within_bounds() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let up =
        |hours| client.increase_stream_retention_period().stream_name("orders").retention_period_hours(hours).send();
    let down =
        |hours| client.decrease_stream_retention_period().stream_name("orders").retention_period_hours(hours).send();
    assert_eq!(code(up(8761).await), "InvalidArgumentException");
    assert_eq!(code(down(23).await), "InvalidArgumentException");
    up(48).await.unwrap();
    let message = "Requested retention period (47 hours) for stream orders can not be shorter than existing retention \
                   period (48 hours). Use DecreaseStreamRetentionPeriod API.";
    assert_eq!(up(47).await.unwrap_err().message(), Some(message));
    assert_eq!(code(down(49).await), "InvalidArgumentException");
    stream.put("key", "old").unwrap();
    tokio::time::advance(Duration::from_secs(47 * 3600)).await;
    let start = iterator(&client, &first_shard(&stream), From::TrimHorizon).await;
    assert_eq!(texts(&read(&client, &start, 10).await), ["old"]);
    down(24).await.unwrap();
    assert_eq!(texts(&read(&client, &start, 10).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_larger_records_when_told_to() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let update = |kib| client.update_max_record_size().stream_arn(ORDERS).max_record_size_in_kib(kib).send();
    for kib in [1023, 10_241] {
        assert_eq!(code(update(kib).await), "ValidationException");
    }
    update(2048).await.unwrap();
    stream.put("key", vec![0; 2 << 20]).unwrap();
    let summary = client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    assert_eq!(summary.stream_description_summary.unwrap().max_record_size_in_kib, Some(2048));
}

#[tokio::test(start_paused = true)]
async fn tags_are_kept_listed_and_removed() {
    let client = client(&MemoryStream::new("orders", 1));
    for (key, value) in [("b", "2"), ("a", "1"), ("c", "3"), ("b", "4")] {
        client.add_tags_to_stream().stream_name("orders").tags(key, value).send().await.unwrap();
    }
    client.remove_tags_from_stream().stream_name("orders").tag_keys("c").send().await.unwrap();
    let list = |limit| client.list_tags_for_stream().stream_name("orders").limit(limit);
    let page = list(1).send().await.unwrap();
    assert_eq!((page.tags()[0].key(), page.has_more_tags), ("a", true));
    let rest = list(50).exclusive_start_tag_key("a").send().await.unwrap();
    assert_eq!((rest.tags()[0].value(), rest.has_more_tags), (Some("4"), false));
}
