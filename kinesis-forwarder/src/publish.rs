//! `publish`: records made up, or of a file or a pipe, onto a stream.

use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kinesis_aws::KinesisSink;
use kinesis_core::{
    BatchPolicy, Demand, OnReject, Ordering, Pipeline, Result, RetryPolicy, StartPosition, Subscription,
};

use crate::cli::Publish;
use crate::drive::{self, DRAIN};
use crate::input::InputSource;
use crate::output::{Progress, count, note, say};
use crate::run::{exit_code, left_undone};

/// Entries of a request (API reference of `PutRecords`).
const BATCH: usize = 500;
/// Records read ahead, for several requests at once.
const AHEAD: usize = 8 * BATCH;
/// How long a record is tried.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How many partition keys made-up records have.
const KEYS: u64 = 100;

/// Puts the whole input and tells what became of it.
///
/// # Errors
///
/// When it cannot start: the input cannot be opened, the stream cannot be found.
pub async fn publish(args: Publish) -> Result<ExitCode> {
    let source = match (&args.input, args.count) {
        (Some(path), _) => InputSource::open(path)?,
        (None, count) => InputSource::read("made-up records", MadeUp::new(count.unwrap_or_default()))?,
    };
    let stream = args.stream.named()?;
    let sink = KinesisSink::connect(&args.stream.config().await?, stream.as_str()).await?;
    let progress = Arc::new(Progress::default());
    let subscription = Subscription::new(stream.as_str(), progress.track(sink))
        .start_at(StartPosition::TrimHorizon)
        .ordering(Ordering::per_key(16))
        .batch(BatchPolicy::of(BATCH))
        .demand(Demand { max: AHEAD, min: AHEAD / 2, ..Demand::default() })
        .retry(RetryPolicy { max_age: MAX_AGE, ..RetryPolicy::default() })
        .on_reject(OnReject::Skip);
    let pipeline = Pipeline::builder("kinesis-forwarder", source.clone())
        .observer(Arc::clone(&progress))
        .drain_within(DRAIN)
        .subscribe(subscription)
        .build()?;
    let result = drive::drive(pipeline, &progress, false).await?;
    let complete = match &result {
        Ok(summary) => {
            let counts = summary.subscriptions.values().next().cloned().unwrap_or_default();
            say(&format!("{} records put on {stream}\n", count(counts.delivered)));
            progress.reasons().values().for_each(|reason| note(&format!("some were not, at first because: {reason}")));
            counts.is_complete() && left_undone(summary) == 0 && source.is_exhausted()
        }
        Err(error) => {
            note(&format!("error: {}", error.chain()));
            false
        }
    };
    Ok(exit_code(&source, complete))
}

/// Made-up records, as lines of an input.
struct MadeUp {
    next: u64,
    count: u64,
    line: io::Cursor<Vec<u8>>,
}

impl MadeUp {
    fn new(count: u64) -> Self {
        Self { next: 0, count, line: io::Cursor::default() }
    }
}

impl Read for MadeUp {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.line.read(to)?;
        if read > 0 || self.next == self.count || to.is_empty() {
            return Ok(read);
        }
        let (n, key) = (self.next, self.next % KEYS);
        self.next += 1;
        self.line =
            io::Cursor::new(format!("{{\"partitionKey\":\"key-{key}\",\"data\":\"record {n}\"}}\n").into_bytes());
        self.line.read(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_records_are_lines_of_an_input() {
        let mut text = String::new();
        MadeUp::new(102).read_to_string(&mut text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 102);
        assert_eq!(lines[101], r#"{"partitionKey":"key-1","data":"record 101"}"#);
        assert_eq!(MadeUp::new(0).read_to_string(&mut String::new()).unwrap(), 0);
    }
}
