//! The contract of a source, proved for `KinesisSource` with the real SDK against the in-process wire.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::source::{Caps, Fault, Harness};
use kinesis_core::{SequenceNumber, ShardId, StreamSource, conformance};
use kinesis_mock::{Answer, MemoryStream, WireClient, http_client};

use crate::KinesisSource;
use crate::tests::{SECRET, config};

/// More reads than a check makes.
const ALWAYS: usize = 100;

struct OverTheWire {
    stream: MemoryStream,
    http: WireClient,
    source: Arc<KinesisSource>,
}

#[async_trait]
impl Harness for OverTheWire {
    fn source(&self) -> Arc<dyn StreamSource> {
        Arc::clone(&self.source) as _
    }

    fn caps(&self) -> Caps {
        Caps::none().with_reshard().with_trim().with_faults().with_virtual_time()
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    async fn put(&self, key: &str, data: Bytes) -> (ShardId, SequenceNumber) {
        self.stream.put(key, data).unwrap()
    }

    async fn split(&self, shard: &ShardId) {
        self.stream.split(shard).unwrap();
    }

    async fn merge(&self, a: &ShardId, b: &ShardId) {
        self.stream.merge(a, b).unwrap();
    }

    async fn trim(&self, _: &ShardId, through: &SequenceNumber) {
        self.stream.trim(*through);
    }

    async fn fail(&self, fault: Fault) {
        let answers = match fault {
            Fault::Throttled => vec![Answer::fail("ProvisionedThroughputExceededException")],
            Fault::Permanent => vec![Answer::fail("AccessDeniedException"); ALWAYS],
            _ => vec![Answer::DropReply],
        };
        self.http.script("GetRecords", answers);
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_keeps_its_contract() {
    conformance::source(async || {
        let stream = MemoryStream::new("orders", 2);
        let http = http_client(&stream);
        let source = Arc::new(KinesisSource::builder(&config(&http), "orders").unlimited().connect().await.unwrap());
        OverTheWire { stream, http, source }
    })
    .await;
}
