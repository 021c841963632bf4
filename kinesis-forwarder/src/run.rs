//! `run`: from a file or a pipe, through the pipeline, to the subscribers.

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kinesis_core::{
    Channel, ChannelFrom, Error, OnReject, Ordering, Pipeline, Result, RetryPolicy, StartPosition, Subscription,
    SubscriptionSummary, Summary,
};
use kinesis_http_sink::HttpSink;

use crate::cli::{Run, Target};
use crate::dead_letters::DeadLetters;
use crate::give_up::GiveUp;
use crate::input::{InputSource, Originals};
use crate::output::{Progress, count, note, say, show, table};
use crate::shutdown;

/// How long what is in flight may take once it was asked to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// The longest wait between two attempts: within a `--max-age` of seconds there should be several.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The exit code when some records were not delivered.
const UNDELIVERED: u8 = 1;
/// The exit code for a wrong command line and for broken input.
pub const UNUSABLE: u8 = 2;

/// Delivers the whole input and tells what became of it.
///
/// # Errors
///
/// When it cannot start: the input cannot be opened, a URL cannot be used, the dead-letter file cannot be written.
pub async fn run(args: Run) -> Result<ExitCode> {
    let source = InputSource::open(&args.input)?;
    let dead_letters = args.dead_letters.as_deref().map(|path| DeadLetters::open(path, &args.input)).transpose()?;
    let subscribers = subscribers(&args.to);
    let unclaimed = Arc::new(Unclaimed::default());
    let progress = Arc::new(Progress::default());

    let mut pipeline = Pipeline::builder("kinesis-forwarder", source.clone())
        .channel_from(channel_from(&args, &subscribers, &unclaimed))
        .observer(Arc::clone(&progress))
        .drain_within(DRAIN);
    for subscriber in &subscribers {
        pipeline = pipeline.subscribe(subscription(subscriber, &args, dead_letters.as_ref(), &progress)?);
    }
    let pipeline = pipeline.build()?;

    let notice =
        || note(&format!("finishing what is in flight, for at most {} s; again to stop at once", DRAIN.as_secs()));
    let cannot_hear = |error| Error::permanent("cannot listen to signals").because(error);
    let stop = shutdown::on_signal(notice).map_err(cannot_hear)?;
    let live = tokio::spawn(show(Arc::clone(&progress)));
    let result = pipeline.run_until(stop).await;
    live.abort();
    // Awaited, so that the line is gone from the terminal before anything else is printed.
    let _ = live.await;

    let complete = match &result {
        Ok(summary) => {
            say(&report(summary, &progress, &source, &unclaimed));
            is_complete(summary) && source.is_exhausted()
        }
        Err(error) => {
            note(&format!("error: {}", error.chain()));
            false
        }
    };
    Ok(match source.failure() {
        Some(failure) => {
            note(&format!("error: {failure}"));
            ExitCode::from(UNUSABLE)
        }
        None if complete => ExitCode::SUCCESS,
        None => ExitCode::from(UNDELIVERED),
    })
}

/// One URL, and the channels that go there.
#[derive(Debug, PartialEq)]
struct Subscriber {
    /// The URL without its query, where tokens travel; unlike any other.
    name: String,
    url: String,
    /// `None` for every channel.
    channels: Option<BTreeSet<String>>,
}

/// One subscriber for each URL, in the order they are named first; channels of the same URL come together.
fn subscribers(targets: &[Target]) -> Vec<Subscriber> {
    let mut subscribers: Vec<Subscriber> = Vec::new();
    for Target { channel, url } in targets {
        let known = subscribers.iter_mut().find(|subscriber| subscriber.url == *url);
        match (known, channel) {
            (Some(Subscriber { channels: Some(channels), .. }), Some(channel)) => {
                channels.insert(channel.clone());
            }
            (Some(subscriber), _) => subscriber.channels = None,
            (None, _) => {
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                let alike =
                    subscribers.iter().filter(|other| other.url.split(['?', '#']).next() == Some(shown)).count();
                let name = if alike == 0 { shown.to_owned() } else { format!("{shown} ({})", alike + 1) };
                let channels = channel.clone().map(|channel| BTreeSet::from([channel]));
                subscribers.push(Subscriber { name, url: url.clone(), channels });
            }
        }
    }
    subscribers
}

fn subscription(
    subscriber: &Subscriber,
    args: &Run,
    dead_letters: Option<&DeadLetters>,
    progress: &Arc<Progress>,
) -> Result<Subscription> {
    // No attempt may outlast what a record gets in all, unless that is too short for any exchange.
    let timeout = args.max_age.clamp(Duration::from_secs(1), Duration::from_secs(15));
    let http = HttpSink::builder(&subscriber.url).timeout(timeout).concurrency(args.parallel.get()).build()?;
    let sink = progress.track(GiveUp::new(Originals(http), args.max_age));
    let retry = RetryPolicy { max_age: args.max_age, cap: LONGEST_WAIT, ..RetryPolicy::default() };
    let on_reject = dead_letters.map_or(OnReject::Skip, |file| OnReject::dead_letter(file.clone()));
    let subscription = Subscription::new(subscriber.name.as_str(), sink)
        .start_at(StartPosition::TrimHorizon)
        .ordering(Ordering::PerKey { parallel: args.parallel })
        .retry(retry)
        .on_reject(on_reject);
    Ok(match &subscriber.channels {
        None => subscription,
        Some(channels) => subscription.channels(channels.iter().map(String::as_str)),
    })
}

