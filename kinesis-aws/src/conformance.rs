//! The contract of a source, proved for `KinesisSource` with the real SDK against the in-process wire.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::source::{Caps, Fault, Harness};
use kinesis_core::{SequenceNumber, ShardId, StreamSource, conformance};
use kinesis_mock::{Answer, MemoryStream, WireClient, http_client};

use crate::tests::{SECRET, config};
use crate::{KinesisSource, WireFormat};

/// More reads than a check makes.
const ALWAYS: usize = 100;

const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
const CONSUMER: &str = "tests";

/// How the source reads.
#[derive(Debug, Clone, Copy)]
struct Way {
    wire_format: WireFormat,
    fast: bool,
    pushed: bool,
}

struct OverTheWire {
    stream: MemoryStream,
    http: WireClient,
    source: Arc<KinesisSource>,
    pushed: bool,
}

impl OverTheWire {
    async fn new(way: Way) -> Self {
        let stream = MemoryStream::new("orders", 2);
        let http = http_client(&stream);
        let mut source = KinesisSource::builder(&config(&http), "orders").unlimited();
        source = source.wire_format(way.wire_format).fast_read(way.fast);
        if way.pushed {
            source = source.consumer(CONSUMER);
        }
        let source = Arc::new(source.connect().await.unwrap());
        Self { stream, http, source, pushed: way.pushed }
    }
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
        if !self.pushed {
            return self.http.script("GetRecords", answers);
        }
        self.http.script("SubscribeToShard", answers);
        if fault == Fault::Permanent {
            // A subscription that stands outlives what is refused now, unless the consumer goes.
            let sdk = aws_sdk_kinesis::Client::new(&config(&self.http));
            let gone = sdk.deregister_stream_consumer().stream_arn(STREAM_ARN).consumer_name(CONSUMER);
            gone.send().await.unwrap();
        }
    }
}

async fn keeps_its_contract(wire_format: WireFormat, fast: bool, pushed: bool) {
    conformance::source(async || OverTheWire::new(Way { wire_format, fast, pushed }).await).await;
}

#[tokio::test(start_paused = true)]
async fn polling_keeps_the_contract() {
    keeps_its_contract(WireFormat::Json, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn polling_the_plain_way_keeps_the_contract() {
    keeps_its_contract(WireFormat::Json, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn polling_in_cbor_keeps_the_contract() {
    keeps_its_contract(WireFormat::Cbor, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn fan_out_keeps_the_contract() {
    keeps_its_contract(WireFormat::Json, true, true).await;
}

#[tokio::test(start_paused = true)]
async fn fan_out_the_plain_way_keeps_the_contract() {
    keeps_its_contract(WireFormat::Json, false, true).await;
}

#[tokio::test(start_paused = true)]
async fn fan_out_in_cbor_keeps_the_contract() {
    keeps_its_contract(WireFormat::Cbor, true, true).await;
}
