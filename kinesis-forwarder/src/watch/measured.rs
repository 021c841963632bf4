//! A sink that measures how old records are when they have arrived.

use std::sync::Arc;

use async_trait::async_trait;
use kinesis_core::{Delivery, Outcome, Outcomes, Result, Sink, wall_clock};

use super::Watch;
use super::metrics::Ages;

/// Measures what goes through a sink, where somebody asks for it.
#[derive(Debug)]
pub struct Measured<S> {
    sink: S,
    ages: Option<Arc<Ages>>,
}

impl<S: Sink> Measured<S> {
    /// Measures `sink` for the subscriber of this name.
    pub fn new(sink: S, watch: Option<&Watch>, name: &str) -> Self {
        Self { sink, ages: watch.and_then(|watch| watch.metrics.ages(name)) }
    }
}

#[async_trait]
impl<S: Sink> Sink for Measured<S> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let result = self.sink.deliver(delivery).await;
        if let (Some(ages), Ok(outcomes)) = (&self.ages, &result) {
            let now = wall_clock::now();
            let all = outcomes.is_empty();
            for (nth, entry) in delivery.iter().enumerate() {
                let arrived =
                    if all || outcomes.get(nth) == Some(&Outcome::Delivered) { entry.arrived_at } else { None };
                if let Some(age) = arrived.and_then(|arrived_at| now.duration_since(arrived_at).ok()) {
                    ages.observe(age);
                }
            }
        }
        result
    }
}
