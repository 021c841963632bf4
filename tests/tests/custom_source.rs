//! A source of one's own in 35 lines passes the conformance suite: if it takes more, the trait is wrong.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::{self, source::Harness};
use kinesis_core::{
    Batch, Error, Record, Result, SequenceNumber, Shard, ShardId, ShardReader, StartPosition, StreamId, StreamSource,
    wall_clock,
};

// The source begins here.
#[derive(Debug, Clone)]
struct Lines {
    id: StreamId,
    log: Arc<Mutex<Vec<Record>>>,
}
#[async_trait]
impl StreamSource for Lines {
    fn stream(&self) -> &StreamId {
        &self.id
    }
    async fn list_shards(&self) -> Result<Vec<Shard>> {
        Ok(vec![Shard::new("lines")])
    }
    async fn open_shard(&self, shard: &ShardId, from: StartPosition) -> Result<Box<dyn ShardReader>> {
        if *shard != "lines" {
            return Err(Error::not_found("the only shard is \"lines\"").on_shard(shard));
        }
        let next = from.index_in(&self.log.lock().expect("no holder panics"));
        Ok(Box::new(LinesReader { log: Arc::clone(&self.log), next }))
    }
}
#[derive(Debug)]
struct LinesReader {
    log: Arc<Mutex<Vec<Record>>>,
    next: usize,
}
#[async_trait]
impl ShardReader for LinesReader {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Result<Batch> {
        let log = self.log.lock().expect("no holder panics");
        let records: Vec<_> = log[self.next..].iter().take(max.get()).cloned().collect();
        self.next += records.len();
        Ok(Batch::new(records))
    }
}
// The source ends here.

impl Lines {
    fn new() -> Self {
        Self { id: StreamId::new("lines"), log: Arc::default() }
    }

    fn push(&self, key: &str, data: Bytes) -> SequenceNumber {
        let mut log = self.log.lock().expect("no holder panics");
        let number = SequenceNumber::from(log.len() as u64);
        // A wall clock may step back; times of arrival may not.
        let last = log.last().and_then(|last| last.arrived_at).unwrap_or(UNIX_EPOCH);
        log.push(Record::new(number, key, data).with_arrived_at(wall_clock::now().max(last)));
        number
    }
}

#[async_trait]
impl Harness for Lines {
    fn source(&self) -> Arc<dyn StreamSource> {
        Arc::new(self.clone())
    }

    async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
        ("lines".into(), self.push(key, data))
    }
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    let report = conformance::source_report(async || Lines::new()).await;
    report.assert_kept();
    // What it cannot be asked: to split, to trim, to fail, and to stand still in time.
    assert_eq!(report.skipped().len(), 16, "{:?}", report.skipped());
}

#[tokio::test(start_paused = true)]
async fn it_conforms_behind_pointers() {
    struct Behind(Arc<dyn StreamSource>, Lines);
    #[async_trait]
    impl Harness for Behind {
        fn source(&self) -> Arc<dyn StreamSource> {
            Arc::clone(&self.0)
        }
        async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
            self.1.put(key, data).await
        }
    }
    conformance::source(async || {
        let lines = Lines::new();
        Behind(Arc::new(Box::new(lines.clone()) as Box<dyn StreamSource>), lines)
    })
    .await;
}

#[test]
fn it_has_35_lines_at_most() {
    let file = include_str!("custom_source.rs");
    let inside = |line: &&str| !line.contains("The source ends here");
    let lines = file.lines().skip_while(|line| !line.starts_with("// The source begins here")).skip(1);
    assert!(lines.take_while(inside).count() <= 35);
}
