//! The server that answers for a run.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use kinesis_core::pipeline::Status;
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

/// Where the run is, and how its lanes stand where that can be said.
async fn standing(watch: &Watch) -> (Phase, Option<Status>) {
    match watch.phase() {
        Phase::Running => match watch.status().await {
            // It answers no questions while it drains, and may have begun to while it was asked.
            None => (watch.phase(), None),
            status => (Phase::Running, status),
        },
        phase => (phase, None),
    }
}

async fn health(State(answers): State<Answers>) -> (StatusCode, &'static str) {
    match standing(&answers.watch).await {
        (Phase::Starting, _) => (StatusCode::OK, "starting\n"),
        (Phase::Running, Some(_)) => (StatusCode::OK, "running\n"),
        (Phase::Running, None) => (StatusCode::SERVICE_UNAVAILABLE, "the pipeline does not answer\n"),
        // A drain has an end.
        (Phase::Stopping, _) => (StatusCode::OK, "stopping\n"),
        (Phase::Ended, _) => (StatusCode::SERVICE_UNAVAILABLE, "the pipeline has ended\n"),
    }
}

async fn ready(State(answers): State<Answers>) -> (StatusCode, String) {
    let not = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    let status = match standing(&answers.watch).await {
        (Phase::Starting, _) => return not("starting"),
        (Phase::Running, Some(status)) => status,
        (Phase::Running, None) => return not("the pipeline does not answer"),
        (Phase::Stopping | Phase::Ended, _) => return not("stopping"),
    };
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
    let (_, status) = standing(&answers.watch).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], answers.watch.metrics.write(status.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::{Event, Observer, Pipeline, Subscription, handler};
    use kinesis_mock::MemoryStream;

    /// Who asked when a drain had just begun was told that the pipeline does not answer.
    #[tokio::test(start_paused = true)]
    async fn a_run_that_begins_to_stop_while_it_is_asked_is_stopping() {
        let subscription = Subscription::new("a", handler(|_| async {}));
        // It is never run: nobody answers.
        let pipeline = Pipeline::builder("app", MemoryStream::builder("s").build()).subscribe(subscription);
        let pipeline = pipeline.build().unwrap();
        let watch = Arc::new(Watch::new(std::iter::empty()));
        watch.runs(pipeline.handle());
        watch.turn(Phase::Running);
        let answers = Answers { watch: Arc::clone(&watch), patience: Duration::from_secs(60) };
        assert_eq!(ready(State(answers.clone())).await.1, "the pipeline does not answer\n");
        let asked = (ready(State(answers.clone())), health(State(answers)));
        let stops = async {
            tokio::task::yield_now().await;
            watch.on(&Event::Draining);
        };
        let (is_ready, is_well, ()) = tokio::join!(asked.0, asked.1, stops);
        assert_eq!(is_ready, (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()));
        assert_eq!(is_well, (StatusCode::OK, "stopping\n"));
    }
}
