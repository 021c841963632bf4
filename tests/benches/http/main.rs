//! What `HttpSink` costs beside a bare hyper-util loop that sends the same bytes to the same server: unsigned, signed, to
//! fifty subscribers, and in batches of a hundred; and what a dead and a slow one among fifty cost the others.
//!
//! All keep 64 requests in flight; rounds alternate, and neighbours are compared, because a machine drifts. A lone sink
//! writes each record anew, and the fifty write it once; what the bare loop sends was written before.

mod crowd;
mod load;
mod server;

use std::sync::Arc;

use hyper::Uri;
use kinesis_core::Delivery;
use kinesis_http_sink::{Client, CloudEvents, HttpSink, HttpSinkBuilder, Secret};
use kinesis_tests::measure::{Rounds, goal_at_least, round};

use load::{IN_FLIGHT, RECORDS, bare_client, delivery, request_of, with_bare, with_sinks};

/// Requests a round; of batches so many fewer as there are records in one, but for a tenth.
const REQUESTS: usize = 30_000;
const ROUNDS: usize = 11;
const SUBSCRIBERS: usize = 50;
const BATCH: usize = 100;
const BATCHES: usize = REQUESTS / 10;

/// One way to send, and what it took.
struct Case<'a> {
    name: &'static str,
    /// Made anew for each round: sinks that are there at the same time share what they have written.
    sinks: Box<dyn Fn() -> Vec<HttpSink> + 'a>,
    deliveries: Arc<[Delivery]>,
    requests: usize,
    rounds: Rounds,
}

impl<'a> Case<'a> {
    fn new(
        name: &'static str,
        deliveries: &Arc<[Delivery]>,
        requests: usize,
        sinks: impl Fn() -> Vec<HttpSink> + 'a,
    ) -> Self {
        let records = requests * deliveries[0].len();
        let deliveries = Arc::clone(deliveries);
        Self { name, sinks: Box::new(sinks), deliveries, requests, rounds: Rounds::of(records) }
    }

    async fn run(&mut self) {
        let sinks: Arc<[HttpSink]> = (self.sinks)().into();
        // Some unmeasured: connections are made and the processor warms up.
        with_sinks(&sinks, &self.deliveries, self.requests / 10).await;
        self.rounds.push(round(with_sinks(&sinks, &self.deliveries, self.requests)).await);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != server::SERVE).skip(1);
    if let Some(subscribers) = arguments.next() {
        return server::serve(subscribers.parse().expect("the number is our own")).await;
    }
    let (urls, _server) = server::start(SUBSCRIBERS).await;
    let uri: Uri = urls[0].parse().expect("an address makes a URL");
    let singles: Arc<[Delivery]> = (0..RECORDS).map(|nth| delivery(nth, 1)).collect();
    let batches: Arc<[Delivery]> = (0..RECORDS / BATCH).map(|nth| delivery(nth * BATCH, BATCH)).collect();
    let bodies: Arc<[_]> = singles.iter().map(request_of).collect();
    println!("{IN_FLIGHT} in flight, bodies of {} bytes, {REQUESTS} requests a round", bodies[0].1.len());

    let sink = |builder: HttpSinkBuilder| builder.concurrency(IN_FLIGHT).build().expect("the URLs are our own");
    let one = || HttpSink::builder(&urls[0]);
    let key = Secret::from_bytes(&[7; 32]).expect("32 bytes are a key");
    let client = Client::builder().max_idle_per_host(IN_FLIGHT).build();
    let of_fifty = |url: &String| sink(HttpSink::builder(url).client(&client));
    let mut cases = [
        Case::new("unsigned", &singles, REQUESTS, || vec![sink(one())]),
        Case::new("signed", &singles, REQUESTS, || vec![sink(one().sign(key.clone()))]),
        Case::new("fifty subscribers", &singles, REQUESTS, || urls.iter().map(of_fifty).collect()),
        Case::new("batches of 100", &batches, BATCHES, || vec![sink(one().format(CloudEvents::batch()))]),
    ];

    let mut bares = Rounds::of(REQUESTS);
    for _ in 0..ROUNDS {
        // Made anew, as the sinks are: connections that are old are faster.
        let bare = bare_client();
        with_bare(&bare, &uri, &bodies, REQUESTS / 10).await;
        bares.push(round(with_bare(&bare, &uri, &bodies, REQUESTS)).await);
        for case in &mut cases {
            case.run().await;
        }
    }
    println!("{:<18}{bares}", "bare hyper-util");
    for case in &cases {
        println!("{:<18}{}", case.name, case.rounds);
    }
    let [unsigned, signed, fifty, batch] = cases.each_ref().map(|case| &case.rounds);
    goal_at_least("http-unsigned", unsigned.rate_beside(&bares), 0.85);
    goal_at_least("http-signed", signed.rate_beside(&bares), 0.75);
    goal_at_least("http-fifty", fifty.rate_beside(unsigned), 0.8);
    goal_at_least("http-batches", batch.rate_beside(unsigned), 10.0);
    crowd::compare(&urls).await;
}
