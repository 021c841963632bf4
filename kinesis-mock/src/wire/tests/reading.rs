//! Iterators and what they read.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_one_door_puts_the_other_reads() {
    let stream = MemoryStream::new("orders", 2);
    let client = client(&stream);
    let put = client.put_record().stream_name("orders").partition_key("schlüssel").data(Blob::new([0, 255]));
    let put = put.send().await.unwrap();
    tokio::time::advance(Duration::from_millis(1234)).await;
    let (shard, number) = stream.put("schlüssel", "second").unwrap();
    assert_eq!(put.shard_id(), &*shard);

    let output = read(&client, &iterator(&client, &shard, From::TrimHorizon).await, 10).await;
    assert_eq!(output.records[0].data.as_ref(), [0, 255]);
    assert_eq!(output.records[0].sequence_number(), put.sequence_number());
    assert_eq!(output.records[0].partition_key(), Some("schlüssel"));
    assert_eq!(output.records[1].sequence_number(), number.to_string());
    let arrival = output.records[1].approximate_arrival_timestamp().unwrap().as_secs_f64();
    assert!((arrival - 1_704_067_201.234).abs() < 0.000_1, "{arrival}");
    assert_eq!(output.millis_behind_latest, Some(0));
}

#[tokio::test(start_paused = true)]
async fn all_five_iterator_types_start_where_they_say() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let mut numbers = Vec::new();
    for text in ["0", "1", "2"] {
        numbers.push(stream.put("key", text).unwrap().1.to_string());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let at = |from: From, number: Option<&str>, time: Option<i64>| {
        let request = client
            .get_shard_iterator()
            .stream_arn("arn:aws:kinesis:us-east-1:000000000000:stream/orders")
            .shard_id(first_shard(&stream))
            .shard_iterator_type(from)
            .set_starting_sequence_number(number.map(str::to_owned))
            .set_timestamp(time.map(|millis| DateTime::from_millis(1_704_067_200_000 + millis)));
        let client = client.clone();
        async move {
            let iterator = request.send().await.map_err(|error| error.code().unwrap_or_default().to_owned())?;
            Ok::<_, String>(texts(&read(&client, iterator.shard_iterator().unwrap(), 10).await))
        }
    };
    assert_eq!(at(From::TrimHorizon, None, None).await.unwrap(), ["0", "1", "2"]);
    assert_eq!(at(From::Latest, None, None).await.unwrap(), [""; 0]);
    assert_eq!(at(From::AtSequenceNumber, Some(&numbers[1]), None).await.unwrap(), ["1", "2"]);
    assert_eq!(at(From::AfterSequenceNumber, Some(&numbers[1]), None).await.unwrap(), ["2"]);
    assert_eq!(at(From::AtTimestamp, None, Some(1001)).await.unwrap(), ["2"]);
    for (from, number, time) in [
        (From::AtTimestamp, None, Some(60_000)),
        (From::AtTimestamp, None, None),
        (From::AtSequenceNumber, None, None),
        (From::AtSequenceNumber, Some("17"), None),
        (From::AfterSequenceNumber, Some("rubbish"), None),
    ] {
        assert_eq!(at(from, number, time).await.unwrap_err(), "InvalidArgumentException");
    }
    assert_eq!(at(ShardIteratorType::from("SIDEWAYS"), None, None).await.unwrap_err(), "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn an_iterator_expires_after_five_minutes() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let iterator = iterator(&client, &first_shard(&stream), From::Latest).await;
    tokio::time::advance(Duration::from_secs(300)).await;
    read(&client, &iterator, 1).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    let expired = client.get_records().shard_iterator(iterator).send().await;
    assert!(expired.as_ref().unwrap_err().as_service_error().unwrap().is_expired_iterator_exception());
    assert_eq!(code(client.get_records().shard_iterator("rubbish").send().await), "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_ends_with_its_children_and_without_an_iterator() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    stream.put_all([("a", "0"), ("b", "1")]).unwrap();
    let children = stream.split(&stream.shards()[0].id).unwrap();
    let first = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 1).await;
    assert!(first.child_shards.is_none());
    let last = read(&client, first.next_shard_iterator().unwrap(), 1).await;
    assert_eq!(texts(&last), ["1"]);
    assert_eq!(last.next_shard_iterator(), None);
    for (told, child) in last.child_shards().iter().zip(&children) {
        assert_eq!(told.shard_id(), &*child.id);
        assert_eq!(told.parent_shards(), [first_shard(&stream)]);
        let range = told.hash_key_range().unwrap();
        assert_eq!(range.starting_hash_key(), child.hash_range.unwrap().start.to_string());
    }
    assert_eq!(last.child_shards().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn reads_are_limited_and_answers_capped_as_by_the_service() {
    let stream = MemoryStream::builder("orders").read_limits(ReadLimits::aws()).build();
    let client = client(&stream);
    stream.put_all((0..12).map(|_| ("key", vec![0; 1 << 20]))).unwrap();
    let output = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10_000).await;
    assert_eq!(output.records().len(), 9);
    let next = output.next_shard_iterator().unwrap();
    let again = client.get_records().shard_iterator(next).send().await;
    assert!(again.unwrap_err().as_service_error().unwrap().is_provisioned_throughput_exceeded_exception());
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(read(&client, next, 10_000).await.records().len(), 3);
    for limit in [0, 10_001] {
        let refused = client.get_records().shard_iterator(next).limit(limit).send().await;
        assert_eq!(code(refused), "ValidationException");
    }
}

#[tokio::test(start_paused = true)]
async fn five_reads_a_second_are_answered_and_the_sixth_is_throttled() {
    let stream = MemoryStream::builder("orders").read_limits(ReadLimits::aws()).build();
    let client = client(&stream);
    let iterator = iterator(&client, &first_shard(&stream), From::TrimHorizon).await;
    for _ in 0..5 {
        read(&client, &iterator, 1).await;
    }
    let sixth = client.get_records().shard_iterator(&iterator).send().await;
    assert_eq!(code(sixth), "ProvisionedThroughputExceededException");
    tokio::time::advance(Duration::from_secs(1)).await;
    read(&client, &iterator, 1).await;
}

/// Ten records of a mebibyte with their keys are more than ten mebibytes, so one of less makes the answer full.
#[tokio::test(start_paused = true)]
async fn an_answer_of_ten_mebibytes_closes_the_shard_for_five_seconds() {
    let stream = MemoryStream::builder("orders").read_limits(ReadLimits::aws()).build();
    let client = client(&stream);
    stream.put_all((0..10).map(|_| ("k", vec![0; (1 << 20) - 1]))).unwrap();
    let output = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10_000).await;
    assert_eq!(output.records().len(), 10);
    let again = || client.get_records().shard_iterator(output.next_shard_iterator().unwrap()).send();
    tokio::time::advance(Duration::from_millis(4999)).await;
    assert_eq!(code(again().await), "ProvisionedThroughputExceededException");
    tokio::time::advance(Duration::from_millis(1)).await;
    again().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_is_behind_is_told_by_how_much() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    stream.put_all([("key", "0"), ("key", "1")]).unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    let first = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 1).await;
    assert_eq!(first.millis_behind_latest, Some(3000));
    assert_eq!(read(&client, first.next_shard_iterator().unwrap(), 1).await.millis_behind_latest, Some(0));
}

