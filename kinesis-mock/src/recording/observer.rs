//! An observer that keeps every event.

use std::sync::{Arc, Mutex, PoisonError};

use kinesis_core::{Event, Observer};
use tokio::sync::Notify;

/// Keeps every event, in order. Clones share what they keep.
#[derive(Debug, Clone, Default)]
pub struct RecordingObserver {
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    events: Mutex<Vec<Event>>,
    more: Notify,
}

impl RecordingObserver {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every event so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.kept.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many events so far are of this kind.
    #[must_use]
    pub fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| which(event)).count()
    }

    /// Waits until an event is of this kind, and returns the first one.
    ///
    /// # Cancel safety
    ///
    /// Waiting takes nothing away: it can be dropped and begun anew.
    pub async fn wait_for(&self, which: impl Fn(&Event) -> bool) -> Event {
        loop {
            // Registered before looking, so that what comes in between wakes it.
            let more = self.kept.more.notified();
            if let Some(event) = self.events().into_iter().find(&which) {
                return event;
            }
            more.await;
        }
    }
}

impl Observer for RecordingObserver {
    fn on(&self, event: &Event) {
        self.kept.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        self.kept.more.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_kept_in_order_and_waited_for() {
        let observer = RecordingObserver::new();
        let waiting = tokio::spawn({
            let observer = observer.clone();
            async move { observer.wait_for(|event| matches!(event, Event::Draining)).await }
        });
        tokio::task::yield_now().await;
        let stored = Event::ProgressStored { shard: "0".into() };
        observer.on(&stored);
        observer.on(&Event::Draining);
        assert_eq!(waiting.await.unwrap(), Event::Draining);
        assert_eq!(observer.events(), [stored, Event::Draining]);
        assert_eq!(observer.count(|event| *event == Event::Draining), 1);
    }
}
