//! Consumers are registered, described, listed and deregistered.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_consumer_is_creating_then_active_then_gone() {
    let account = Account::builder().transition(Duration::from_secs(10)).build();
    account.create("orders", 1);
    let client = sdk(&account.http_client());
    let register = || client.register_stream_consumer().stream_arn(ORDERS).consumer_name("app").send();
    let registered = register().await.unwrap().consumer.unwrap();
    assert_eq!(registered.consumer_status.as_str(), "CREATING");
    assert_eq!(registered.consumer_arn, format!("{ORDERS}/consumer/app:1704067200"));
    assert_eq!(code(register().await), "ResourceInUseException");
    let subscribe = client.subscribe_to_shard().consumer_arn(&registered.consumer_arn).shard_id("shardId-000000000000");
    let latest = StartingPosition::builder().r#type(From::Latest).build().unwrap();
    assert_eq!(code(subscribe.starting_position(latest).send().await), "ResourceInUseException");
    tokio::time::advance(Duration::from_secs(10)).await;
    let by_arn = client.describe_stream_consumer().consumer_arn(&registered.consumer_arn).send().await.unwrap();
    let by_name = client.describe_stream_consumer().stream_arn(ORDERS).consumer_name("app").send().await.unwrap();
    assert_eq!(by_arn.consumer_description(), by_name.consumer_description());
    let description = by_arn.consumer_description.unwrap();
    assert_eq!((description.stream_arn(), description.consumer_status().as_str()), (ORDERS, "ACTIVE"));
    let deregister = || client.deregister_stream_consumer().consumer_arn(&registered.consumer_arn).send();
    deregister().await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(code(deregister().await), "ResourceNotFoundException");
    let again = register().await.unwrap().consumer.unwrap();
    assert_ne!(again.consumer_arn, registered.consumer_arn, "the creation time is part of the ARN");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_twenty_consumers_and_all_of_them_are_listed() {
    let stream = MemoryStream::new("orders", 1);
    let client = client(&stream);
    let register =
        |n: usize| client.register_stream_consumer().stream_arn(ORDERS).consumer_name(format!("app-{n:02}")).send();
    for n in 0..20 {
        register(n).await.unwrap();
    }
    assert_eq!(code(register(20).await), "LimitExceededException");
    let list = |max| client.list_stream_consumers().stream_arn(ORDERS).max_results(max);
    let first = list(15).send().await.unwrap();
    assert_eq!(first.consumers().len(), 15);
    let last = list(15).next_token(first.next_token().unwrap()).send().await.unwrap();
    assert_eq!((last.consumers().len(), last.consumers()[0].consumer_name(), last.next_token()), (5, "app-15", None));
    let summary = client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    assert_eq!(summary.stream_description_summary.unwrap().consumer_count, Some(20));
    assert_eq!(code(client.delete_stream().stream_name("orders").send().await), "ResourceInUseException");
    client.delete_stream().stream_name("orders").enforce_consumer_deletion(true).send().await.unwrap();
    assert_eq!(code(list(1).send().await), "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn five_consumers_are_created_at_a_time() {
    let account = Account::builder().transition(Duration::from_secs(10)).build();
    account.create("orders", 1);
    let client = sdk(&account.http_client());
    let register =
        |n: usize| client.register_stream_consumer().stream_arn(ORDERS).consumer_name(format!("app-{n}")).send();
    for n in 0..5 {
        register(n).await.unwrap();
    }
    assert_eq!(code(register(5).await), "LimitExceededException");
    tokio::time::advance(Duration::from_secs(10)).await;
    register(5).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_named_wrongly_is_told() {
    let client = client(&MemoryStream::new("orders", 1));
    let describe = || client.describe_stream_consumer();
    assert_eq!(code(describe().send().await), "InvalidArgumentException");
    assert_eq!(code(describe().stream_arn(ORDERS).send().await), "InvalidArgumentException");
    assert_eq!(code(describe().consumer_arn(ORDERS).send().await), "InvalidArgumentException");
    assert_eq!(code(describe().stream_arn(ORDERS).consumer_name("app").send().await), "ResourceNotFoundException");
    for rest in ["app", "app:x", "app:1"] {
        let arn = format!("{ORDERS}/consumer/{rest}");
        assert_eq!(code(describe().consumer_arn(arn).send().await), "ResourceNotFoundException");
    }
    let register = client.register_stream_consumer().stream_arn(ORDERS).consumer_name("a b").send();
    assert_eq!(code(register.await), "ValidationException");
}

/// What one client registers, another client of the same stream finds.
#[tokio::test(start_paused = true)]
async fn consumers_belong_to_the_stream() {
    let stream = MemoryStream::new("orders", 1);
    let register = client(&stream).register_stream_consumer().stream_arn(ORDERS).consumer_name("app");
    let arn = register.send().await.unwrap().consumer.unwrap().consumer_arn;
    client(&stream).describe_stream_consumer().consumer_arn(arn).send().await.unwrap();
}
