//! `run`: from a stream, a file or a pipe, through the pipeline, to the subscribers.

mod kept;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kinesis_aws::{CreateTable, KinesisSource};
use kinesis_core::pipeline::{PipelineBuilder, SubscriptionSummary};
use kinesis_core::{
    Error, FileStore, OnReject, Ordering, Pipeline, Result, RetryPolicy, Sink, StartPosition, StreamSource as _,
    Subscription, Summary,
};
use kinesis_http_sink::HttpSink;

use crate::aws::lease_table;
use crate::cli::Run;
use crate::dead_letters::DeadLetters;
use crate::drive::{self, DRAIN};
use crate::give_up::GiveUp;
use crate::input::{InputSource, Originals};
use crate::output::{Progress, count, note, say, table};
use crate::subscribers::{Subscriber, Unclaimed, channel_from, subscribers};

/// The name under which state is kept.
pub(crate) const APPLICATION: &str = "kinesis-forwarder";

/// How long a record of an input is tried, where the command line does not say: somebody waits for the end.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The longest wait between two attempts: within a `--max-age` of seconds there should be several.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The exit code when some records were not delivered.
const UNDELIVERED: u8 = 1;
/// The exit code for a wrong command line and for broken input.
pub const UNUSABLE: u8 = 2;

/// Delivers the whole input, or a stream until it is asked to stop, and tells what became of it.
///
/// # Errors
///
/// When it cannot start: the input or the stream cannot be opened, a URL cannot be used, the dead-letter file cannot be
/// written.
pub async fn run(args: Run) -> Result<ExitCode> {
    match (&args.input, &args.state) {
        (Some(path), Some(state)) => kept::run(&args, path, state).await,
        (Some(path), None) => {
            let source = InputSource::open(path)?;
            run_input(&args, source).await
        }
        (None, _) => run_stream(&args).await,
    }
}

async fn run_input(args: &Run, source: InputSource) -> Result<ExitCode> {
    let plan = Plan::of_input(args)?;
    let builder = Pipeline::builder(APPLICATION, source.clone());
    let pipeline = plan.onto(builder, |http| plan.input_sink(http))?;
    let result = drive::drive(pipeline, &plan.progress, false).await?;
    let complete = match &result {
        Ok(summary) => {
            let mut text = plan.report(summary);
            match left_undone(summary) {
                0 => {}
                left => text.push_str(&format!("{} deliveries were left undone\n", count(left))),
            }
            if !source.is_exhausted() {
                text.push_str("the input was not read to its end\n");
            }
            say(&text);
            is_complete(summary) && source.is_exhausted()
        }
        Err(error) => {
            note(&format!("error: {}", error.chain()));
            false
        }
    };
    Ok(exit_code(&source, complete))
}

/// How a run over an input ends: what is wrong with that is told, and counts more than what was left undone.
pub(crate) fn exit_code(source: &InputSource, complete: bool) -> ExitCode {
    match source.failure() {
        Some(failure) => {
            note(&format!("error: {failure}"));
            ExitCode::from(UNUSABLE)
        }
        None if complete => ExitCode::SUCCESS,
        None => ExitCode::from(UNDELIVERED),
    }
}

async fn run_stream(args: &Run) -> Result<ExitCode> {
    let stream = args.stream.named()?;
    let mut source = KinesisSource::builder(&args.stream.config().await?, stream);
    if let Some(consumer) = &args.consumer {
        source = source.consumer(consumer);
    }
    let retry = RetryPolicy::default();
    let retry = RetryPolicy { max_age: args.max_age.unwrap_or(retry.max_age), ..retry };
    let start = args.start.unwrap_or(StartPosition::Latest);
    let plan = Plan::new(args, retry.max_age, retry, start)?;
    let source = source.connect().await?;
    let id = source.stream().clone();
    let mut builder = Pipeline::builder(APPLICATION, source);
    if let Some(path) = &args.state {
        builder = builder.leases(plan.state(path)?);
    }
    if let Some(table) = &args.table {
        plan.can_be_kept("--table")?;
        let dynamodb = args.dynamodb.as_deref();
        builder = builder.leases(lease_table(table, dynamodb, &id, CreateTable::IfMissing).await?);
    }
    let pipeline = plan.onto(builder, |http| http)?;
    let summary = drive::drive(pipeline, &plan.progress, true).await??;
    say(&plan.report(&summary));
    // What was not settled yet is read again by whoever reads on; what was given up is not.
    let given_up = |counts: &SubscriptionSummary| counts.skipped + counts.dead_lettered > 0 || counts.halted.is_some();
    Ok(match summary.subscriptions.values().any(given_up) {
        true => ExitCode::from(UNDELIVERED),
        false => ExitCode::SUCCESS,
    })
}

