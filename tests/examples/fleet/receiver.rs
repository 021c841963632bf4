//! The subscriber: a server that outlives the workers, and writes down what each of them delivered, when, of which shard.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kinesis_tests::ledger::{Ledger, MadeUp};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// How long it takes with an event: so that some are in flight whatever happens.
const TAKES: Duration = Duration::from_millis(5);

/// An event that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) at: Instant,
    pub(crate) worker: usize,
    pub(crate) shard: String,
}

/// What is known of the events so far.
#[derive(Debug)]
struct Book {
    ledger: Ledger,
    deliveries: Vec<Delivery>,
    /// A worker and a shard whose events are kept waiting, each for so long.
    slow: Option<(usize, String, Duration)>,
}

/// The subscriber of all workers.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Receiver {
    /// Serves on a free port of this machine until the program ends.
    pub(crate) async fn start(made_up: MadeUp) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("this machine has a free port");
        let address = listener.local_addr().expect("the socket is bound");
        let book = Book { ledger: Ledger::new(made_up), deliveries: Vec::new(), slow: None };
        let receiver = Self { address, book: Arc::new(Mutex::new(book)) };
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let receiver = shared.clone();
                let service = service_fn(move |request| answer(request, receiver.clone()));
                // A connection breaks when its worker is killed.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service),
                );
            }
        });
        receiver
    }

    /// The URL by which a worker knows it. The query is no part of a subscriber's name, so all of them work for the same one.
    pub(crate) fn url(&self, worker: usize) -> String {
        format!("http://{}/events?{worker}", self.address)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nothing panics while it holds the lock")
    }

    /// Keeps the events of a worker on one shard waiting from now on, each for so long.
    pub(crate) fn slow_down(&self, worker: usize, shard: &str, takes: Duration) {
        self.book().slow = Some((worker, shard.to_owned(), takes));
    }

    /// Every delivery so far, in order of time.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.book().deliveries.clone()
    }

    /// How many different records came, and how many came again.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let book = self.book();
        (book.ledger.delivered(), book.ledger.repeats())
    }

    /// What is wrong when no more than `records` were put: what is lost, and what came out of order.
    pub(crate) fn violations(&self, records: usize) -> Vec<String> {
        self.book().ledger.violations_of(records)
    }
}

async fn answer(request: Request<Incoming>, receiver: Receiver) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let worker = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(usize::MAX);
    let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let shard = id.split(':').next().unwrap_or_default().to_owned();
    // A body that was cut off by a kill was never sent.
    let body = request.into_body().collect().await?.to_bytes();
    let slow = receiver.book().slow.clone().filter(|slow| (slow.0, &slow.1) == (worker, &shard));
    sleep(slow.map_or(TAKES, |(_, _, takes)| takes)).await;
    {
        let mut book = receiver.book();
        book.ledger.take(&body);
        book.deliveries.push(Delivery { at: Instant::now(), worker, shard });
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
