//! The subscribers: a server that outlives the program, and writes down what each of them gets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kinesis_tests::ledger::{Ledger, MadeUp};
use tokio::net::TcpListener;

/// Their paths. The second takes its time.
const NAMES: [&str; 2] = ["/quick", "/slow"];
/// How long that is.
const SLOW: Duration = Duration::from_millis(1);

/// Two subscribers, each with its ledger.
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    ledgers: Arc<[Mutex<Ledger>; 2]>,
}

impl Receiver {
    /// Serves on a free port of this machine until the program ends.
    pub(crate) async fn start(made_up: MadeUp) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("this machine has a free port");
        let address = listener.local_addr().expect("the socket is bound");
        let ledgers = Arc::new([Mutex::new(Ledger::new(made_up)), Mutex::new(Ledger::new(made_up))]);
        let shared = Arc::clone(&ledgers);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let ledgers = Arc::clone(&shared);
                let service = service_fn(move |request| answer(request, Arc::clone(&ledgers)));
                // A connection breaks when its program is killed.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service),
                );
            }
        });
        Self { address, ledgers }
    }

    pub(crate) fn urls(&self) -> impl Iterator<Item = String> + '_ {
        NAMES.iter().map(|name| format!("http://{}{name}", self.address))
    }

    /// The program begins anew. Answers how many subscribers it had not sent the first record before.
    pub(crate) fn begin(&self) -> usize {
        let begun =
            self.ledgers.iter().map(|ledger| ledger.lock().expect("nothing panics while it holds the lock").begin());
        begun.flatten().filter(|least| *least > 0).count()
    }

    pub(crate) fn ledgers(&self) -> impl Iterator<Item = (&'static str, &Mutex<Ledger>)> {
        NAMES.into_iter().zip(self.ledgers.iter())
    }
}

async fn answer(
    request: Request<Incoming>,
    ledgers: Arc<[Mutex<Ledger>; 2]>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let nth = usize::from(request.uri().path() == NAMES[1]);
    // A body that was cut off by a kill was never sent.
    let body = request.into_body().collect().await?.to_bytes();
    if nth == 1 {
        tokio::time::sleep(SLOW).await;
    }
    ledgers[nth].lock().expect("nothing panics while it holds the lock").take(&body);
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
