//! The server that answers for a run.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use kinesis_core::{Error, Handle, Result};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use super::text::CONTENT_TYPE;
use super::{Phase, Watch};
use crate::config::Server;
use crate::output::note;

/// How often it is looked how the lanes stand: ten times within the patience, and not all the time.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A server that answers until it is dropped.
#[derive(Debug)]
pub struct Serving {
    watch: Arc<Watch>,
    tasks: [JoinHandle<()>; 2],
}

/// What the server answers from.
#[derive(Debug, Clone)]
struct Answers {
    watch: Arc<Watch>,
    patience: Duration,
}

impl Serving {
    /// Listens, and says where.
    ///
    /// # Errors
    ///
    /// `Invalid` when the address cannot be listened on.
    pub async fn start(server: &Server, watch: &Arc<Watch>) -> Result<Self> {
        let refused = |error| {
            let way_out = "take another address with --listen, or listen in [server]";
            Error::invalid(format!("cannot listen on {} for health and metrics: {way_out}", server.listen))
                .because(error)
        };
        let listener = TcpListener::bind(server.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        note(&format!("/healthz, /readyz and /metrics at http://{address}"));
        let answers = Answers { watch: Arc::clone(watch), patience: server.stalled_after };
        let router = Router::new()
            .route("/healthz", get(health))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(answers);
        let serve = async move {
            if let Err(error) = axum::serve(listener, router).await {
                note(&format!("error: nothing is told of health and metrics any more: {error}"));
            }
        };
        let look = look(Arc::clone(watch), (server.stalled_after / 10).clamp(LOOKS.0, LOOKS.1));
        Ok(Self { watch: Arc::clone(watch), tasks: [tokio::spawn(serve), tokio::spawn(look)] })
    }

    /// The pipeline of this handle is about to run.
    pub fn runs(&self, handle: Handle) {
        self.watch.runs(handle);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Looks again and again how the lanes stand.
async fn look(watch: Arc<Watch>, every: Duration) {
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        if let Some(status) = watch.status().await {
            watch.see(&status);
        }
    }
}

async fn health(State(answers): State<Answers>) -> (StatusCode, &'static str) {
    let unwell = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    match answers.watch.phase() {
        Phase::Starting => (StatusCode::OK, "starting\n"),
        // It answers no questions while it drains, and that has an end.
        Phase::Stopping => (StatusCode::OK, "stopping\n"),
        Phase::Ended => unwell("the pipeline has ended\n"),
        Phase::Running => match answers.watch.status().await {
            Some(_) => (StatusCode::OK, "running\n"),
            None if answers.watch.phase() == Phase::Running => unwell("the pipeline does not answer\n"),
            None => (StatusCode::OK, "stopping\n"),
        },
    }
}

async fn ready(State(answers): State<Answers>) -> (StatusCode, String) {
    let not = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    match answers.watch.phase() {
        Phase::Starting => return not("starting"),
        Phase::Stopping | Phase::Ended => return not("stopping"),
        Phase::Running => {}
    }
    let Some(status) = answers.watch.status().await else { return not("the pipeline does not answer") };
    let stalled = {
        let mut lanes = answers.watch.lanes();
        let now = Instant::now();
        lanes.see(&status, now);
        lanes.stalled(answers.patience, now)
    };
    match stalled.is_empty() {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => not(&stalled.join("\n")),
    }
}

async fn metrics(State(answers): State<Answers>) -> impl IntoResponse {
    let status = match answers.watch.phase() {
        Phase::Running => answers.watch.status().await,
        _ => None,
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], answers.watch.metrics.write(status.as_ref()))
}
