//! The sink with the real SDK against the in-process wire of kinesis-mock, on a paused clock.

use std::collections::BTreeMap;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::sink::{Caps, Harness};
use kinesis_core::{
    BatchPolicy, Delivery, ErrorKind, HashKey, OnReject, Ordering, Outcome, Pipeline, Record, Sink, StartPosition,
    StreamId, StreamSource, Subscription, conformance, handler,
};
use kinesis_mock::{Answer, MemoryStream, WireClient, http_client};
use proptest::prelude::*;

use super::KinesisSink;
use crate::KinesisSource;
use crate::tests::config;

struct Behind {
    stream: MemoryStream,
    http: WireClient,
    sink: Arc<KinesisSink>,
}

impl Behind {
    async fn new(aggregate: bool) -> Self {
        let stream = MemoryStream::new("orders", 1);
        let http = http_client(&stream);
        let sink = KinesisSink::builder(&config(&http), "orders").aggregate(aggregate).connect().await.unwrap();
        Self { stream, http, sink: Arc::new(sink) }
    }

    /// Everything on the stream, unpacked, in its order.
    async fn read(&self) -> Vec<Record> {
        let source = KinesisSource::builder(&config(&http_client(&self.stream)), "orders").unlimited().connect().await;
        let source = source.unwrap();
        let mut records = Vec::new();
        for shard in source.list_shards().await.unwrap() {
            let mut reader = source.open_shard(&shard.id, StartPosition::TrimHorizon).await.unwrap();
            loop {
                let batch = reader.next_batch(NonZeroUsize::new(10_000).unwrap()).await.unwrap();
                if batch.records.is_empty() {
                    break;
                }
                records.extend(batch.records);
            }
        }
        records
    }
}

