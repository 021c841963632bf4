//! Faults of a sink.

use async_trait::async_trait;
use kinesis_core::{Delivery, Outcome, Outcomes, Result, Sink};
use tokio::time::sleep;

use super::Faulty;
use super::faults::{Call, Fault};

#[async_trait]
impl<S: Sink> Sink for Faulty<S> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let Some(injected) = self.faults.draw(Call::Deliver) else { return self.inner.deliver(delivery).await };
        match injected.fault {
            Fault::Throttle { retry_after } => Ok(Outcomes::all(delivery.len(), Outcome::busy(retry_after))),
            Fault::Delay(delay) => {
                sleep(delay).await;
                self.inner.deliver(delivery).await
            }
            Fault::Short => self.deliver_half(delivery).await,
            Fault::Empty => Ok(Outcomes::unmarked(delivery.len())),
            Fault::DropReply => {
                self.inner.deliver(delivery).await?;
                Err(injected.error())
            }
            Fault::Fail | Fault::Break | Fault::Expire => Err(injected.error()),
        }
    }
}

impl<S: Sink> Faulty<S> {
    /// The first half; the rest is left for another attempt, so order within a key is kept.
    async fn deliver_half(&self, delivery: &Delivery) -> Result<Outcomes> {
        let records = delivery.records().take(delivery.len() / 2).cloned().collect();
        let half = Delivery::new(
            delivery.stream().clone(),
            delivery.shard().clone(),
            delivery.subscription().clone(),
            records,
        );
        let mut outcomes = Outcomes::unmarked(delivery.len());
        for (nth, outcome) in self.inner.deliver(&half).await?.iter().enumerate() {
            outcomes.mark(nth, outcome.clone());
        }
        Ok(outcomes)
    }
}
