//! Fifty subscribers of a pipeline, one of which is dead and one slow: what the others notice at a paced rate, and that the
//! dead one has everything when it comes back.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{BatchPolicy, Delivery, Ordering, Outcomes, Pipeline, Result, Sink, StartPosition, Subscription};
use kinesis_http_sink::{Event, HttpSink, Receiver};
use kinesis_tests::latencies::Latencies;
use kinesis_tests::measure::{cpu_time, goal_at_most, median};
use kinesis_tests::synthetic::{Plan, Synthetic, Then};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, sleep};

use super::server::SLOW;

/// Records a second, each of which goes to everybody.
const RATE: u32 = 100;
const ROUNDS: usize = 9;
const WARM_UP: Duration = Duration::from_millis(1_000);
const LASTS: Duration = Duration::from_millis(3_000);
/// The pause between reads at the tip.
const IDLE: Duration = Duration::from_millis(5);
/// A breaker asks a subscriber that was dead for a round again within this time.
const COMES_BACK: Duration = Duration::from_secs(60);

/// Compares a crowd in which two are ill with one in which they are missing.
pub(crate) async fn compare(urls: &[String]) {
    let (well, ill) = urls.split_at(urls.len() - 2);
    println!("{} well, one dead, one slow; {RATE} records a second, {ROUNDS} rounds of {LASTS:?}", well.len());
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Either goes first as often as the other: a machine that warms up, or is taken away, favours nobody.
        for is_beside in [round % 2 == 0, round % 2 == 1] {
            let rounds = if is_beside { &mut beside } else { &mut alone };
            rounds.push(Crowd::of(well).run(is_beside.then_some(&ill[0])).await);
        }
    }
    let [p99_alone, p99_beside] = [&alone, &beside].map(|rounds| median(rounds.iter().map(|(p99, _)| *p99)));
    let [cpu_alone, cpu_beside] = [&alone, &beside].map(|rounds| median(rounds.iter().map(|(_, cpu)| *cpu)));
    println!("p99 {p99_alone:.2} ms alone, {p99_beside:.2} beside them; {cpu_alone:.1} µs CPU each, {cpu_beside:.1}");
    // Neighbours are compared, as the requests are.
    let neighbours = || alone.iter().zip(&beside);
    goal_at_most("http-crowd-p99", median(neighbours().map(|(alone, beside)| beside.0 / alone.0)), 1.2);
    goal_at_most("http-crowd-cpu", median(neighbours().map(|(alone, beside)| beside.1 / alone.1)), 1.05);
}

/// Those that are well.
struct Crowd<'a> {
    urls: &'a [String],
    stream: Synthetic,
    sink: Noting,
}

impl<'a> Crowd<'a> {
    fn of(urls: &'a [String]) -> Self {
        let stream = Synthetic::new(Plan { then: Then::Goes(RATE), ..Plan::default() });
        let sink = Noting { latencies: Latencies::new(&stream), delivered: Arc::default() };
        Self { urls, stream, sink }
    }

    /// The p99 in milliseconds, and the processor time of a delivery in microseconds.
    async fn run(self, ill: Option<&String>) -> (f64, f64) {
        let mut builder = Pipeline::builder("bench", self.stream.clone()).idle(IDLE).drain_within(Duration::ZERO);
        for (nth, url) in self.urls.iter().enumerate() {
            builder = builder.subscribe(subscription(&format!("well-{nth}"), self.sink.around(url)));
        }
        let dead = TcpSocket::new_v4().expect("there are sockets");
        dead.bind(([127, 0, 0, 1], 0).into()).expect("loopback has a free port");
        let address = dead.local_addr().expect("a bound socket has an address");
        if let Some(url) = ill {
            let url = url.replace("/events", SLOW);
            builder = builder
                .subscribe(subscription("slow", HttpSink::new(&url).expect("the URL is our own")))
                .subscribe(subscription("dead", to(address)));
        }
        let pipeline = builder.build().expect("the configuration is valid");
        let mut measured = (0.0, 0.0);
        let until = async {
            sleep(WARM_UP).await;
            let (cpu, delivered) = (cpu_time(), self.sink.delivered());
            sleep(LASTS).await;
            let cpu = cpu_time().saturating_sub(cpu).as_secs_f64() * 1e6;
            measured.1 = cpu / (self.sink.delivered() - delivered) as f64;
            if ill.is_some() {
                self.revive(dead).await;
            }
        };
        pipeline.run_until(until).await.expect("memory does not fail");
        measured.0 = self.sink.latencies.p99(WARM_UP..WARM_UP + LASTS).as_secs_f64() * 1e3;
        measured
    }

    /// Brings the dead one back, and waits until it has all that the others have.
    async fn revive(&self, socket: TcpSocket) {
        let wanted = self.sink.delivered() as usize / self.urls.len();
        let listener: TcpListener = socket.listen(64).expect("the port is ours");
        let taken: Arc<Mutex<BTreeSet<_>>> = Arc::default();
        let all = Arc::clone(&taken);
        let receiver = Receiver::new().fallback(move |event: Event| {
            all.lock().expect("nobody panics with the set").insert(event.id);
            async {}
        });
        let service = hyper_util::service::TowerToHyperService::new(receiver.service());
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let socket = hyper_util::rt::TokioIo::new(socket);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(socket, service.clone()));
            }
        });
        let began = Instant::now();
        let has = || taken.lock().expect("nobody panics with the set").len();
        while has() < wanted {
            assert!(began.elapsed() < COMES_BACK, "the dead one has {} of {wanted} records", has());
            sleep(IDLE).await;
        }
        serving.abort();
    }
}

fn to(address: SocketAddr) -> HttpSink {
    HttpSink::new(&format!("http://{address}/events")).expect("the URL is our own")
}

fn subscription(name: &str, sink: impl Sink) -> Subscription {
    let at_once = BatchPolicy { max_wait: Duration::ZERO, ..BatchPolicy::default() };
    Subscription::new(name, sink).start_at(StartPosition::TrimHorizon).ordering(Ordering::per_key(8)).batch(at_once)
}

/// Notes what another sink has delivered.
#[derive(Debug, Clone)]
struct Noting {
    latencies: Latencies,
    delivered: Arc<AtomicU64>,
}

impl Noting {
    fn around(&self, url: &str) -> Noted {
        Noted { http: HttpSink::new(url).expect("the URLs are our own"), noting: self.clone() }
    }

    fn delivered(&self) -> u64 {
        self.delivered.load(Atomic::Relaxed)
    }
}

#[derive(Debug)]
struct Noted {
    http: HttpSink,
    noting: Noting,
}

#[async_trait]
impl Sink for Noted {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let outcomes = self.http.deliver(delivery).await?;
        assert!(outcomes.all_delivered(), "the server answers");
        self.noting.latencies.arrived(delivery);
        self.noting.delivered.fetch_add(delivery.len() as u64, Atomic::Relaxed);
        Ok(outcomes)
    }
}
