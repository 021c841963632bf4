//! The streams behind one door of the wire: found by name, created and deleted while the door is open.

mod builder;
mod consumers;
mod phase;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

pub use builder::AccountBuilder;

pub(crate) use consumers::{Consumer, Consumers, MAX_CONSUMERS, SubscribeRefused, Ticket};
pub(crate) use phase::Phase;

use crate::MemoryStream;
use crate::stream::Clock;
use builder::Settings;

/// An AWS account with the streams that a door of the wire serves.
///
/// A clone is another handle on the same account. Streams come in by [`create`](Self::create) and
/// [`add`](Self::add), or over the wire by `CreateStream`.
///
/// ```
/// use kinesis_mock::Account;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// let account = Account::new();
/// let orders = account.create("orders", 4);
/// orders.put("customer-7", "an order")?;
/// assert_eq!(account.stream("orders").map(|stream| stream.shards().len()), Some(4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Account {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: Clock,
    streams: Mutex<Streams>,
}

/// The streams by name, and what is remembered of those that are gone.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_name: BTreeMap<String, Entry>,
    created: u64,
    last_created_at: Option<SystemTime>,
}

/// A stream and what its account knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stream: MemoryStream,
    pub(crate) phase: Phase,
    pub(crate) on_demand: bool,
    pub(crate) tags: BTreeMap<String, String>,
    /// When its shards were counted anew, as far as that still matters.
    pub(crate) scaled: Vec<Instant>,
}

impl Streams {
    /// Takes a stream in. Whoever is subscribed to another that it takes the name of is told that it is gone.
    fn take_in(&mut self, name: &str, entry: Entry) {
        let stream = entry.stream.clone();
        let before = self.by_name.insert(name.to_owned(), entry);
        if let Some(before) = before.filter(|before| !before.stream.is_same(&stream)) {
            before.stream.abandon();
        }
    }
}

impl Entry {
    fn new(stream: MemoryStream, phase: Phase) -> Self {
        Self { stream, phase, on_demand: false, tags: BTreeMap::new(), scaled: Vec::new() }
    }
}

impl Account {
    /// An account without streams, which creates and deletes them at once and limits nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts an account that differs from the default.
    pub fn builder() -> AccountBuilder {
        AccountBuilder::default()
    }

    /// An account with this one stream, whose clock it shares.
    #[must_use]
    pub fn of(stream: &MemoryStream) -> Self {
        let account = Self::from_parts(Settings::default(), stream.clock());
        account.add(stream);
        account
    }

    fn from_parts(settings: Settings, clock: Clock) -> Self {
        Self { shared: Arc::new(Shared { settings, clock, streams: Mutex::default() }) }
    }

    /// What the account's clock shows, in whole milliseconds.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// The region in the ARNs of the account's streams.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.shared.settings.region
    }

    /// Serves a stream that was made elsewhere, in place of one of the same name.
    pub fn add(&self, stream: &MemoryStream) {
        stream.adopt();
        let mut streams = self.locked();
        streams.created += 1;
        streams.last_created_at = streams.last_created_at.max(stream.id().created_at);
        streams.take_in(&stream.id().name, Entry::new(stream.clone(), Phase::Active));
    }

    /// Creates a stream that is active at once, in place of one of the same name.
    ///
    /// # Panics
    ///
    /// When `shards` is 0.
    pub fn create(&self, name: &str, shards: usize) -> MemoryStream {
        let mut streams = self.locked();
        let stream = self.make(&mut streams, name, shards);
        streams.take_in(name, Entry::new(stream.clone(), Phase::Active));
        stream
    }

    /// Deletes a stream at once; whether there was one. Its handles live on, but the wire knows it no more.
    pub fn delete(&self, name: &str) -> bool {
        let gone = self.locked().by_name.remove(name);
        if let Some(entry) = &gone {
            entry.stream.abandon();
        }
        gone.is_some()
    }

    /// The stream of this name, whatever its status.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<MemoryStream> {
        self.entry(name).map(|entry| entry.stream)
    }

    /// Everything known of a stream now.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        self.locked().by_name.get(name).cloned()
    }

    /// All streams, in the order of their names.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.locked().by_name.values().cloned().collect()
    }

    /// Creates a stream that is active after the transition; none where the name is taken.
    pub(crate) fn begin_create(&self, name: &str, shards: usize, on_demand: bool) -> Option<MemoryStream> {
        let mut streams = self.locked();
        if streams.by_name.contains_key(name) {
            return None;
        }
        let stream = self.make(&mut streams, name, shards);
        let mut entry = Entry::new(stream.clone(), Phase::Creating { until: self.settled_at() });
        entry.on_demand = on_demand;
        streams.by_name.insert(name.to_owned(), entry);
        Some(stream)
    }

    /// Changes what is known of a stream; whether there is one.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) -> bool {
        self.locked().by_name.get_mut(name).map(change).is_some()
    }

    /// Lets the stream go through a phase that ends after the transition.
    pub(crate) fn enter(&self, name: &str, phase: impl FnOnce(Instant) -> Phase) {
        let until = self.settled_at();
        self.change(name, |entry| entry.phase = phase(until));
        // With a transition of no time at all, a deleted stream is gone now.
        drop(self.locked());
    }

    /// How long creating, changing and deleting takes.
    pub(crate) fn transition(&self) -> Duration {
        self.shared.settings.transition
    }

    fn settled_at(&self) -> Instant {
        Instant::now() + self.transition()
    }

    /// A stream of the account's settings, created later than any other and with numbers of its own.
    fn make(&self, streams: &mut Streams, name: &str, shards: usize) -> MemoryStream {
        let not_before = streams.last_created_at.map_or(SystemTime::UNIX_EPOCH, |at| at + Duration::from_millis(1));
        let created_at = self.now().max(not_before);
        let stream = self.shared.settings.stream(name, shards, created_at, streams.created);
        streams.last_created_at = Some(created_at);
        streams.created += 1;
        stream
    }

    /// The streams, with those settled whose phase is over.
    fn locked(&self) -> MutexGuard<'_, Streams> {
        let mut streams = self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        streams.by_name.retain(|_, entry| {
            let stays = entry.phase.settle(now);
            if !stays {
                entry.stream.abandon();
            }
            stays
        });
        streams
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.locked().by_name.keys().cloned().collect();
        f.debug_struct("Account").field("streams", &names).finish_non_exhaustive()
    }
}