#[async_trait]
impl Harness for Behind {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink) as _
    }

    fn caps(&self) -> Caps {
        Caps::none().with_faults()
    }

    async fn arrived(&self) -> Vec<Bytes> {
        self.read().await.into_iter().map(|record| record.data).collect()
    }

    async fn refuse(&self) {
        self.http.script("PutRecords", [Answer::Refuse(vec![0])]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sink_keeps_its_contract() {
    conformance::sink(async || Behind::new(false).await).await;
    conformance::sink(async || Behind::new(true).await).await;
}

fn delivery(records: Vec<Record>) -> Delivery {
    Delivery::new(StreamId::new("from"), "0", "copies", records)
}

fn record(n: u64, key: &str, data: impl Into<Bytes>) -> Record {
    Record::new(n.into(), key, data)
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_would_not_take_is_rejected_alone() {
    let behind = Behind::new(false).await;
    let mut chosen = record(4, "d", "chosen");
    chosen.explicit_hash_key = Some(HashKey::MAX);
    let long = "ü".repeat(257);
    let records = vec![record(1, "", "x"), record(2, "b", vec![0; 1 << 20]), record(3, &long, "x"), chosen];
    let outcomes = behind.sink.deliver(&delivery(records)).await.unwrap();
    let reasons: Vec<String> = outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
    assert!(reasons[0].contains("has 0 characters, but must have 1 to 256"), "{reasons:?}");
    assert!(reasons[1].contains("has 1048577 bytes with its partition key, but the stream orders takes 1048576"));
    assert!(reasons[2].contains("has 257 characters"));
    assert_eq!(outcomes.get(3), Some(&Outcome::Delivered));
    assert_eq!(behind.read().await.len(), 1);
    assert_eq!(behind.http.calls("PutRecords"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_is_an_error_and_a_throttled_entry_is_busy() {
    let behind = Behind::new(false).await;
    let answers = [Answer::fail("AccessDeniedException"), Answer::DropReply, Answer::Refuse(vec![1])];
    behind.http.script("PutRecords", answers);
    let records = || delivery(vec![record(1, "a", "1"), record(2, "b", "2"), record(3, "b", "3")]);
    for kind in [ErrorKind::Denied, ErrorKind::Transient] {
        assert_eq!(behind.sink.deliver(&records()).await.unwrap_err().kind(), kind);
    }
    let outcomes = behind.sink.deliver(&records()).await.unwrap();
    let busy = Outcome::busy(None);
    assert_eq!(outcomes.iter().collect::<Vec<_>>(), [&Outcome::Delivered, &busy, &busy]);
}

/// Everything was sent again when the second request of a delivery failed.
#[tokio::test(start_paused = true)]
async fn what_has_arrived_stays_delivered_when_a_later_request_fails() {
    let behind = Behind::new(false).await;
    behind.http.script("PutRecords", [Answer::Serve, Answer::fail("InternalFailure")]);
    let records = vec![record(1, "a", "1"), record(2, "a", "2"), record(3, "b", "3")];
    let outcomes = behind.sink.deliver(&delivery(records)).await.unwrap();
    assert_eq!(outcomes.iter().collect::<Vec<_>>(), [&Outcome::Delivered, &Outcome::Retry, &Outcome::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_refused_when_the_sink_is_made() {
    let http = http_client(&MemoryStream::new("orders", 1));
    let sink = || KinesisSink::builder(&config(&http), "orders");
    for (refused, word) in [
        (sink().max_record_bytes(0).connect().await, "max_record_bytes is 0"),
        (sink().max_record_bytes((10 << 20) + 1).connect().await, "max_record_bytes is 10485761"),
        (sink().concurrency(0).connect().await, "concurrency is 0"),
        (KinesisSink::connect(&config(&http), "odors").await, "there is no stream odors"),
    ] {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// The keys and payloads of a stream, those of one key in their order; which of several keys is first says nothing.
fn by_key(records: &[Record]) -> BTreeMap<String, Vec<Bytes>> {
    let mut keys: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
    for record in records {
        let seen = keys.entry(record.partition_key.to_string()).or_default();
        // It may come twice after a lost reply; its first arrival counts.
        if !seen.contains(&record.data) {
            seen.push(record.data.clone());
        }
    }
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is refused and lost on the way: first arrivals of a key come in its order.
    #[test]
    fn records_of_a_key_arrive_in_their_order(
        keys in prop::collection::vec(0u8..6, 1..60),
        refusals in prop::collection::vec(prop::collection::vec(0usize..8, 0..4), 0..12),
        lost in prop::collection::vec(any::<bool>(), 0..4),
        aggregate in any::<bool>(),
        batch in 1usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let from = MemoryStream::new("from", 2);
            for (n, key) in keys.iter().enumerate() {
                from.put(format!("key-{key}"), n.to_string()).unwrap();
            }
            from.finish();
            let to = Behind::new(aggregate).await;
            let refusals = refusals.into_iter().map(Answer::Refuse);
            let lost = lost.into_iter().map(|lost| if lost { Answer::DropReply } else { Answer::Serve });
            to.http.script("PutRecords", refusals.chain(lost));
            let copies = Subscription::new("copies", Arc::clone(&to.sink))
                .start_at(StartPosition::TrimHorizon)
                .ordering(Ordering::per_key(4))
                .batch(BatchPolicy::of(batch));
            let pipeline = Pipeline::builder("copier", from).subscribe(copies).build().unwrap();
            let summary = pipeline.run_until(pending()).await.unwrap();
            assert_eq!(summary.subscriptions["copies"].delivered, keys.len() as u64);
            let put: Vec<Record> =
                keys.iter().enumerate().map(|(n, key)| record(n as u64, &format!("key-{key}"), n.to_string())).collect();
            assert_eq!(by_key(&to.read().await), by_key(&put));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_go_to_a_stream() {
    let from = MemoryStream::new("from", 1);
    from.put_all([("good", "1"), ("bad", "2"), ("good", "3")]).unwrap();
    from.finish();
    let dead = Behind::new(false).await;
    let choosy = handler(|record: Record| async move {
        if record.partition_key == "bad" { Outcome::rejected("bad on purpose") } else { Outcome::Delivered }
    });
    let subscription = Subscription::new("choosy", choosy)
        .start_at(StartPosition::TrimHorizon)
        .on_reject(OnReject::dead_letter(Arc::clone(&dead.sink)));
    let pipeline = Pipeline::builder("app", from).subscribe(subscription).build().unwrap();
    let summary = pipeline.run_until(pending()).await.unwrap();
    assert_eq!(summary.subscriptions["choosy"].dead_lettered, 1);
    let records = dead.read().await;
    assert_eq!((records.len(), &records[0].partition_key[..], &records[0].data[..]), (1, "bad", &b"2"[..]));
}
