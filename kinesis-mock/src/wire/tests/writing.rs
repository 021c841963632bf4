//! Putting records, and what is refused.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_entry_of_many_can_fail_alone() {
    let stream = MemoryStream::new("orders", 1);
    let http = http_client(&stream);
    http.script("PutRecords", [Answer::Refuse(vec![1])]);
    let client = sdk(&http);
    let entry = |key: &str| PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new("x")).build().unwrap();
    let request = client.put_records().stream_name("orders").set_records(Some(["a", "b", "c"].map(entry).into()));
    let output = request.send().await.unwrap();
    assert_eq!(output.failed_record_count(), Some(1));
    assert_eq!(output.records()[1].error_code(), Some("ProvisionedThroughputExceededException"));
    assert!(output.records()[0].sequence_number() < output.records()[2].sequence_number());
    let read = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10).await;
    assert_eq!(read.records().len(), 2);

    let empty_key = client.put_records().stream_name("orders").records(entry("a")).records(entry(""));
    assert_eq!(code(empty_key.send().await), "ValidationException");
    let many = client.put_records().stream_name("orders").set_records(Some(vec![entry("a"); 501]));
    assert_eq!(code(many.send().await), "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn writes_are_limited_where_that_was_asked_for() {
    let account = Account::builder().write_limits(WriteLimits::new(3, 1 << 20)).build();
    let stream = account.create("orders", 1);
    let client = sdk(&account.http_client());
    let entry = |_| PutRecordsRequestEntry::builder().partition_key("key").data(Blob::new("x")).build().unwrap();
    let put = || client.put_records().stream_name("orders").set_records(Some((0..4).map(entry).collect()));
    let output = put().send().await.unwrap();
    assert_eq!(output.failed_record_count(), Some(1));
    assert_eq!(output.records()[3].error_code(), Some("ProvisionedThroughputExceededException"));
    let message = "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000.";
    assert_eq!(output.records()[3].error_message(), Some(message));
    let one = || client.put_record().stream_name("orders").partition_key("key").data(Blob::new("x")).send();
    assert_eq!(code(one().await), "ProvisionedThroughputExceededException");
    stream.put("key", "what a test puts is never refused").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    one().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_service_would_refuse_is_refused() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let put =
        |size: usize| client.put_record().stream_name("orders").partition_key("key").data(Blob::new(vec![0; size]));
    assert_eq!(code(put((1 << 20) + 1).send().await), "InvalidArgumentException");
    put(1 << 20).send().await.unwrap();
    assert_eq!(code(put(1).explicit_hash_key("-1").send().await), "InvalidArgumentException");
    assert_eq!(code(put(1).sequence_number_for_ordering("x").send().await), "InvalidArgumentException");
    assert_eq!(code(put(1).partition_key("k".repeat(257)).send().await), "ValidationException");
    put(1)
        .partition_key("ü".repeat(256))
        .explicit_hash_key("0")
        .sequence_number_for_ordering("1")
        .send()
        .await
        .unwrap();
    assert_eq!(
        code(client.put_records().stream_name("orders").set_records(Some(vec![])).send().await),
        "ValidationException"
    );
}
