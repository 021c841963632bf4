//! Which callback an event goes to, and how many of its calls may be under way.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use kinesis_core::sink::IntoOutcome;
use kinesis_core::{Channel, Outcome};
use tokio::sync::Semaphore;

use super::Event;

/// Takes events.
pub(super) type Callback = Box<dyn Fn(Event) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

pub(super) fn boxed<F, Fut>(callback: F) -> Callback
where
    F: Fn(Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutcome> + Send + 'static,
{
    Box::new(move |event| {
        let running = callback(event);
        Box::pin(async move { running.await.into_outcome() })
    })
}

/// A callback, and room for its calls; without a limit there is always room.
pub(super) struct Taker {
    pub(super) callback: Callback,
    pub(super) room: Option<Semaphore>,
}

/// The callbacks of a receiver.
#[derive(Default)]
pub(super) struct Channels {
    exact: HashMap<Channel, Taker>,
    /// Longest first, so that the first that fits is the closest.
    prefixes: Vec<(Arc<str>, Taker)>,
    fallback: Option<Taker>,
}

impl Channels {
    pub(super) fn set(&mut self, channel: Channel, callback: Callback) {
        self.exact.insert(channel, Taker { callback, room: None });
    }

    pub(super) fn set_prefix(&mut self, prefix: &str, callback: Callback) {
        self.prefixes.retain(|(other, _)| &**other != prefix);
        let at = self.prefixes.partition_point(|(other, _)| other.len() >= prefix.len());
        self.prefixes.insert(at, (prefix.into(), Taker { callback, room: None }));
    }

    pub(super) fn set_fallback(&mut self, callback: Callback) {
        self.fallback = Some(Taker { callback, room: None });
    }

    /// So many calls of each callback may be under way.
    pub(super) fn limit(&mut self, calls: usize) {
        let takers = self.exact.values_mut().chain(self.prefixes.iter_mut().map(|(_, taker)| taker));
        for taker in takers.chain(self.fallback.as_mut()) {
            taker.room = Some(Semaphore::new(calls.min(Semaphore::MAX_PERMITS)));
        }
    }

    /// Who takes the events of a channel.
    pub(super) fn taker(&self, channel: &str) -> Option<&Taker> {
        let by_prefix =
            || self.prefixes.iter().find(|(prefix, _)| channel.starts_with(&**prefix)).map(|(_, taker)| taker);
        self.exact.get(channel).or_else(by_prefix).or(self.fallback.as_ref())
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut exact: Vec<&Channel> = self.exact.keys().collect();
        exact.sort_unstable();
        let prefixes: Vec<_> = self.prefixes.iter().map(|(prefix, _)| prefix).collect();
        f.debug_struct("Channels")
            .field("exact", &exact)
            .field("prefixes", &prefixes)
            .field("fallback", &self.fallback.is_some())
            .finish()
    }
}
