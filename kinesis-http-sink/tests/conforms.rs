//! The HTTP sink keeps the contract of a sink, proved by the suite with a receiver behind it.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends with a panic")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use kinesis_core::conformance::{self, sink};
use kinesis_core::{Outcome, Sink};
use kinesis_http_sink::{HttpSink, Receiver};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A subscriber that keeps what it took, and refuses once when it is told to.
#[derive(Clone, Default)]
struct Subscriber {
    taken: Arc<Mutex<Vec<Bytes>>>,
    refuse: Arc<AtomicBool>,
}

impl Subscriber {
    fn receiver(&self) -> Receiver {
        let subscriber = self.clone();
        Receiver::new().fallback(move |event| {
            let refused = subscriber.refuse.swap(false, Ordering::SeqCst);
            if !refused {
                subscriber.taken.lock().unwrap().push(event.data);
            }
            std::future::ready(if refused { Outcome::Retry } else { Outcome::Delivered })
        })
    }

    async fn serve(&self, address: SocketAddr) -> Serving {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (address, router) = (listener.local_addr().unwrap(), self.receiver().router());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) });
        Serving { address, stop, task: tokio::spawn(async move { serving.await.unwrap() }) }
    }
}

struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct OverHttp {
    subscriber: Subscriber,
    serving: tokio::sync::Mutex<Option<Serving>>,
    sink: Arc<HttpSink>,
}

impl OverHttp {
    async fn start() -> Self {
        let subscriber = Subscriber::default();
        let serving = subscriber.serve("127.0.0.1:0".parse().unwrap()).await;
        let sink = Arc::new(HttpSink::new(&format!("http://{}/events", serving.address)).unwrap());
        Self { subscriber, serving: Some(serving).into(), sink }
    }
}

#[async_trait]
impl sink::Harness for OverHttp {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink) as _
    }

    fn caps(&self) -> sink::Caps {
        sink::Caps::none().with_restart().with_faults()
    }

    async fn arrived(&self) -> Vec<Bytes> {
        self.subscriber.taken.lock().unwrap().clone()
    }

    async fn restart(&self) {
        let mut serving = self.serving.lock().await;
        let Serving { address, stop, task } = serving.take().unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
        *serving = Some(self.subscriber.serve(address).await);
    }

    async fn refuse(&self) {
        self.subscriber.refuse.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn it_conforms() {
    conformance::sink(OverHttp::start).await;
}
