//! What the pipeline costs a record, beside a plain tokio channel that carries the same records one by one.
//!
//! Rounds alternate, and medians are compared, because a machine drifts. Everything runs on one thread, so that the
//! figures are the work's and not the scheduler's.

use std::future::pending;

use kinesis_core::{BatchPolicy, Ordering, Pipeline, Record, StartPosition, StreamSource, Subscription};
use kinesis_mock::MemoryStream;
use kinesis_tests::measure::{NoOp, Rounds, goal_at_least, goal_at_most, round};
use std::num::NonZeroUsize;

const RECORDS: usize = 400_000;
const PAYLOAD: usize = 200;
const SHARDS: usize = 4;
const KEYS: usize = 5_000;
const ROUNDS: usize = 11;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let stream = MemoryStream::new("bench", SHARDS);
    for n in 0..RECORDS {
        stream.put(format!("key-{}", n % KEYS), vec![n as u8; PAYLOAD]).expect("the record is valid");
    }
    stream.finish();
    let records = read_all(&stream).await;
    println!("{RECORDS} records of {PAYLOAD} bytes, {KEYS} keys, {SHARDS} shards, {ROUNDS} rounds, one thread");

    let mut channel = Rounds::of(RECORDS);
    let mut one = Rounds::of(RECORDS);
    let mut ten = Rounds::of(10 * RECORDS);
    let mut single = Rounds::of(RECORDS);
    for nth in 0..=ROUNDS {
        let (a, b, c, d) = (
            round(through_channel(&records)).await,
            round(through_pipeline(&stream, 1, BatchPolicy::of(500))).await,
            round(through_pipeline(&stream, 10, BatchPolicy::of(500))).await,
            round(through_pipeline(&stream, 1, BatchPolicy::of(1))).await,
        );
        // The first round warms up.
        if nth > 0 {
            channel.push(a);
            one.push(b);
            ten.push(c);
            single.push(d);
        }
    }
    println!("tokio mpsc, capacity 1024          {channel}");
    println!("pipeline, 1 subscription           {one}");
    println!("pipeline, 10 subscriptions         {ten}   (a delivered record)");
    println!("pipeline, deliveries of one record {single}");
    goal_at_least("pipeline-rate", one.rate() / channel.rate(), 1.0);
    goal_at_most("pipeline-cpu", one.cpu_micros(), 0.4);
    goal_at_most("pipeline-ten", ten.cpu_micros() / one.cpu_micros(), 0.4);
}

async fn through_pipeline(stream: &MemoryStream, subscriptions: usize, batch: BatchPolicy) {
    let mut builder = Pipeline::builder("bench", stream.clone());
    for n in 0..subscriptions {
        let subscription = Subscription::new(format!("no-op-{n}"), NoOp);
        builder = builder
            .subscribe(subscription.start_at(StartPosition::TrimHorizon).ordering(Ordering::per_key(8)).batch(batch));
    }
    let pipeline = builder.build().expect("the configuration is valid");
    let summary = pipeline.run_until(pending()).await.expect("memory does not fail");
    assert!(summary.subscriptions.values().all(|counts| counts.delivered == RECORDS as u64));
}

async fn through_channel(records: &[Record]) {
    let (send, mut receive) = tokio::sync::mpsc::channel(1024);
    let records = records.to_vec();
    let sender = tokio::spawn(async move {
        for record in records {
            send.send(record).await.expect("the receiver is alive");
        }
    });
    let mut count = 0;
    while let Some(record) = receive.recv().await {
        std::hint::black_box(&record);
        count += 1;
    }
    sender.await.expect("the sender does not panic");
    assert_eq!(count, RECORDS);
}

async fn read_all(stream: &MemoryStream) -> Vec<Record> {
    let mut all = Vec::with_capacity(RECORDS);
    for shard in stream.list_shards().await.expect("memory does not fail") {
        let mut reader = stream.open_shard(&shard.id, StartPosition::TrimHorizon).await.expect("the shard exists");
        loop {
            let batch = reader.next_batch(NonZeroUsize::MAX).await.expect("memory does not fail");
            if batch.records.is_empty() {
                break;
            }
            all.extend(batch.records);
        }
    }
    all
}
