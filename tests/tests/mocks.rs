//! The mocks of the feature `mock`: code that takes a trait object is tested with answers told beforehand.

use kinesis_core::lease::MockLeaseStore;
use kinesis_core::sink::MockSink;
use kinesis_core::source::{MockShardReader, MockStreamSource};
use kinesis_core::{
    Batch, Error, ErrorKind, HeldLease, Lease, LeaseStore, Nonce, Outcomes, Pipeline, Progress, Record, Renewed,
    SequenceNumber, Shard, ShardEnd, StartPosition, StreamId, Subscription,
};

#[tokio::test(start_paused = true)]
async fn a_pipeline_runs_from_a_mocked_source_to_a_mocked_sink() {
    let mut source = MockStreamSource::new();
    source.expect_stream().return_const(StreamId::new("told"));
    source.expect_caps().returning(Default::default);
    source.expect_list_shards().returning(|| Ok(vec![Shard::new("0").with_end(None)]));
    source.expect_open_shard().once().returning(|_, from| {
        assert_eq!(from, StartPosition::TrimHorizon);
        let mut reader = MockShardReader::new();
        let records = vec![Record::new(SequenceNumber::from(1), "key", "data")];
        reader.expect_next_batch().once().return_once(|_| Ok(Batch::new(records)));
        reader.expect_next_batch().returning(|_| Ok(Batch::empty().with_end(ShardEnd::default())));
        Ok(Box::new(reader))
    });
    let mut sink = MockSink::new();
    sink.expect_deliver().once().returning(|delivery| Ok(Outcomes::delivered(delivery.len())));

    let subscription = Subscription::new("told", sink).start_at(StartPosition::TrimHorizon);
    let pipeline = Pipeline::builder("mocks", source).subscribe(subscription).build().expect("it can be built");
    let summary = pipeline.run_until(std::future::pending()).await.expect("nothing fails");
    assert_eq!(summary.subscriptions["told"].delivered, 1);
}

#[tokio::test]
async fn a_mocked_store_can_lose_a_lease() {
    let mut store = MockLeaseStore::new();
    store.expect_advance().once().returning(|_, _| Ok(Renewed::Held));
    store.expect_advance().returning(|held, progress| {
        assert!(progress.is_some());
        Err(Error::new(ErrorKind::LeaseLost, format!("somebody else holds {}", held.key())))
    });
    let mut row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
    (row.owner, row.nonce) = (Some("me".into()), Some(Nonce::new(7)));
    let mut held = HeldLease::new(row);
    assert_eq!(store.advance(&mut held, None).await.expect("it is held"), Renewed::Held);
    let lost = store.advance(&mut held, Some(&Progress::default())).await.expect_err("it is lost");
    assert_eq!((lost.kind(), lost.to_string()), (ErrorKind::LeaseLost, "somebody else holds s/0".to_owned()));
}
