//! Runs a pipeline as a program does: with a live line, until it is done or asked to stop.

use std::sync::Arc;
use std::time::Duration;

use kinesis_core::{Pipeline, Result, Summary};

use crate::output::{Progress, note, show};
use crate::shutdown;

/// How long what is in flight may take once it was asked to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// Runs the pipeline; the outer error says that it could not start. `follows` says that it has a tip to come to.
pub(crate) async fn drive(pipeline: Pipeline, progress: &Arc<Progress>, follows: bool) -> Result<Result<Summary>> {
    let notice =
        || note(&format!("finishing what is in flight, for at most {} s; again to stop at once", DRAIN.as_secs()));
    let stop = shutdown::on_signal(notice).map_err(shutdown::cannot_hear)?;
    let live = tokio::spawn(show(Arc::clone(progress), follows.then(|| pipeline.handle())));
    let result = pipeline.run_until(stop).await;
    live.abort();
    // Awaited, so that the line is gone from the terminal before anything else is printed.
    let _ = live.await;
    Ok(result)
}
