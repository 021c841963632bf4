//! `run --input --state`: what runs before have not delivered of a file.

use std::path::Path;
use std::process::ExitCode;

use kinesis_core::pipeline::SubscriptionSummary;
use kinesis_core::pipeline::stored::position;
use kinesis_core::{
    CursorPosition, FileStore, LeaseStore as _, Pipeline, Result, ShardKey, StreamSource as _, SubscriptionName,
};

use super::{APPLICATION, Plan, UNDELIVERED, UNUSABLE, input_sink};
use crate::config::Config;
use crate::input::KeptInput;
use crate::output::{note, say};

/// Delivers the rest of the file at `path`, and keeps in the file `state` how far that came.
pub(super) async fn run(config: &Config, path: &Path, state: &Path) -> Result<ExitCode> {
    let plan = Plan::new(config).await?;
    let store = FileStore::open(state, APPLICATION)?;
    let source = KeptInput::open(path, &store).await?;
    let (input, state) = (path.display(), state.display());
    if source.is_replaced() {
        note(&format!("{input} is another file than the one that {state} knows: it is read from its start"));
    }
    let names = config.subscribers.iter().map(|subscriber| SubscriptionName::from(subscriber.name.as_str()));
    let names: Vec<SubscriptionName> = names.collect();
    if is_done(&source, &store, &names).await? {
        say(&format!("nothing more to do: {state} has every record of {input} as delivered\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let builder = Pipeline::builder(APPLICATION, source.clone()).leases(store.clone());
    let pipeline = plan.onto(builder, input_sink)?;
    let handle = pipeline.handle();
    let result = plan.drive(pipeline, false).await?;
    source.close_part(&store).await?;
    let done = is_done(&source, &store, &names).await?;
    let summary = handle.summary();
    let mut text = plan.report(&summary);
    if !done {
        text.push_str(&format!("not everything is delivered; the next run with {state} goes on from here\n"));
    }
    say(&text);
    if let Some(failure) = source.failure() {
        note(&format!("error: {failure}"));
        return Ok(ExitCode::from(UNUSABLE));
    }
    if let Err(error) = &result {
        note(&format!("error: {}", error.chain()));
    }
    let complete = done && result.is_ok() && summary.subscriptions.values().all(SubscriptionSummary::is_complete);
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(UNDELIVERED) })
}

/// Whether all of these subscriptions have every part of the input.
async fn is_done(source: &KeptInput, store: &FileStore, names: &[SubscriptionName]) -> Result<bool> {
    let records = store.subscriptions().await?;
    let records: Vec<_> = records.into_iter().filter(|record| record.stream == *source.stream()).collect();
    for shard in source.list_shards().await? {
        let Some(row) = store.get(&ShardKey::new(source.stream(), &shard.id)).await? else { return Ok(false) };
        let has_ended = |name: &SubscriptionName| {
            let record = records.iter().find(|record| record.name == *name && !record.forgotten);
            record.is_some_and(|record| position(record, &row) == CursorPosition::End)
        };
        if !names.iter().all(has_ended) {
            return Ok(false);
        }
    }
    Ok(true)
}
