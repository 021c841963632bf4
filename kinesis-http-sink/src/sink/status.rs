//! How a sink stands at one moment, and what its requests have come to: for metrics, and for whoever looks into it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use kinesis_core::{Outcome, Result};

/// An [`HttpSink`](super::HttpSink) at one moment, as [`status`](super::HttpSink::status) tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStatus {
    /// Requests under way.
    pub in_flight: usize,
    /// How many may be under way at the moment.
    pub concurrency_limit: usize,
    /// What the breaker does; closed as well where there is none.
    pub breaker: BreakerState,
    /// For how long nothing is sent because the subscriber asked for a pause; zero without one.
    pub paused_for: Duration,
    /// Whether the subscriber has answered 410.
    pub is_gone: bool,
    /// What the requests so far have come to: every kind that there was.
    pub requests: Vec<RequestCount>,
    /// Requests so far that were answered on a connection that had answered before.
    pub reused_connections: u64,
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests are sent.
    Closed,
    /// One request asks whether the endpoint is well again; no other is sent.
    Probing,
    /// Nothing is sent.
    Open,
}

/// How many requests had one kind of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCount {
    /// `delivered`, `retry`, `busy` or `rejected`: what the reply meant for what was posted.
    pub outcome: &'static str,
    /// `1xx` to `5xx`, or `none` without a whole reply.
    pub code_class: &'static str,
    /// How many.
    pub count: u64,
}

const OUTCOMES: [&str; 4] = ["delivered", "retry", "busy", "rejected"];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counts requests by their ends. One addition a request, and no lock.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: [[AtomicU64; CLASSES.len()]; OUTCOMES.len()],
    reused: AtomicU64,
}

impl Counts {
    /// A request is over.
    pub(super) fn ended(&self, outcome: Result<&Outcome, ()>, status: Option<StatusCode>) {
        let outcome = match outcome {
            Ok(Outcome::Delivered) => 0,
            Ok(Outcome::Busy { .. }) => 2,
            Ok(Outcome::Rejected { .. }) => 3,
            // An error is an attempt that failed, as `Retry` is.
            Ok(_) | Err(()) => 1,
        };
        // Beyond 5xx nothing is told apart: it means what 5xx means.
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100).min(CLASSES.len() - 1));
        self.requests[outcome][class].fetch_add(1, Ordering::Relaxed);
    }

    /// A reply came on a connection that had answered before.
    pub(super) fn reused(&self) {
        self.reused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reused_connections(&self) -> u64 {
        self.reused.load(Ordering::Relaxed)
    }

    /// Every kind that there was.
    pub(super) fn requests(&self) -> Vec<RequestCount> {
        let mut found = Vec::new();
        for (outcome, classes) in OUTCOMES.into_iter().zip(&self.requests) {
            for (code_class, count) in CLASSES.into_iter().zip(classes) {
                match count.load(Ordering::Relaxed) {
                    0 => {}
                    count => found.push(RequestCount { outcome, code_class, count }),
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_outcome_and_class() {
        let counts = Counts::default();
        counts.ended(Ok(&Outcome::Delivered), Some(StatusCode::NO_CONTENT));
        counts.ended(Ok(&Outcome::Delivered), Some(StatusCode::OK));
        counts.ended(Ok(&Outcome::rejected("no")), Some(StatusCode::BAD_REQUEST));
        counts.ended(Err(()), None);
        counts.ended(Err(()), StatusCode::from_u16(999).ok());
        let found: Vec<_> = counts.requests().iter().map(|one| (one.outcome, one.code_class, one.count)).collect();
        let expected = [("delivered", "2xx", 2), ("retry", "none", 1), ("retry", "5xx", 1), ("rejected", "4xx", 1)];
        assert_eq!(found, expected);
    }
}
