//! A signal that says only that something has changed. Who waits for it is woken in the order in which they came, so that a
//! simulation tells the same story for the same seed; the watch of tokio wakes in no order that can be told before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Reaches everybody who listens. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    given: AtomicU64,
    notify: Notify,
}

impl Signal {
    /// Reaches everybody who listens since before.
    pub(crate) fn give(&self) {
        self.0.given.fetch_add(1, Ordering::AcqRel);
        self.0.notify.notify_waiters();
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> Listener {
        Listener { heard: self.given(), signal: self.clone() }
    }

    /// How often it was given so far.
    pub(crate) fn given(&self) -> u64 {
        self.0.given.load(Ordering::Acquire)
    }

    /// Is ready when it was given more often than so.
    pub(crate) async fn given_since(&self, given: u64) {
        let mut notified = std::pin::pin!(self.0.notify.notified());
        // Listening before looking: a signal in between is not missed.
        notified.as_mut().enable();
        if self.given() == given {
            notified.await;
        }
    }
}

/// Hears each signal, or the last of several.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    signal: Signal,
    heard: u64,
}

impl Listener {
    /// Forgets what was given until now.
    pub(crate) fn catch_up(&mut self) {
        self.heard = self.signal.given();
    }

    /// Is ready when there was a signal that it has not heard.
    ///
    /// # Cancel safety
    ///
    /// A signal is heard only when this is ready.
    pub(crate) async fn hear(&mut self) {
        self.signal.given_since(self.heard).await;
        self.heard = self.signal.given();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_signal_is_heard_once_by_everybody_who_listened_before() {
        let signal = Signal::default();
        let (mut one, mut other) = (signal.listen(), signal.listen());
        assert!(one.hear().now_or_never().is_none());
        signal.give();
        signal.give();
        assert!(one.hear().now_or_never().is_some() && one.hear().now_or_never().is_none());
        assert!(signal.listen().hear().now_or_never().is_none());
        other.catch_up();
        assert!(other.hear().now_or_never().is_none());
        let (heard, ()) = tokio::join!(async { one.hear().await }, async { signal.give() });
        assert_eq!(heard, ());
    }
}