/// Records of channels that no subscriber takes, and the first few of those channels.
#[derive(Debug, Default)]
struct Unclaimed {
    records: AtomicU64,
    channels: Mutex<BTreeSet<Channel>>,
}

/// How many channels are named; the input may have any number.
const NAMED: usize = 5;

impl Unclaimed {
    fn count(&self, channel: &Channel) {
        self.records.fetch_add(1, Atomic::Relaxed);
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // One more than is named, to know that there are more.
        if channels.len() <= NAMED && !channels.contains(channel) {
            channels.insert(channel.clone());
        }
    }
}

impl fmt::Display for Unclaimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = channels.iter().take(NAMED).map(|channel| format!("{channel:?}")).collect();
        let more = if channels.len() > NAMED { " and others" } else { "" };
        let records = count(self.records.load(Atomic::Relaxed));
        write!(f, "{records} records went nowhere: no subscriber takes {}{more}", names.join(", "))
    }
}

/// How channels are found; on the way, records that nobody takes are counted.
fn channel_from(args: &Run, subscribers: &[Subscriber], unclaimed: &Arc<Unclaimed>) -> ChannelFrom {
    let from = args.from_json_field.as_ref().map_or(ChannelFrom::PartitionKey, ChannelFrom::json_field);
    let claimed: Option<Vec<_>> = subscribers.iter().map(|subscriber| subscriber.channels.as_ref()).collect();
    let Some(claimed) = claimed else { return from };
    let claimed: BTreeSet<String> = claimed.into_iter().flatten().cloned().collect();
    let unclaimed = Arc::clone(unclaimed);
    ChannelFrom::function(move |record| {
        let channel = from.channel_of(record);
        if !claimed.contains(&*channel) {
            unclaimed.count(&channel);
        }
        Some(channel)
    })
}

fn is_complete(summary: &Summary) -> bool {
    left_undone(summary) == 0 && summary.subscriptions.values().all(SubscriptionSummary::is_complete)
}

/// Deliveries that were not decided: of every record read, taken in by its subscription or not.
fn left_undone(summary: &Summary) -> u64 {
    let settled =
        |counts: &SubscriptionSummary| counts.delivered + counts.filtered + counts.dead_lettered + counts.skipped;
    summary.subscriptions.values().map(|counts| summary.records_read.saturating_sub(settled(counts))).sum()
}

/// What is said at the end.
fn report(summary: &Summary, progress: &Progress, source: &InputSource, unclaimed: &Unclaimed) -> String {
    let mut text = table(summary);
    for (subscription, reason) in progress.reasons() {
        text.push_str(&format!("{subscription} did not take every record, at first because: {reason}\n"));
    }
    text.push_str(&format!("{} records read\n", count(summary.records_read)));
    if unclaimed.records.load(Atomic::Relaxed) > 0 {
        text.push_str(&format!("{unclaimed}\n"));
    }
    match left_undone(summary) {
        0 => {}
        left => text.push_str(&format!("{} deliveries were left undone\n", count(left))),
    }
    if !source.is_exhausted() {
        text.push_str("the input was not read to its end\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::{Record, SequenceNumber};
    use std::path::PathBuf;

    fn to(channel: Option<&str>, url: &str) -> Target {
        Target { channel: channel.map(str::to_owned), url: url.to_owned() }
    }

    #[test]
    fn channels_of_one_url_come_together_and_all_channels_win() {
        let found =
            subscribers(&[to(Some("b"), "http://h/1"), to(None, "http://h/2?x=1"), to(Some("a"), "http://h/1")]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].channels, Some(BTreeSet::from(["a".into(), "b".into()])));
        assert_eq!((&*found[1].name, &found[1].channels), ("http://h/2", &None));
        let found = subscribers(&[to(Some("b"), "http://h/1"), to(None, "http://h/1"), to(Some("c"), "http://h/1")]);
        assert_eq!((found.len(), &found[0].channels), (1, &None));
    }

    #[test]
    fn names_hide_the_query_and_differ() {
        let found = subscribers(&[to(None, "http://h/?token=1"), to(None, "http://h/?token=2")]);
        assert_eq!((&*found[0].name, &*found[1].name), ("http://h/", "http://h/ (2)"));
    }

    #[test]
    fn records_that_nobody_takes_are_counted_and_a_few_of_their_channels_named() {
        let args = Run {
            input: PathBuf::new(),
            to: vec![to(Some("wanted"), "http://h")],
            dead_letters: None,
            from_json_field: Some("type".into()),
            max_age: DRAIN,
            parallel: std::num::NonZeroUsize::MIN,
        };
        let unclaimed = Arc::new(Unclaimed::default());
        let ChannelFrom::Function(channel_of) = channel_from(&args, &subscribers(&args.to), &unclaimed) else {
            panic!("a function counts")
        };
        let channel = |data: String| channel_of(&Record::new(SequenceNumber::ZERO, "key", data)).unwrap();
        assert_eq!(channel(r#"{"type":"wanted"}"#.to_owned()), "wanted");
        assert_eq!(unclaimed.records.load(Atomic::Relaxed), 0);
        for n in 0..10 {
            channel(format!(r#"{{"type":{n}}}"#));
        }
        let expected = "10 records went nowhere: no subscriber takes \"0\", \"1\", \"2\", \"3\", \"4\" and others";
        assert_eq!(unclaimed.to_string(), expected);
    }
}