/// Who gets what, and how long it is tried.
struct Plan<'a> {
    args: &'a Run,
    subscribers: Vec<Subscriber>,
    dead_letters: Option<DeadLetters>,
    retry: RetryPolicy,
    start: StartPosition,
    /// No attempt may outlast what a record gets in all, unless that is too short for any exchange.
    timeout: Duration,
    unclaimed: Arc<Unclaimed>,
    progress: Arc<Progress>,
}

impl<'a> Plan<'a> {
    /// The plan for an input, whose end somebody waits for.
    fn of_input(args: &'a Run) -> Result<Self> {
        let max_age = args.max_age.unwrap_or(MAX_AGE);
        let retry = RetryPolicy { max_age, cap: LONGEST_WAIT, ..RetryPolicy::default() };
        Self::new(args, max_age, retry, StartPosition::TrimHorizon)
    }

    fn input_sink(&self, http: HttpSink) -> GiveUp<Originals<HttpSink>> {
        GiveUp::new(Originals(http), self.retry.max_age)
    }

    /// Opens the file that keeps how far the subscribers are.
    fn state(&self, path: &Path) -> Result<FileStore> {
        self.can_be_kept("--state")?;
        FileStore::open(path, APPLICATION)
    }

    /// Whether what is kept of the subscribers tells them apart.
    fn can_be_kept(&self, option: &str) -> Result<()> {
        let bare = |subscriber: &Subscriber| subscriber.url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.subscribers.iter().map(bare).find(|url| !seen.insert(url.clone())) {
            return Err(Error::invalid(format!(
                "two subscribers at {twice} differ in the query alone, which {option} cannot tell apart; give each a path"
            )));
        }
        Ok(())
    }

    fn new(args: &'a Run, max_age: Duration, retry: RetryPolicy, start: StartPosition) -> Result<Self> {
        let open = |path| DeadLetters::open(path, args.input.as_deref());
        Ok(Self {
            args,
            subscribers: subscribers(&args.to),
            dead_letters: args.dead_letters.as_deref().map(open).transpose()?,
            retry,
            start,
            timeout: max_age.clamp(Duration::from_secs(1), Duration::from_secs(15)),
            unclaimed: Arc::default(),
            progress: Arc::default(),
        })
    }

    /// Adds the subscribers to a pipeline; `wrap` is put around the sink of each.
    fn onto<S: Sink>(&self, builder: PipelineBuilder, wrap: impl Fn(HttpSink) -> S) -> Result<Pipeline> {
        let channels = channel_from(self.args.from_json_field.as_ref(), &self.subscribers, &self.unclaimed);
        let mut builder = builder.channel_from(channels).observer(Arc::clone(&self.progress)).drain_within(DRAIN);
        for subscriber in &self.subscribers {
            builder = builder.subscribe(self.subscription(subscriber, &wrap)?);
        }
        builder.build()
    }

    fn subscription<S: Sink>(&self, subscriber: &Subscriber, wrap: impl Fn(HttpSink) -> S) -> Result<Subscription> {
        let parallel = self.args.parallel;
        let http = HttpSink::builder(&subscriber.url).timeout(self.timeout).concurrency(parallel.get());
        let http = match self.args.input {
            // Somebody waits for the end, and has a patience of their own.
            Some(_) => http.without_breaker().ask_again([]),
            None => http,
        };
        let http = http.build()?;
        let on_reject = match &self.dead_letters {
            Some(file) => OnReject::dead_letter(file.clone()),
            // The next run begins with it.
            None if self.args.state.is_some() && self.args.input.is_some() => OnReject::Halt,
            None => OnReject::Skip,
        };
        let subscription = Subscription::new(subscriber.name.as_str(), self.progress.track(wrap(http)))
            .start_at(self.start)
            .ordering(Ordering::PerKey { parallel })
            .retry(self.retry)
            .on_reject(on_reject);
        Ok(match &subscriber.channels {
            None => subscription,
            Some(channels) => subscription.channels(channels.iter().map(String::as_str)),
        })
    }

    /// What is said at the end.
    fn report(&self, summary: &Summary) -> String {
        let mut text = table(summary);
        for (subscription, reason) in self.progress.reasons() {
            text.push_str(&format!("{subscription} did not take every record, at first because: {reason}\n"));
        }
        text.push_str(&format!("{} records read\n", count(summary.records_read)));
        if !self.unclaimed.is_empty() {
            text.push_str(&format!("{}\n", self.unclaimed));
        }
        text
    }
}

fn is_complete(summary: &Summary) -> bool {
    left_undone(summary) == 0 && summary.subscriptions.values().all(SubscriptionSummary::is_complete)
}

/// Deliveries that were not decided: of every record read, taken in by its subscription or not.
pub(crate) fn left_undone(summary: &Summary) -> u64 {
    let settled =
        |counts: &SubscriptionSummary| counts.delivered + counts.filtered + counts.dead_lettered + counts.skipped;
    summary.subscriptions.values().map(|counts| summary.records_read.saturating_sub(settled(counts))).sum()
}
