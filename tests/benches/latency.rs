//! From put to callback at a hundred records a second, through a socket, the SDK and a pipeline: polled every 200 ms, which
//! is as often as the service allows, and pushed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use kinesis_aws::{KinesisSource, KinesisSourceBuilder};
use kinesis_core::{Pipeline, Record, StartPosition, Subscription, handler};
use kinesis_mock::{Account, MemoryStream, Server};
use kinesis_tests::measure::goal_at_most;
use tokio::time::{Instant, interval, sleep};

const RECORDS: u64 = 1000;
const EVERY: Duration = Duration::from_millis(10);
/// Time for the last to arrive.
const REST: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("{RECORDS} records, one every {} ms", EVERY.as_millis());
    let polled = measure(|source| source).await;
    goal_at_most("latency-polled", show("polled", polled), 110.0);
    let pushed = measure(|source| source.consumer("bench")).await;
    goal_at_most("latency-pushed", show("pushed", pushed), 10.0);
}

/// Prints the latencies; answers the median in milliseconds.
fn show(way: &str, mut latencies: Vec<Duration>) -> f64 {
    latencies.sort_unstable();
    let at = |share: f64| latencies[(share * (latencies.len() - 1) as f64) as usize].as_secs_f64() * 1000.0;
    println!("{way}: median {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(0.5), at(0.99), at(1.0));
    at(0.5)
}

async fn measure(how: impl FnOnce(KinesisSourceBuilder) -> KinesisSourceBuilder) -> Vec<Duration> {
    let account = Account::new();
    let stream = account.create("orders", 1);
    let server = Server::start(&account).await.expect("there is a port");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "bench")))
        .endpoint_url(server.endpoint())
        .build();
    let source = how(KinesisSource::builder(&config, "orders")).connect().await.expect("the server is there");
    let began = Instant::now();
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&latencies);
    let sink = handler(move |record: Record| {
        let put_at: u64 = String::from_utf8_lossy(&record.data).parse().expect("it was put so");
        let latency = began.elapsed().saturating_sub(Duration::from_micros(put_at));
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
        async {}
    });
    let pipeline = Pipeline::builder("bench", source)
        .idle(Duration::from_millis(200))
        .subscribe(Subscription::new("bench", sink).start_at(StartPosition::TrimHorizon))
        .build()
        .expect("the configuration is valid");
    pipeline.run_until(put(&stream, began)).await.expect("the server is there");
    let latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
    assert_eq!(latencies.len(), RECORDS as usize);
    latencies
}

/// Puts the records, each with the time since `began` in microseconds.
async fn put(stream: &MemoryStream, began: Instant) {
    // What has to be found, opened and subscribed to is no part of the latency.
    sleep(REST).await;
    let mut ticks = interval(EVERY);
    for n in 0..RECORDS {
        ticks.tick().await;
        let data = began.elapsed().as_micros().to_string();
        stream.put(format!("key-{}", n % 100), data).expect("the stream takes it");
    }
    sleep(REST).await;
}
