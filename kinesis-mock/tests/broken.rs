//! A suite that never failed proves nothing: every flaw is caught, by the check that is there for it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::{self, Report, leases, sink};
use kinesis_core::{LeaseStore, MemoryLeaseStore, Sink};
use kinesis_mock::broken::{BrokenSink, BrokenSource, BrokenStore, SinkFlaw, SourceFlaw, StoreFlaw};
use kinesis_mock::{Call, Fault, Faults, Faulty, MemoryHarness, MemoryStream, RecordingSink};

fn assert_caught(report: &Report, flaw: &dyn std::fmt::Debug, check: &str) {
    assert!(report.broken().contains(&check), "{flaw:?} is to be caught by {check}; {report}");
}

#[tokio::test(start_paused = true)]
async fn every_flaw_of_a_source_is_caught_by_its_check() {
    for flaw in SourceFlaw::ALL {
        let report = conformance::source_report(async || {
            let (stream, faults) = (MemoryStream::new("broken", 2), Faults::none());
            let source = BrokenSource::new(Faulty::new(stream.clone(), faults.clone()), *flaw);
            MemoryHarness::new(stream, source).with_faults(faults)
        })
        .await;
        assert_caught(&report, flaw, flaw.caught_by());
    }
}

/// A receiver that keeps what it was given over a restart of the sink in front of it.
struct Restarting {
    behind: RecordingSink,
    sink: Arc<dyn Sink>,
    faults: Faults,
}

#[async_trait]
impl sink::Harness for Restarting {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }
    fn caps(&self) -> sink::Caps {
        sink::Caps::none().with_restart().with_faults()
    }
    async fn arrived(&self) -> Vec<Bytes> {
        self.behind.records().into_iter().map(|record| record.data).collect()
    }
    async fn restart(&self) {}
    async fn refuse(&self) {
        self.faults.next(Call::Deliver, Fault::Fail);
    }
}

#[tokio::test(start_paused = true)]
async fn every_flaw_of_a_sink_is_caught_by_its_check() {
    for flaw in SinkFlaw::ALL {
        let report = conformance::sink_report(async || {
            let (behind, faults) = (RecordingSink::new(), Faults::none());
            let sink = Arc::new(BrokenSink::new(Faulty::new(behind.clone(), faults.clone()), *flaw));
            Restarting { behind, sink, faults }
        })
        .await;
        assert_caught(&report, flaw, flaw.caught_by());
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
async fn every_flaw_of_a_lease_store_is_caught_by_its_check() {
    for flaw in StoreFlaw::ALL {
        let report =
            conformance::leases_report(async || Store(Arc::new(BrokenStore::new(MemoryLeaseStore::new(), *flaw))))
                .await;
        assert_caught(&report, flaw, flaw.caught_by());
    }
}
