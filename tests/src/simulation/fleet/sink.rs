//! The subscriber of a fleet: it takes its time, fails at times, and tells the model what it is given and by whom.

use std::time::Duration;

use async_trait::async_trait;
use kinesis_core::{Delivery, Error, Outcomes, Result, Sink};
use tokio::time::sleep;

use super::luck::Luck;
use super::model::Model;
use super::plan::Plan;

/// What one worker delivers of one subscription.
#[derive(Debug, Clone)]
pub(super) struct FleetSink {
    pub(super) worker: usize,
    pub(super) of: usize,
    pub(super) luck: Luck,
    pub(super) model: Model,
    slow: Duration,
    fails: f64,
}

impl FleetSink {
    pub(super) fn new(worker: usize, of: usize, luck: &Luck, model: &Model, plan: &Plan) -> Self {
        let (luck, model) = (luck.clone(), model.clone());
        Self { worker, of, luck, model, slow: plan.slow, fails: plan.fails }
    }
}

#[async_trait]
impl Sink for FleetSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        self.luck.pass().await;
        let (takes, fails) = {
            let mut state = self.model.state();
            let fails = state.draws(self.fails);
            let takes = self.slow.mul_f64(state.rng.f64());
            state.given(self.worker, self.of, &self.luck, delivery, !fails);
            (takes, fails)
        };
        sleep(takes).await;
        self.luck.pass().await;
        if fails { Err(Error::transient("the subscriber fails")) } else { Ok(Outcomes::delivered(delivery.len())) }
    }
}
