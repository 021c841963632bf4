//! Makes a sink of a stream: deliveries come out of it one by one, to be settled by whoever reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::{Delivery, Outcomes, Sink};
use crate::error::{Error, Result};

/// Makes a sink and the stream of its deliveries, for those who want a `while let`.
///
/// The sink hands over one delivery at a time and waits until it is settled, so ordering and concurrency are those of
/// the subscription. A delivery that is dropped unsettled counts as an attempt and comes again; when the stream itself
/// is dropped, every further delivery fails.
///
/// ```no_run
/// # async fn example() {
/// use kinesis_core::channel_sink;
/// use tokio_stream::StreamExt;
/// let (sink, mut deliveries) = channel_sink();
/// // Give `sink` to a subscription, then:
/// # let _ = sink;
/// while let Some(delivery) = deliveries.next().await {
///     for record in delivery.records() {
///         println!("{:?}", record.data);
///     }
///     delivery.delivered();
/// }
/// # }
/// ```
#[must_use]
pub fn channel_sink() -> (ChannelSink, Deliveries) {
    let (send, receive) = mpsc::channel(1);
    (ChannelSink { send }, Deliveries { receive })
}

/// The sink half of [`channel_sink`].
#[derive(Debug, Clone)]
pub struct ChannelSink {
    send: mpsc::Sender<PendingDelivery>,
}

#[async_trait]
impl Sink for ChannelSink {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let (settle, settled) = oneshot::channel();
        let pending = PendingDelivery { delivery: delivery.clone(), settle };
        let gone =
            |_| Error::transient("the stream of deliveries was dropped; keep reading it while the pipeline runs");
        self.send.send(pending).await.map_err(|error| gone(error.0.settle))?;
        settled.await.map_err(|_| Error::transient("the delivery was dropped before it was settled"))
    }
}

/// The stream half of [`channel_sink`]; it ends when the sink is dropped.
#[derive(Debug)]
pub struct Deliveries {
    receive: mpsc::Receiver<PendingDelivery>,
}

impl Stream for Deliveries {
    type Item = PendingDelivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PendingDelivery>> {
        self.receive.poll_recv(cx)
    }
}

/// A delivery that waits to be settled. Derefs to the [`Delivery`].
#[derive(Debug)]
#[must_use = "a delivery that is dropped unsettled is delivered again"]
pub struct PendingDelivery {
    delivery: Delivery,
    settle: oneshot::Sender<Outcomes>,
}

impl PendingDelivery {
    /// Every record arrived.
    pub fn delivered(self) {
        let len = self.delivery.len();
        self.settle(Outcomes::delivered(len));
    }

    /// Says what became of each record.
    pub fn settle(self, outcomes: Outcomes) {
        // Whoever waited may be gone, after a shutdown for instance: then the records come again.
        let _ = self.settle.send(outcomes);
    }
}

impl std::ops::Deref for PendingDelivery {
    type Target = Delivery;

    fn deref(&self) -> &Delivery {
        &self.delivery
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, SequenceNumber, StreamId};
    use tokio_stream::StreamExt;

    fn delivery() -> Delivery {
        Delivery::new(StreamId::new("s"), "0", "x", vec![Record::new(SequenceNumber::from(1), "k", "d")])
    }

    #[tokio::test]
    async fn a_delivery_waits_until_it_is_settled() {
        let (sink, mut deliveries) = channel_sink();
        let task = tokio::spawn(async move { sink.deliver(&delivery()).await });
        let pending = deliveries.next().await.unwrap();
        assert!(!task.is_finished());
        pending.delivered();
        assert!(task.await.unwrap().unwrap().all_delivered());
        assert!(deliveries.next().await.is_none());
    }

    #[tokio::test]
    async fn a_dropped_delivery_and_a_dropped_stream_are_errors() {
        let (sink, mut deliveries) = channel_sink();
        let again = sink.clone();
        let task = tokio::spawn(async move { again.deliver(&delivery()).await });
        drop(deliveries.next().await);
        assert!(task.await.unwrap().is_err());
        drop(deliveries);
        assert!(sink.deliver(&delivery()).await.is_err());
    }
}
