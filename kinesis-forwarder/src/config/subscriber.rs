//! One of `[[subscribers]]`: each field is checked by the sink that it is for, alone, so that a mistake has its place.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use kinesis_core::pipeline::{BatchPolicy, OnGap};
use kinesis_core::{Ordering, RetryPolicy, StartPosition};
use kinesis_http_sink::{HttpSink, NetworkPolicy, Secret};

use super::fields::{Fields, Place, Set};
use super::format::{self, FormatOf};
use super::mistakes::{Origin, repeated};
use super::order::{self, OnReject};
use super::reach;
use super::secret::{self, Hidden};
use super::source::start;
use super::{Need, Source, Variables};

/// The longest name: it is part of every stored row.
const LONGEST_NAME: usize = 256;
/// How many deliveries run at once on one shard, where nothing is said.
const PARALLEL: u32 = 8;

/// How many requests are under way at once from all shards, where nothing is said; no fewer than those of one shard. The
/// default of the sink: with it, a subscriber that takes 100 ms for a record gets 320 a second.
const CONCURRENCY: u32 = 32;
/// Who gets records, and how.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Its name, under which is kept how far it is.
    pub name: String,
    /// The channels that it takes; `None` for every channel.
    pub channels: Option<BTreeSet<String>>,
    /// How long one exchange may take.
    pub timeout: Duration,
    /// The command line gave it its URL as a name.
    pub(super) is_named_by_url: bool,
    pub(super) url: Hidden,
    pub(super) format: FormatOf,
    pub(super) secrets: Vec<Secret>,
    /// Names and values, `authorization` among them.
    pub(super) headers: Vec<(String, Hidden)>,
    pub(super) networks: NetworkPolicy,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) concurrency: u32,
    pub(super) rate: Option<NonZeroU32>,
    /// `None` for what fits the source.
    pub(super) breaker: Option<bool>,
    pub(super) ask_again: Option<Vec<Duration>>,
    pub(super) conflict_is_delivered: bool,
    pub(super) start: Option<StartPosition>,
    pub(super) ordering: Ordering,
    pub(super) batch: BatchPolicy,
    pub(super) retry: RetryPolicy,
    pub(super) on_reject: Option<OnReject>,
    pub(super) on_gap: OnGap,
    pub(super) dead_letters: Option<PathBuf>,
}

/// What is said to a function, which has its settings in the environment.
const NOBODY_TO_CALL: &str = "there is no subscriber: set KINESIS_FORWARDER_TO to [CHANNEL=]URL, several with blanks between, \
                              or give --to, or a configuration with [[subscribers]]";

/// All of them. `None` where one could not be read.
pub(super) fn read_all(
    all: &mut Fields<'_>,
    variables: &Variables,
    source: Option<&Source>,
    need: Need,
) -> Option<Vec<Subscriber>> {
    let found = all.found();
    let none = all.place_of("subscribers");
    let nobody = match need {
        Need::Whole => "there is no subscriber: give --to, or a configuration with [[subscribers]]",
        Need::Subscribers => NOBODY_TO_CALL,
    };
    let said = all.has("subscribers");
    let Some((list, whole)) = all.list("subscribers", "[[subscribers]]") else {
        return if said { None } else { none.refuse(found, nobody) };
    };
    if list.is_empty() {
        return whole.refuse(found, nobody);
    }
    let read: Vec<Option<(Place, Subscriber)>> = list
        .into_iter()
        .map(|(node, place)| {
            let table = Fields::of(found, node, &place)?;
            one(table, variables, source)
        })
        .collect();
    let named: Vec<&(Place, Subscriber)> = read.iter().flatten().collect();
    for nth in repeated(named.iter().map(|(_, subscriber)| subscriber.name.as_str())) {
        let (place, subscriber) = named[nth];
        place.refuse::<()>(
            found,
            format!("another subscriber is {:?} already: give each its own name", subscriber.name),
        );
    }
    read.into_iter().map(|one| one.map(|(_, subscriber)| subscriber)).collect()
}

