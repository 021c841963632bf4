//! The server goes away in the middle and comes back: over real sockets, polled and pushed.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinesis_core::{Outcome, Pipeline, Record, StartPosition, Subscription, handler};
use kinesis_mock::{Account, Server};
use kinesis_tests::sdk::Way;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_server_that_is_restarted_costs_no_record() {
    for way in Way::ALL {
        let account = Account::new();
        let stream = account.create("orders", 1);
        let server = Server::start(&account).await.unwrap();
        let address = server.address();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrived);
        let sink = handler(move |record: Record| {
            seen.lock().unwrap().push(String::from_utf8_lossy(&record.data).parse::<u64>().unwrap());
            async { Outcome::Delivered }
        });
        let source = way.source_at(&server.endpoint(), "orders").connect().await.unwrap();
        let subscription = Subscription::new("story", sink).start_at(StartPosition::TrimHorizon);
        let pipeline = Pipeline::builder("stories", source).idle(Duration::from_millis(20)).subscribe(subscription);
        let put = |from: u64| {
            stream.put_all((from..from + 50).map(|n| ("key", n.to_string()))).unwrap();
        };
        let has = async |count: usize| {
            while arrived.lock().unwrap().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let story = async {
            put(0);
            has(50).await;
            drop(server);
            put(50);
            sleep(Duration::from_millis(100)).await;
            let _server = Server::bind(&account, address).await.unwrap();
            put(100);
            has(150).await;
        };
        let told = timeout(Duration::from_secs(30), pipeline.build().unwrap().run_until(story)).await;
        told.unwrap_or_else(|_| panic!("{}: {} of 150 arrived", way.name, arrived.lock().unwrap().len())).unwrap();
        let mut all = arrived.lock().unwrap().clone();
        all.dedup();
        assert_eq!(all, (0..150).collect::<Vec<_>>(), "{}", way.name);
    }
}
