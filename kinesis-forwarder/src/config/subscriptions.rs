//! From what is configured to what runs: a sink for each subscriber, and its subscription.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kinesis_core::pipeline::{BatchPolicy, OnReject as Rejected};
use kinesis_core::{Demand, Error, Result, RetryPolicy, Sink, StartPosition, Subscription};
use kinesis_http_sink::{Client, Format, HttpSink};

use super::format::FormatOf;
use super::mistakes::{Found, Origin};
use super::order::{OnReject, waiting_at_most};
use super::{Config, Source, State, Subscriber};
use crate::dead_letters::DeadLetters;

/// How long a record of an input is tried, where nothing is said: somebody waits for the end.
const MAX_AGE_OF_INPUT: Duration = Duration::from_secs(10);

/// How long a record is tried, where nothing is said.
#[must_use]
pub fn default_max_age(source: Option<&Source>) -> Duration {
    match source {
        Some(Source::Input(_)) => MAX_AGE_OF_INPUT,
        _ => RetryPolicy::default().max_age,
    }
}

/// The sink of each subscriber, in their order, and the files that they share.
#[derive(Debug)]
pub struct Sinks {
    http: Vec<Arc<HttpSink>>,
    pub(super) dead_letters: Vec<(PathBuf, DeadLetters)>,
}

impl Sinks {
    /// The sink of each subscriber, in their order.
    #[must_use]
    pub fn http(&self) -> &[Arc<HttpSink>] {
        &self.http
    }
}

/// How much a subscriber takes in on a shard: two of its batches at least.
fn demand(batch: BatchPolicy) -> Demand {
    let default = Demand::default();
    let max = default.max.max(2 * batch.max_records);
    let max_bytes = default.max_bytes.max(2 * batch.max_bytes);
    Demand { max, max_bytes, max_ahead: default.max_ahead.max(max), ..default }
}

/// What tells the clients of subscribers apart: whom they trust, and how long connecting may take.
type Reach<'a> = (Option<&'a Path>, Option<Duration>);

/// A pool of connections for all who reach their subscribers in the same way.
fn client((authorities, connect_timeout): Reach<'_>, max_idle: usize) -> Result<Client> {
    let mut client = Client::builder().max_idle_per_host(max_idle);
    if let Some(path) = authorities {
        let unreadable =
            |error| Error::invalid(format!("cannot read the authorities in {}", path.display())).because(error);
        client = client.ca_certificates(std::fs::read(path).map_err(unreadable)?)?;
    }
    if let Some(timeout) = connect_timeout {
        client = client.connect_timeout(timeout);
    }
    Ok(client.build())
}

