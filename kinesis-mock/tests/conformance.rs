//! The suites over what this crate and the core keep in memory, bare and wrapped.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::{self, leases, sink, source};
use kinesis_core::{
    Batch, Error, LeaseStore, MemoryLeaseStore, Record, Result, SequenceNumber, Shard, ShardId, ShardReader, Sink,
    SourceCaps, StartPosition, StreamId, StreamSource,
};
use kinesis_mock::{Call, Fault, Faults, Faulty, MemoryHarness, MemoryStream, Odds, RecordingSink};
use tokio::sync::Notify;

fn stream() -> MemoryStream {
    MemoryStream::new("conformance", 4)
}

/// Faults that a check cannot tell from a stream that is slow to show what was put.
fn passing() -> Odds {
    Odds { throttle: 0.05, fail: 0.05, short: 0.1, empty: 0.05, drop_reply: 0.05, ..Odds::none() }
}

#[tokio::test(start_paused = true)]
async fn a_memory_stream_conforms_as_a_value_and_behind_pointers() {
    conformance::source(async || {
        let stream = stream();
        MemoryHarness::new(stream.clone(), stream)
    })
    .await;
    conformance::source(async || {
        let stream = stream();
        MemoryHarness::new(stream.clone(), Box::new(stream) as Box<dyn StreamSource>)
    })
    .await;
    conformance::source(async || {
        let stream = stream();
        MemoryHarness::new(stream.clone(), Arc::new(stream) as Arc<dyn StreamSource>)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_memory_stream_that_parks_conforms() {
    let report = conformance::source_report(async || {
        let stream = MemoryStream::builder("conformance").shards(4).parks(true).build();
        MemoryHarness::new(stream.clone(), stream)
    })
    .await;
    report.assert_kept();
    assert_eq!(report.skipped(), ["E1", "E2", "E3", "T1"]);
}

#[tokio::test(start_paused = true)]
async fn a_memory_stream_that_trims_silently_conforms() {
    conformance::source(async || {
        let stream = MemoryStream::builder("conformance").shards(4).trims_silently(true).build();
        let caps = source::Caps::none().with_reshard().with_trim().with_virtual_time();
        MemoryHarness::new(stream.clone(), stream).with_caps(caps)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrapper_without_faults_conforms_and_no_check_is_skipped() {
    let report = conformance::source_report(async || {
        let (stream, faults) = (stream(), Faults::none());
        MemoryHarness::new(stream.clone(), Faulty::new(stream, faults.clone())).with_faults(faults)
    })
    .await;
    report.assert_kept();
    assert_eq!(report.skipped(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn faults_that_the_contract_allows_break_no_rule() {
    for seed in 0..10 {
        conformance::source(async || {
            let stream = stream();
            MemoryHarness::new(stream.clone(), Faulty::new(stream, Faults::seeded(seed, passing())))
                .with_caps(source::Caps::none().with_reshard().with_trim().with_refuses_trimmed())
        })
        .await;
    }
}

/// A pipe: records pass once, to whoever reads, and a read waits for them.
#[derive(Debug, Clone)]
struct Pipe {
    id: StreamId,
    queue: Arc<Mutex<VecDeque<Record>>>,
    more: Arc<Notify>,
}

impl Pipe {
    fn new() -> Self {
        Self { id: StreamId::new("pipe"), queue: Arc::default(), more: Arc::default() }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.queue.lock().expect("no holder panics")
    }
}

#[async_trait]
impl StreamSource for Pipe {
    fn stream(&self) -> &StreamId {
        &self.id
    }
    fn caps(&self) -> SourceCaps {
        SourceCaps::pipe()
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(vec![Shard::new("pipe")])
    }
    async fn open_shard(&self, shard: &ShardId, _: StartPosition) -> Result<Box<dyn ShardReader>> {
        if *shard != "pipe" {
            return Err(Error::not_found("the only shard is \"pipe\"").on_shard(shard));
        }
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl ShardReader for Pipe {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        loop {
            let more = self.more.notified();
            {
                let mut queue = self.queue();
                let count = queue.len().min(max.get());
                if count > 0 {
                    return Ok(Batch::new(queue.drain(..count).collect()));
                }
            }
            more.await;
        }
    }
}

struct Piped(Pipe, AtomicU64);

#[async_trait]
impl source::Harness for Piped {
    fn source(&self) -> Arc<dyn StreamSource> {
        Arc::new(self.0.clone())
    }
    async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
        let number = SequenceNumber::from(self.1.fetch_add(1, Relaxed));
        self.0.queue().push_back(Record::new(number, key, data));
        self.0.more.notify_waiters();
        ("pipe".into(), number)
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipe_conforms_in_all_that_applies_to_it() {
    let report = conformance::source_report(async || Piped(Pipe::new(), AtomicU64::new(0))).await;
    report.assert_kept();
    let replaying = ["O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O11", "O12", "R4", "R11", "C4", "X1", "X4", "X5"];
    assert!(replaying.iter().all(|id| report.skipped().contains(id)), "{:?}", report.skipped());
}

/// A recording sink, bare or wrapped. What it keeps is kept by the harness, so a restart loses nothing.
struct Recording {
    behind: RecordingSink,
    sink: Arc<dyn Sink>,
    faults: Option<Faults>,
}

#[async_trait]
impl sink::Harness for Recording {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }
    fn caps(&self) -> sink::Caps {
        let caps = sink::Caps::none().with_restart();
        if self.faults.is_some() { caps.with_faults() } else { caps }
    }
    async fn arrived(&self) -> Vec<Bytes> {
        self.behind.records().into_iter().map(|record| record.data).collect()
    }
    async fn restart(&self) {}
    async fn refuse(&self) {
        self.faults.as_ref().expect("declared with faults only").next(Call::Deliver, Fault::Fail);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_sink_conforms() {
    conformance::sink(async || {
        let behind = RecordingSink::new();
        Recording { sink: Arc::new(behind.clone()), behind, faults: None }
    })
    .await;
    conformance::sink(async || {
        let (behind, faults) = (RecordingSink::new(), Faults::none());
        Recording { sink: Arc::new(Faulty::new(behind.clone(), faults.clone())), behind, faults: Some(faults) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_with_faults_that_the_contract_allows_conforms() {
    for seed in 0..20 {
        let odds = Odds { fail: 0.0, drop_reply: 0.0, ..Odds::even(0.1) };
        conformance::sink(async || {
            let behind = RecordingSink::new();
            let sink = Faulty::new(behind.clone(), Faults::seeded(seed, odds));
            Recording { sink: Arc::new(sink), behind, faults: None }
        })
        .await;
    }
}

struct Store(Arc<dyn LeaseStore>);

#[async_trait]
impl leases::Harness for Store {
    fn store(&self) -> Arc<dyn LeaseStore> {
        Arc::clone(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn leases_in_memory_conform_bare_and_wrapped() {
    conformance::leases(async || Store(Arc::new(MemoryLeaseStore::new()))).await;
    conformance::leases(async || Store(Arc::new(Box::new(MemoryLeaseStore::new()) as Box<dyn LeaseStore>))).await;
    conformance::leases(async || Store(Arc::new(Faulty::new(MemoryLeaseStore::new(), Faults::none())))).await;
}