#[tokio::test(start_paused = true)]
async fn every_nth_page_is_empty_where_that_was_asked_for_and_loses_nothing() {
    let stream = MemoryStream::builder("orders").empty_every(2.try_into().unwrap()).build();
    let client = client(&stream);
    stream.put_all([("key", "0"), ("key", "1")]).unwrap();
    let mut next = iterator(&client, &first_shard(&stream), From::TrimHorizon).await;
    let mut pages = Vec::new();
    for _ in 0..3 {
        let page = read(&client, &next, 1).await;
        pages.push((texts(&page).concat(), page.millis_behind_latest.unwrap() > 0));
        next = page.next_shard_iterator.unwrap();
    }
    assert_eq!(pages, [("0".to_owned(), true), (String::new(), true), ("1".to_owned(), false)]);
}

#[tokio::test(start_paused = true)]
async fn places_in_a_stream_that_was_created_again_are_refused() {
    let account = Account::new();
    let client = sdk(&account.http_client());
    let stream = account.create("orders", 1);
    let (_, number) = stream.put("key", "x").unwrap();
    let old = iterator(&client, &first_shard(&stream), From::TrimHorizon).await;
    account.delete("orders");
    account.create("orders", 1);
    assert_eq!(code(client.get_records().shard_iterator(old).send().await), "ResourceNotFoundException");
    let request = client.get_shard_iterator().stream_name("orders").shard_id(first_shard(&stream));
    let request = request.shard_iterator_type(From::AfterSequenceNumber).starting_sequence_number(number.to_string());
    assert_eq!(code(request.send().await), "InvalidArgumentException");
}