impl Config {
    /// Makes the sinks and opens the files for dead letters. No connection is made yet.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for a file that cannot be written, and for what has changed since the
    /// configuration was read.
    pub fn sinks(&self) -> Result<Sinks> {
        let input = match &self.source {
            Some(Source::Input(path)) => Some(path.as_path()),
            _ => None,
        };
        let mut dead_letters: Vec<(PathBuf, DeadLetters)> = Vec::new();
        for path in self.subscribers.iter().filter_map(|subscriber| subscriber.dead_letters.as_ref()) {
            if !dead_letters.iter().any(|(known, _)| known == path) {
                dead_letters.push((path.clone(), DeadLetters::open(path, input)?));
            }
        }
        let mut formats: Vec<(FormatOf, Format)> = Vec::new();
        let mut clients: Vec<(Reach<'_>, Client)> = Vec::new();
        let mut http = Vec::new();
        // As many connections as the busiest of them may use.
        let most = self.subscribers.iter().map(|subscriber| subscriber.concurrency as usize).max().unwrap_or_default();
        for subscriber in &self.subscribers {
            let format = match formats.iter().find(|(known, _)| *known == subscriber.format) {
                Some((_, format)) => format.clone(),
                None => {
                    let format = subscriber.format.format();
                    formats.push((subscriber.format.clone(), format.clone()));
                    format
                }
            };
            let reach = (subscriber.ca_file.as_deref(), subscriber.connect_timeout);
            let client = match clients.iter().find(|(known, _)| *known == reach) {
                Some((_, client)) => client.clone(),
                None => {
                    let client = client(reach, most)?;
                    clients.push((reach, client.clone()));
                    client
                }
            };
            let waits = !matches!(self.source, Some(Source::Stream(_)));
            http.push(Arc::new(subscriber.sink(&client, format, waits)?));
        }
        Ok(Sinks { http, dead_letters })
    }

    /// A subscription for each subscriber; `wrap` is put around the sink of each.
    ///
    /// # Errors
    ///
    /// As [`sinks`](Self::sinks).
    pub fn subscriptions<S: Sink>(
        &self,
        sinks: &Sinks,
        wrap: impl Fn(&Subscriber, Arc<HttpSink>) -> S,
    ) -> Result<Vec<Subscription>> {
        let with_sinks = self.subscribers.iter().zip(&sinks.http);
        let one = |(subscriber, http): (&Subscriber, &Arc<HttpSink>)| {
            let subscription = Subscription::new(subscriber.name.as_str(), wrap(subscriber, Arc::clone(http)))
                .start_at(subscriber.start.unwrap_or_else(|| self.start()))
                .ordering(subscriber.ordering)
                .batch(subscriber.batch)
                .demand(demand(subscriber.batch))
                .retry(subscriber.retry)
                .on_gap(subscriber.on_gap)
                .on_reject(self.on_reject(subscriber, sinks)?);
            Ok(match &subscriber.channels {
                None => subscription,
                Some(channels) => subscription.channels(channels.iter().map(String::as_str)),
            })
        };
        with_sinks.map(one).collect()
    }

    fn start(&self) -> StartPosition {
        match &self.source {
            Some(Source::Stream(stream)) => stream.start,
            _ => StartPosition::TrimHorizon,
        }
    }

    fn on_reject(&self, subscriber: &Subscriber, sinks: &Sinks) -> Result<Rejected> {
        if let Some(path) = &subscriber.dead_letters {
            let opened = sinks.dead_letters.iter().find(|(known, _)| known == path);
            let (_, file) =
                opened.ok_or_else(|| Error::invalid(format!("the sinks are not those of {:?}", subscriber.name)))?;
            return Ok(Rejected::dead_letter(file.clone()));
        }
        Ok(match self.meets_rejection(subscriber) {
            OnReject::Halt => Rejected::Halt,
            OnReject::Skip | OnReject::DeadLetter => Rejected::Skip,
        })
    }

    /// What becomes of a record that this subscriber does not take.
    pub(super) fn meets_rejection(&self, subscriber: &Subscriber) -> OnReject {
        match (&self.source, &self.state) {
            _ if subscriber.dead_letters.is_some() => OnReject::DeadLetter,
            _ if subscriber.on_reject.is_some() => subscriber.on_reject.unwrap_or(OnReject::Halt),
            // The next run begins with it.
            (Some(Source::Input(_)), State::File(_)) => OnReject::Halt,
            _ => OnReject::Skip,
        }
    }

    /// Whether what is kept of the subscribers tells them apart that have their names from their URLs.
    pub(super) fn can_be_kept(&self, found: &Found) {
        let option = match &self.state {
            State::Nowhere => return,
            State::File(_) => "--state",
            State::Table { .. } => "--table",
        };
        let mut seen = BTreeSet::new();
        for subscriber in self.subscribers.iter().filter(|subscriber| subscriber.is_named_by_url) {
            let url = subscriber.shown_url();
            if !seen.insert(url) {
                let why = "differ in the query alone, which";
                let way_out = "cannot tell apart; give each a path";
                found.add(&Origin::Flag, "subscribers", format!("two subscribers at {url} {why} {option} {way_out}"));
            }
        }
    }
}

impl Subscriber {
    /// How long a record is tried.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.retry.max_age
    }

    /// Its URL without the query, where tokens travel.
    #[must_use]
    pub fn shown_url(&self) -> &str {
        self.url.0.split(['?', '#']).next().unwrap_or_default()
    }

    /// Makes it fit for calls that are over soon and whose caller takes care of what was refused: no wait between two
    /// attempts is longer than this, and no dead letters are kept here. Where what is not delivered `comes_again` in
    /// another call, a passing fault ends no record within one: what is behind it of its key would be delivered first.
    pub fn fit_for_calls(&mut self, longest_wait: Duration, comes_again: bool) {
        self.retry = waiting_at_most(self.retry.cap.min(longest_wait), self.retry);
        if comes_again {
            self.retry.attempts = None;
            self.retry.max_age = RetryPolicy::default().max_age;
        }
        self.dead_letters = None;
    }

    /// Its sink. Where somebody `waits` for the end, they have a patience of their own.
    fn sink(&self, client: &Client, format: Format, waits: bool) -> Result<HttpSink> {
        let mut http = HttpSink::builder(&self.url.0)
            .timeout(self.timeout)
            .concurrency(self.concurrency as usize)
            .network_policy(self.networks.clone())
            .client(client)
            .format(format);
        if let Some(rate) = self.rate {
            http = http.rate(rate);
        }
        if !self.breaker.unwrap_or(!waits) {
            http = http.without_breaker();
        }
        match &self.ask_again {
            Some(delays) => http = http.ask_again(delays.iter().copied()),
            None if waits => http = http.ask_again([]),
            None => {}
        }
        if self.conflict_is_delivered {
            http = http.conflict_is_delivered();
        }
        for secret in &self.secrets {
            http = http.sign(secret.clone());
        }
        for (name, value) in &self.headers {
            http = http.header(name, &value.0);
        }
        http.build()
    }
}
