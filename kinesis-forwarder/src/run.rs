//! `run`: from a stream, a file or a pipe, through the pipeline, to the subscribers.

mod kept;

use std::process::ExitCode;
use std::sync::Arc;

use kinesis_aws::{CreateTable, KinesisSource};
use kinesis_core::pipeline::{PipelineBuilder, SubscriptionSummary};
use kinesis_core::{Error, Event, FileStore, Observer, Pipeline, Result, Sink, StreamSource as _, Summary};
use kinesis_http_sink::HttpSink;

use crate::aws::{config_at, lease_table};
use crate::cli::Run;
use crate::config::{Config, Sinks, Source, State, Stream, Subscriber, Variables};
use crate::drive::{self, DRAIN};
use crate::give_up::GiveUp;
use crate::input::{InputSource, Originals};
use crate::output::{Progress, count, note, say, table};
use crate::subscribers::{Unclaimed, channel_from};
use crate::watch::{Measured, Serving, Watch};

/// The name under which state is kept.
pub(crate) const APPLICATION: &str = "kinesis-forwarder";

/// The exit code when some records were not delivered.
const UNDELIVERED: u8 = 1;
/// The exit code for a wrong command line and for broken input.
pub const UNUSABLE: u8 = 2;

/// Delivers the whole input, or a stream until it is asked to stop, and tells what became of it.
///
/// # Errors
///
/// When it cannot start: the input or the stream cannot be opened, the dead-letter file cannot be written, the address for
/// health and metrics is taken. What is wrong with the configuration is told, all of it, and is the exit code.
pub async fn run(args: Run) -> Result<ExitCode> {
    let config = match Config::of_run(&args, &Variables::of_process()) {
        Ok(config) => config,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| note(&format!("error: {mistake}")));
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    match (&config.source, &config.state) {
        (Some(Source::Input(path)), State::File(state)) => kept::run(&config, path, state).await,
        (Some(Source::Input(path)), _) => {
            let source = InputSource::open(path)?;
            run_input(&config, source).await
        }
        (Some(Source::Stream(stream)), _) => run_stream(&config, stream).await,
        (None, _) => Err(Error::invalid("the configuration names no source: give --stream or --input")),
    }
}

async fn run_input(config: &Config, source: InputSource) -> Result<ExitCode> {
    let plan = Plan::new(config).await?;
    let builder = Pipeline::builder(APPLICATION, source.clone());
    let pipeline = plan.onto(builder, input_sink)?;
    let result = plan.drive(pipeline, false).await?;
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

async fn run_stream(config: &Config, stream: &Stream) -> Result<ExitCode> {
    let sdk = config_at(stream.endpoint.as_deref(), stream.region.as_deref()).await?;
    let mut source = KinesisSource::builder(&sdk, stream.name.as_str());
    if let Some(consumer) = &stream.consumer {
        source = source.consumer(consumer);
    }
    let plan = Plan::new(config).await?;
    let source = source.connect().await?;
    let id = source.stream().clone();
    let mut builder = Pipeline::builder(APPLICATION, source);
    match &config.state {
        State::Nowhere => {}
        State::File(path) => builder = builder.leases(FileStore::open(path, APPLICATION)?),
        State::Table { name, dynamodb } => {
            let region = stream.region.as_deref();
            let table = lease_table(name, dynamodb.as_deref(), region, &id, CreateTable::IfMissing).await?;
            builder = builder.leases(table);
        }
    }
    let pipeline = plan.onto(builder, |_, http| http)?;
    let summary = plan.drive(pipeline, true).await??;
    say(&plan.report(&summary));
    // What was not settled yet is read again by whoever reads on; what was given up is not.
    let given_up = |counts: &SubscriptionSummary| counts.skipped + counts.dead_lettered > 0 || counts.halted.is_some();
    Ok(match summary.subscriptions.values().any(given_up) {
        true => ExitCode::from(UNDELIVERED),
        false => ExitCode::SUCCESS,
    })
}

/// What stands before the sink of a subscriber to an input, whose end somebody waits for.
fn input_sink(subscriber: &Subscriber, http: Arc<HttpSink>) -> GiveUp<Originals<Arc<HttpSink>>> {
    GiveUp::new(Originals(http), subscriber.max_age())
}

/// A configuration that is about to run, and what is seen of the run.
struct Plan<'a> {
    config: &'a Config,
    sinks: Sinks,
    unclaimed: Arc<Unclaimed>,
    progress: Arc<Progress>,
    watch: Arc<Watch>,
    /// Answers for as long as the plan is there.
    serving: Option<Serving>,
}

impl<'a> Plan<'a> {
    async fn new(config: &'a Config) -> Result<Self> {
        let sinks = config.sinks()?;
        let names = config.subscribers.iter().map(|subscriber| subscriber.name.as_str());
        let watch = Arc::new(Watch::new(names.zip(sinks.http().iter().cloned())));
        let serving = match &config.server {
            None => None,
            Some(server) => Some(Serving::start(server, &watch).await?),
        };
        Ok(Self { config, sinks, unclaimed: Arc::default(), progress: Arc::default(), watch, serving })
    }

    /// Adds the subscribers to a pipeline; `wrap` is put around the sink of each.
    fn onto<S: Sink>(
        &self,
        builder: PipelineBuilder,
        wrap: impl Fn(&Subscriber, Arc<HttpSink>) -> S,
    ) -> Result<Pipeline> {
        let claimed = self.config.subscribers.iter().map(|subscriber| subscriber.channels.as_ref());
        let channels = channel_from(self.config.from_json_field.as_ref(), claimed, &self.unclaimed);
        let seen = Seen { progress: Arc::clone(&self.progress), watch: self.watched() };
        let mut builder = builder.channel_from(channels).observer(seen).drain_within(DRAIN);
        let sink = |subscriber: &Subscriber, http| {
            let measured = Measured::new(wrap(subscriber, http), self.watched().as_deref(), &subscriber.name);
            self.progress.track(measured)
        };
        for subscription in self.config.subscriptions(&self.sinks, sink)? {
            builder = builder.subscribe(subscription);
        }
        builder.build()
    }

    /// What is told of the run to whoever asks over HTTP, where somebody can.
    fn watched(&self) -> Option<Arc<Watch>> {
        self.serving.as_ref().map(|_| Arc::clone(&self.watch))
    }

    async fn drive(&self, pipeline: Pipeline, follows: bool) -> Result<Result<Summary>> {
        if let Some(serving) = &self.serving {
            serving.runs(pipeline.handle());
        }
        let result = drive::drive(pipeline, &self.progress, follows).await;
        self.watch.ended();
        result
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

/// Both who show what happens.
#[derive(Debug)]
struct Seen {
    progress: Arc<Progress>,
    watch: Option<Arc<Watch>>,
}

impl Observer for Seen {
    fn on(&self, event: &Event) {
        self.progress.on(event);
        if let Some(watch) = &self.watch {
            watch.on(event);
        }
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
