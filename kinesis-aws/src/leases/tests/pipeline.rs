//! A pipeline in the place of a KCL application, beside it, and back again.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_core::{Event, Observer, Pipeline, SequenceNumber, ShardId, StartPosition, StreamSource, Subscription};
use kinesis_mock::{MemoryStream, RecordingSink};
use tokio::sync::Notify;

use super::rig::Server;
use crate::DynamoLeaseStore;

/// What a KCL application leaves of a shard.
async fn leave(server: &Server, shard: &ShardId, checkpoint: &str, children: &[&ShardId]) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: u64| AttributeValue::N(number.to_string());
    let mut item = server.item(shard).await;
    let counter = match item.get("leaseCounter") {
        Some(AttributeValue::N(counter)) => counter.parse::<u64>().unwrap() + 1,
        _ => 41,
    };
    item.insert("leaseKey".into(), text(shard));
    item.insert("leaseCounter".into(), number(counter));
    item.insert("checkpoint".into(), text(checkpoint));
    item.insert("checkpointSubSequenceNumber".into(), number(0));
    item.insert("ownerSwitchesSinceCheckpoint".into(), number(0));
    if !children.is_empty() {
        let children = children.iter().map(ToString::to_string).collect();
        item.insert("childShardIds".into(), AttributeValue::Ss(children));
    }
    server.put(item).await;
}

/// Runs until the subscription has settled so many records and their progress is stored, and returns what it got.
async fn run(store: &DynamoLeaseStore, stream: &MemoryStream, start: StartPosition, records: usize) -> Vec<String> {
    #[derive(Debug, Default)]
    struct Watch(std::sync::Arc<Notify>);
    impl Observer for Watch {
        fn on(&self, event: &Event) {
            if matches!(event, Event::Delivered { .. }) {
                self.0.notify_one();
            }
        }
    }
    let sink = RecordingSink::new();
    let delivered = std::sync::Arc::new(Notify::new());
    let subscription = Subscription::new("audit", sink.clone()).start_at(start);
    let pipeline = Pipeline::builder("app", stream.clone()).leases(store.clone()).subscribe(subscription);
    let pipeline = pipeline.observer(Watch(std::sync::Arc::clone(&delivered))).build().unwrap();
    let enough = async {
        while sink.records().len() < records {
            delivered.notified().await;
        }
        // Whatever would come beyond that.
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    tokio::time::timeout(Duration::from_secs(30), pipeline.run_until(enough)).await.unwrap().unwrap();
    let mut got: Vec<String> =
        sink.records().iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect();
    got.sort();
    got
}

fn put(stream: &MemoryStream, text: &str, count: usize) -> Vec<(ShardId, SequenceNumber)> {
    (0..count).map(|nth| stream.put(format!("key-{nth}"), format!("{text}-{nth}")).unwrap()).collect()
}

fn names(text: &str, indices: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    indices.into_iter().map(|nth| format!("{text}-{nth}")).collect()
}

#[tokio::test]
async fn a_pipeline_goes_on_where_a_kcl_application_stopped_and_the_other_way_round() {
    let server = Server::start().await;
    let stream = MemoryStream::new("orders", 2);
    let store = server.builder().stream(StreamSource::stream(&stream)).connect().await.unwrap();
    let shards: Vec<ShardId> = stream.shards().into_iter().map(|shard| shard.id).collect();
    let placed = put(&stream, "before", 20);
    // The KCL application has done the first five of one shard, and nothing of the other.
    let first: Vec<usize> = (0..20).filter(|nth| placed[*nth].0 == shards[0]).collect();
    leave(&server, &shards[0], &placed[first[4]].1.to_string(), &[]).await;
    leave(&server, &shards[1], "TRIM_HORIZON", &[]).await;

    // The subscription starts at the tip, and goes on where the application was.
    let undone: BTreeSet<usize> = (0..20).filter(|nth| !first[..5].contains(nth)).collect();
    let got = run(&store, &stream, StartPosition::Latest, undone.len()).await;
    assert_eq!(got.iter().cloned().collect::<BTreeSet<_>>(), names("before", undone.iter().copied()));
    assert_eq!(got.len(), undone.len(), "nothing came twice");

    // The KCL takes over: its checkpoint is the last record that was delivered.
    for shard in &shards {
        let item = server.item(shard).await;
        let last = placed.iter().filter(|(of, _)| of == shard).map(|(_, number)| number).max().unwrap();
        assert_eq!(item["checkpoint"], AttributeValue::S(last.to_string()));
        assert!(!item.contains_key("leaseOwner"), "{item:?}");
    }
    let during = put(&stream, "during", 20);
    for shard in &shards {
        let last = during.iter().filter(|(of, _)| of == shard).map(|(_, number)| number).max().unwrap();
        leave(&server, shard, &last.to_string(), &[]).await;
    }

    // And hands back.
    put(&stream, "after", 20);
    let got = run(&store, &stream, StartPosition::Latest, 20).await;
    assert_eq!((got.iter().cloned().collect::<BTreeSet<_>>(), got.len()), (names("after", 0..20), 20));
}

#[tokio::test]
async fn what_the_kcl_has_finished_is_not_read_again_and_the_children_are() {
    // The KCL removes the lease of a parent when its children have begun.
    for (removed, start) in
        [(false, StartPosition::Latest), (true, StartPosition::Latest), (true, StartPosition::TrimHorizon)]
    {
        let server = Server::start().await;
        let stream = MemoryStream::new("orders", 1);
        let store = server.builder().stream(StreamSource::stream(&stream)).connect().await.unwrap();
        let parent = stream.shards()[0].id.clone();
        put(&stream, "parent", 10);
        stream.split(&parent).unwrap();
        let placed = put(&stream, "child", 10);
        let children: Vec<ShardId> = stream.shards()[1..].iter().map(|shard| shard.id.clone()).collect();
        if !removed {
            leave(&server, &parent, "SHARD_END", &[&children[0], &children[1]]).await;
        }
        // Of the children it has begun with one; the other has no lease yet.
        let of_first: Vec<usize> = (0..10).filter(|nth| placed[*nth].0 == children[0]).collect();
        leave(&server, &children[0], &placed[of_first[0]].1.to_string(), &[]).await;
        let undone = (0..10).filter(|nth| *nth != of_first[0]);
        let got = run(&store, &stream, start, 9).await;
        assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), names("child", undone), "{start}, removed: {removed}");
    }
}
