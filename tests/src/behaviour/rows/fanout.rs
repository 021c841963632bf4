//! Enhanced fan-out: consumers and subscriptions.

use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::subscribe_to_shard::{SubscribeToShardError, SubscribeToShardOutput};
use aws_sdk_kinesis::types::{
    ShardIteratorType as From, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream as Event,
};
use tokio::time::Instant;

use crate::behaviour::stage::{FIRST, Stage};
use crate::behaviour::verdict::{Answered, Deviates, Verdict, holds, same};

/// How long the server may take to push what there is.
const SOON: Duration = Duration::from_secs(5);

/// Subscribes to the first shard.
async fn subscribe(stage: &Stage, arn: &str) -> Result<SubscribeToShardOutput, SdkError<SubscribeToShardError>> {
    let position = StartingPosition::builder().r#type(From::TrimHorizon).build().expect("it has its type");
    let request = stage.client.subscribe_to_shard().consumer_arn(arn).shard_id(FIRST).starting_position(position);
    request.send().await
}

/// The next event, none at the end.
async fn next(subscription: &mut SubscribeToShardOutput) -> Verdict<Option<SubscribeToShardEvent>> {
    match subscription.event_stream.recv().await.of("an event")? {
        Some(Event::SubscribeToShardEvent(event)) => Ok(Some(event)),
        None => Ok(None),
        Some(_) => Err(Deviates::by("an event that the SDK does not know")),
    }
}

/// Reads on until there are so many records.
async fn records(stage: &Stage, subscription: &mut SubscribeToShardOutput, wanted: usize) -> Verdict {
    let all = async {
        let mut count = 0;
        while count < wanted {
            count += next(subscription).await?.ok_or_else(|| Deviates::by("it ends before the records"))?.records.len();
        }
        same("records", count, wanted)
    };
    stage.backend.at_most(SOON, all).await.unwrap_or_else(|| Err(Deviates::by("the records do not come")))
}

pub(super) async fn consumers_come_and_go(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let arn = stage.register().await?;
    let stream = stage.settled().await?.stream_arn;
    let again = stage.client.register_stream_consumer().stream_arn(&stream).consumer_name("app").send().await;
    again.refused("RegisterStreamConsumer", &["ResourceInUseException"])?;
    let listed = stage.client.list_stream_consumers().stream_arn(&stream).send().await.of("ListStreamConsumers")?;
    same("consumers", listed.consumers().len(), 1)?;
    holds(listed.consumers()[0].consumer_arn == arn, "another consumer is listed")?;
    stage.client.deregister_stream_consumer().consumer_arn(&arn).send().await.of("DeregisterStreamConsumer")?;
    let gone = async {
        while stage.client.describe_stream_consumer().consumer_arn(&arn).send().await.is_ok() {
            stage.backend.pass(Duration::from_millis(50)).await;
        }
    };
    stage.backend.at_most(SOON, gone).await.ok_or_else(|| Deviates::by("the consumer stays"))
}

pub(super) async fn pushes(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let arn = stage.register().await?;
    stage.put("0").await?;
    let mut subscription = subscribe(stage, &arn).await.of("SubscribeToShard")?;
    records(stage, &mut subscription, 1).await?;
    stage.put("1").await?;
    records(stage, &mut subscription, 1).await
}

pub(super) async fn ends_with_children(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let arn = stage.register().await?;
    let mut subscription = subscribe(stage, &arn).await.of("SubscribeToShard")?;
    stage.put("0").await?;
    records(stage, &mut subscription, 1).await?;
    stage.split(1).await?;
    let end = async {
        let mut last = None;
        while let Some(event) = next(&mut subscription).await? {
            last = Some(event);
        }
        Ok(last)
    };
    let end = stage.backend.at_most(SOON, end).await;
    let last = end.ok_or_else(|| Deviates::by("the subscription has no end"))??;
    let last = last.ok_or_else(|| Deviates::by("the subscription ends without an event"))?;
    same("children", last.child_shards().len(), 2)?;
    // The SDK makes an empty text of a number that is not there.
    holds(last.continuation_sequence_number().is_empty(), "there is a number to go on from")
}

pub(super) async fn second_is_refused(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let arn = stage.register().await?;
    let first = subscribe(stage, &arn).await.of("SubscribeToShard")?;
    let second = subscribe(stage, &arn).await;
    drop(first);
    second.refused("SubscribeToShard", &["ResourceInUseException"])
}

pub(super) async fn second_takes_over(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let arn = stage.register().await?;
    let mut first = subscribe(stage, &arn).await.of("SubscribeToShard")?;
    stage.backend.pass(Duration::from_millis(5100)).await;
    let mut second = subscribe(stage, &arn).await.of("SubscribeToShard")?;
    let end = async { while next(&mut first).await.is_ok_and(|event| event.is_some()) {} };
    let end = stage.backend.at_most(SOON, end).await;
    end.ok_or_else(|| Deviates::by("the first subscription goes on"))?;
    stage.put("0").await?;
    records(stage, &mut second, 1).await
}

pub(super) async fn ends_after_five_minutes(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let arn = stage.register().await?;
    let start = Instant::now();
    let mut subscription = subscribe(stage, &arn).await.of("SubscribeToShard")?;
    let end = async {
        while next(&mut subscription).await?.is_some() {}
        Ok(())
    };
    let minutes = Duration::from_secs(300);
    let end = stage.backend.at_most(minutes + stage.backend.late(), end).await;
    end.ok_or_else(|| Deviates::by("the subscription has no end"))??;
    holds(stage.backend.since(start) >= minutes, "it ends earlier")
}
