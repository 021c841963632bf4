use std::collections::VecDeque;
use std::sync::Condvar;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::input::number::numbered;
use crate::input::original;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kinesis_core::SequenceNumber;
use kinesis_core::conformance;
use kinesis_core::conformance::source::{Caps, Harness};

const MAX: NonZeroUsize = NonZeroUsize::new(2).unwrap();

async fn reader(source: &InputSource, from: StartPosition) -> Result<Box<dyn ShardReader>> {
    source.open_shard(&SHARD.into(), from).await
}

fn lines(count: usize) -> impl Read + Send + 'static {
    let line = |n: usize| format!("{{\"channel\":\"c\",\"data\":\"{n}\"}}\n");
    io::Cursor::new((1..=count).map(line).collect::<String>())
}

#[tokio::test]
async fn the_end_comes_after_the_last_record_and_again() {
    let source = InputSource::read("test", lines(3)).unwrap();
    let mut reader = reader(&source, StartPosition::TrimHorizon).await.unwrap();
    let mut seen = Vec::new();
    let end = loop {
        let batch = reader.next_batch(MAX).await.unwrap();
        assert!(batch.records.len() <= MAX.get());
        seen.extend(batch.records.iter().map(|record| original(record.sequence_number).to_string()));
        if let Some(end) = batch.end {
            break end;
        }
    };
    assert_eq!(seen, ["1", "2", "3"]);
    assert!(source.is_exhausted());
    assert_eq!(reader.next_batch(MAX).await.unwrap().end, Some(end));
    assert_eq!(source.failure(), None);
}

#[tokio::test]
async fn what_comes_before_a_broken_line_is_read_and_the_failure_is_told_at_the_end() {
    let source = InputSource::read("events", lines(1).chain(io::Cursor::new("{\"channel\":}"))).unwrap();
    let mut reader = reader(&source, StartPosition::TrimHorizon).await.unwrap();
    assert_eq!(reader.next_batch(MAX).await.unwrap().records.len(), 1);
    assert!(reader.next_batch(MAX).await.unwrap().end.is_some());
    assert!(source.failure().unwrap().to_string().starts_with("events, line 2, column 12: "));
}

#[tokio::test]
async fn records_arrive_while_the_pipe_stays_open_and_a_dropped_read_loses_none() {
    let (read, mut write) = io::pipe().unwrap();
    let source = InputSource::read("pipe", read).unwrap();
    let mut reader = reader(&source, StartPosition::Latest).await.unwrap();
    tokio::select! {
        biased;
        _ = reader.next_batch(MAX) => panic!("there is no record yet"),
        () = tokio::task::yield_now() => {}
    }
    io::Write::write_all(&mut write, b"{\"channel\":\"c\",\"data\":\"\"}").unwrap();
    assert_eq!(reader.next_batch(MAX).await.unwrap().records.len(), 1);
    assert!(!source.is_exhausted());
    drop(write);
    assert!(reader.next_batch(MAX).await.unwrap().end.is_some());
}

#[tokio::test]
async fn a_reader_goes_on_where_the_one_before_stopped_and_not_before() {
    let source = InputSource::read("test", lines(3)).unwrap();
    let mut first = reader(&source, StartPosition::TrimHorizon).await.unwrap();
    let passed = first.next_batch(MAX).await.unwrap().records;
    let (one, two) = (passed[0].sequence_number, passed[1].sequence_number);
    for gone in [StartPosition::At(two), StartPosition::After(one)] {
        assert_eq!(reader(&source, gone).await.unwrap_err().kind(), ErrorKind::PositionExpired);
    }
    let mut second = reader(&source, StartPosition::After(two)).await.unwrap();
    assert_eq!(second.next_batch(MAX).await.unwrap().records[0].data, "3");
    let missing = source.open_shard(&"shardId-1".into(), StartPosition::Latest).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let missing = InputSource::open(Path::new("no/such/file")).unwrap_err();
    assert!(missing.chain().starts_with("cannot read the input no/such/file: No such file"), "{missing:?}");
    assert!(InputSource::open(Path::new(".")).unwrap_err().message().ends_with("it is a directory"));
}

/// A pipe whose writer waits until what was written is read and parsed. So a test on a paused clock finds it there, and
/// the clock does not run ahead of the thread that reads.
#[derive(Clone, Default)]
struct Pipe(Arc<(std::sync::Mutex<Flow>, Condvar)>);

#[derive(Default)]
struct Flow {
    bytes: VecDeque<u8>,
    /// The reader has taken everything and wants more.
    is_idle: bool,
    is_closed: bool,
}

impl Pipe {
    fn write(&self, bytes: &[u8]) {
        let (flow, changed) = &*self.0;
        let mut flow = flow.lock().unwrap();
        flow.bytes.extend(bytes);
        flow.is_idle = false;
        changed.notify_all();
        drop(changed.wait_while(flow, |flow| !flow.is_idle).unwrap());
    }

    fn close(&self) {
        self.0.0.lock().unwrap().is_closed = true;
        self.0.1.notify_all();
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (flow, changed) = &*self.0;
        let mut flow = flow.lock().unwrap();
        flow.is_idle = flow.bytes.is_empty();
        changed.notify_all();
        let mut flow = changed.wait_while(flow, |flow| flow.bytes.is_empty() && !flow.is_closed).unwrap();
        flow.bytes.read(out)
    }
}

/// An input that is written while it is read.
struct Writer {
    source: InputSource,
    pipe: Pipe,
    written: AtomicU64,
}

impl Writer {
    fn new() -> Self {
        let pipe = Pipe::default();
        // More chunks ahead than there are records: a writer that waits must not wait for a reader of the source.
        let source = InputSource::read_ahead("pipe".into(), pipe.clone(), 1 << 16).unwrap();
        Self { source, pipe, written: AtomicU64::new(0) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.pipe.close();
    }
}

#[async_trait]
impl Harness for Writer {
    fn source(&self) -> Arc<dyn StreamSource> {
        Arc::new(self.source.clone())
    }

    fn caps(&self) -> Caps {
        Caps::none().with_refuses_trimmed()
    }

    async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
        let data = STANDARD.encode(data);
        let line = serde_json::json!({ "partitionKey": key, "encoding": "base64", "data": data });
        self.pipe.write(line.to_string().as_bytes());
        let position = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        (SHARD.into(), numbered(position, SequenceNumber::from(position)).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_rules_of_a_source() {
    conformance::source(async || Writer::new()).await;
}