fn one(mut fields: Fields<'_>, variables: &Variables, source: Option<&Source>) -> Option<(Place, Subscriber)> {
    let found = fields.found();
    let name = name(&mut fields);
    // Where they were not understood, an address is not refused for them as well.
    let networks = reach::networks(&mut fields).unwrap_or_default();
    let url = url(&mut fields, variables, &networks);
    let channels = channels(&mut fields);
    let format = format::read(&mut fields, source);
    let secrets = reach::secrets(&mut fields, variables);
    let headers = reach::headers(&mut fields, variables);
    let ca_file = reach::ca_file(&mut fields);
    let timeout = fields.duration("timeout", "15s");
    let connect_timeout = fields.duration("connect_timeout", "5s");
    let most = u32::MAX >> 4;
    let parallel = fields.number("parallel", 1..=most).map_or(PARALLEL, |set| set.value);
    let concurrency = fields.number("concurrency", 1..=most).map_or(CONCURRENCY.max(parallel), |set| set.value);
    let rate = fields.number("rate", 1..=u32::MAX).and_then(|set| NonZeroU32::new(set.value));
    let ordering = order::ordering(&mut fields, parallel);
    let batch = order::batch(&mut fields);
    let start = start(&mut fields);
    let retry = order::retry(&mut fields, source);
    let dead_letters = fields.text("dead_letters", "dead.ndjson");
    let on_reject = order::on_reject(&mut fields, dead_letters.is_some());
    let on_gap = order::on_gap(&mut fields);
    let breaker = fields.switch("breaker").map(|set| set.value);
    let ask_again = order::ask_again(&mut fields);
    let conflict_is_delivered = fields.switch("conflict_is_delivered").is_some_and(|set| set.value);
    fields.end();
    // No attempt may outlast what a record gets in all, unless that is too short for any exchange.
    let longest = retry.max_age.clamp(Duration::from_secs(1), Duration::from_secs(15));
    let timeout = timeout.map_or(longest, |set| set.value);
    if let Some(connect) = connect_timeout.as_ref().filter(|connect| connect.value > timeout) {
        let why = format!("is {:?}, and the whole exchange may take {timeout:?}: make it shorter", connect.value);
        connect.place.refuse::<()>(found, why);
    }
    if let (Some(start), Some(Source::Input(_))) = (&start, source) {
        start.place.refuse::<()>(found, "belongs to a stream, and an input is read from its start: leave it out");
    }
    let name = name?;
    let subscriber = Subscriber {
        name: name.value,
        is_named_by_url: name.place.origin == Origin::Flag,
        channels,
        timeout,
        url: url?,
        format: format?,
        secrets,
        headers,
        networks,
        ca_file,
        connect_timeout: connect_timeout.map(|set| set.value),
        concurrency,
        rate,
        breaker,
        ask_again,
        conflict_is_delivered,
        start: start.map(|set| set.value),
        ordering,
        batch,
        retry,
        on_reject,
        on_gap,
        dead_letters: dead_letters.map(|set| PathBuf::from(set.value)),
    };
    Some((name.place, subscriber))
}

fn name(fields: &mut Fields<'_>) -> Option<Set<String>> {
    let (found, place, said) = (fields.found(), fields.place(), fields.has("name"));
    let Some(name) = fields.text("name", "audit") else {
        return if said { None } else { place.refuse(found, "has no name: write it like name = \"audit\"") };
    };
    if name.value.trim().is_empty() || name.value.len() > LONGEST_NAME {
        let why = format!("has {} bytes: cursors are kept under it, so write 1 to {LONGEST_NAME}", name.value.len());
        return name.place.refuse(found, why);
    }
    Some(name)
}

fn url(fields: &mut Fields<'_>, variables: &Variables, networks: &NetworkPolicy) -> Option<Hidden> {
    let (found, missing) = (fields.found(), fields.place());
    let Some((node, place)) = fields.take("url") else {
        return missing.refuse(found, "has no url: write it like url = \"http://127.0.0.1:3000/events\"");
    };
    let url = secret::read(found, variables, node, &place, true)?;
    match HttpSink::builder(&url.0).network_policy(networks.clone()).build() {
        Ok(_) => Some(url),
        Err(error) => place.refuse(found, error.chain()),
    }
}

fn channels(fields: &mut Fields<'_>) -> Option<BTreeSet<String>> {
    let found = fields.found();
    let (list, whole) = fields.texts("channels", "[\"placed\", \"paid\"]")?;
    if list.is_empty() {
        return whole.refuse(found, "is empty, so nothing would be taken: leave it out for every channel");
    }
    for channel in list.iter().filter(|channel| channel.value.is_empty()) {
        channel.place.refuse::<()>(found, "is empty, and no record has such a channel: write its name");
    }
    Some(list.into_iter().map(|set| set.value).collect())
}
