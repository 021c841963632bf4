//! The attack: a receiver on a real socket, several connections at a time, and what must hold whatever they send.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use kinesis_core::Outcome;
use kinesis_http_sink::{Receiver, Secret};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::connection::talk;
use super::request::{self, KEY, SIGNED};
use super::shape::{Ending, Shape, good, shape};
use crate::measure;

/// How many connections there are at a time.
const CONNECTIONS: usize = 8;
/// Longer than any answer takes.
const TOO_LONG: Duration = Duration::from_secs(60);
/// After so many requests memory is looked at, and a good request on a connection of its own is answered.
const EVERY: u64 = 50;
/// How much memory may grow, in bytes: eight bodies of 8 MiB that are sent, received and read into events at once, and
/// what the allocator keeps of it. Ten thousand names as long as those that are sent here take far more.
const MOST: usize = 400 << 20;

/// Panics in this process so far.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// What came of it.
#[derive(Debug, Default)]
pub struct Told {
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, usize>,
    /// Connections that were closed without an answer, as those that are cut may be.
    pub unanswered: usize,
    /// Good requests that were answered.
    pub good: usize,
    /// The most that memory grew, in bytes.
    pub grown: usize,
    /// What may not be, with the seed that did it.
    pub violations: Vec<String>,
}

/// Sends as many hostile requests, one a seed from `from` on.
///
/// # Panics
///
/// When this machine has no free port.
pub async fn attack(requests: u64, from: u64) -> Told {
    watch_panics();
    let server = serve().await;
    let (corpus, next, told) =
        (Arc::new(request::sound()), Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Told::default())));
    let (began, panics) = (measure::resident(), PANICS.load(Ordering::Relaxed));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (corpus, next, told) = (Arc::clone(&corpus), Arc::clone(&next), Arc::clone(&told));
        workers.spawn(async move {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= requests {
                    break;
                }
                let seed = from.wrapping_add(nth);
                one(server, shape(&corpus, seed), seed, &told).await;
                if nth % EVERY == 0 {
                    let grown = measure::resident().saturating_sub(began);
                    let calm = Shape { name: "good", bytes: Vec::new(), ending: Ending::Answered(0), is_head: false };
                    one(server, calm, seed, &told).await;
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.grown = told.grown.max(grown);
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("the requests are made and read without a panic");
    }
    let mut told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    if told.grown > MOST {
        told.violations.push(format!("memory grew by {} MiB", told.grown >> 20));
    }
    let panics = PANICS.load(Ordering::Relaxed) - panics;
    if panics > 0 {
        told.violations.push(format!("{panics} panics"));
    }
    told
}

/// Sends one and checks what comes back.
async fn one(server: SocketAddr, mut shape: Shape, seed: u64, told: &Mutex<Told>) {
    let cut = shape.ending == Ending::Cut;
    let due = match shape.ending {
        Ending::Answered(count) => {
            shape.bytes.extend(good(seed));
            count + 1
        }
        Ending::Last => 1,
        // As many as come until it is closed.
        Ending::Cut => usize::MAX,
    };
    let talking = async {
        let stream = TcpStream::connect(server).await.ok()?;
        Some(talk(stream, &shape.bytes, cut, due, shape.is_head).await)
    };
    let came = timeout(TOO_LONG, talking).await;
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = |what: String| told.violations.push(format!("{}, seed {seed}: {what}", shape.name));
    let Ok(Some(came)) = came else { return wrong("it hangs, or nobody listens".to_owned()) };
    let may_fail = shape.bytes.starts_with(b"POST /failing ");
    let is_allowed = |status: u16| match status {
        200..300 | 400..500 => true,
        500 | 503 => may_fail,
        _ => false,
    };
    for status in &came.statuses {
        if !is_allowed(*status) {
            wrong(format!("answered with {status}"));
        }
    }
    if let Some(length) = came.too_long {
        wrong(format!("an error of {length} bytes"));
    }
    if !cut && came.statuses.len() < due {
        wrong(format!("{} answers instead of {due}", came.statuses.len()));
    }
    let is_behind = matches!(shape.ending, Ending::Answered(_));
    if is_behind && came.statuses.len() == due && came.statuses.last() != Some(&200) {
        wrong(format!("a good request behind it was answered with {:?}", came.statuses.last()));
    }
    told.good += usize::from(is_behind);
    told.unanswered += usize::from(came.statuses.is_empty());
    let hostile = came.statuses.len() - usize::from(is_behind && came.statuses.len() == due);
    for status in &came.statuses[..hostile] {
        *told.statuses.entry(*status).or_default() += 1;
    }
}

/// Serves four receivers: one that takes everything, one that asks for signatures, one without callbacks, and one whose
/// callbacks fail.
async fn serve() -> SocketAddr {
    let secret = Secret::from_bytes(&KEY).expect("the key has 32 bytes");
    let takes = Receiver::new().fallback(|_| async {});
    let believes = Receiver::new().path(SIGNED).verify(secret).fallback(|_| async {});
    let nobody = Receiver::new().path("/nobody");
    let fails = Receiver::new().path("/failing").fallback(|event| async move {
        match event.data.len() % 3 {
            0 => Outcome::rejected("it is refused"),
            1 => Outcome::Busy { after: Some(Duration::from_secs(1)) },
            _ => Outcome::Retry,
        }
    });
    let app = takes.router().merge(believes.router()).merge(nobody.router()).merge(fails.router());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("this machine has a free port");
    let address = listener.local_addr().expect("the socket is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Counts panics from now on. A server goes on after one, and only a connection is missing an answer.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(info);
        }));
    });
}
