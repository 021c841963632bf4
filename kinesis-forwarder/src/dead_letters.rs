//! The dead-letter file: what could not be delivered, one JSON object a line, so that `run` can read it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kinesis_core::{Delivery, Entry, Error, Outcomes, Result, SequenceNumber, Sink};
use serde::Serialize;

use crate::input::original;

/// A sink that appends records to a file, in the format of an event with more fields. Clones share the file.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

/// One line of the file: what an event has, where it comes from, and why it is here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetter<'a> {
    channel: &'a str,
    sequence_number: SequenceNumber,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_arrival_timestamp: Option<f64>,
    /// Where the channel is not the partition key.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key: Option<&'a str>,
    stream: &'a str,
    shard: &'a str,
    subscription: &'a str,
    reason: &'a str,
    attempts: u32,
}

impl DeadLetters {
    /// Opens the file at `path` to append to, and makes it when there is none. It must not be `input`, the file that
    /// is being read: reading what one appends has no end.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) when the file cannot be written to or is the input.
    pub fn open(path: &Path, input: Option<&Path>) -> Result<Self> {
        let name = path.display();
        let refuse = |error| Error::invalid(format!("cannot write dead letters to {name}")).because(error);
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(refuse)?;
        let input = input.and_then(|input| input.canonicalize().ok());
        if input.is_some_and(|input| path.canonicalize().is_ok_and(|path| path == input)) {
            return Err(Error::invalid(format!(
                "cannot write dead letters to {name}: it is the input; take another file"
            )));
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(Mutex::new(file)) })
    }
}

#[async_trait]
impl Sink for DeadLetters {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let mut lines = Vec::new();
        for entry in delivery.iter() {
            let line = dead_letter(delivery, entry);
            serde_json::to_writer(&mut lines, &line).expect("strings and numbers are always JSON");
            lines.push(b'\n');
        }
        let file = Arc::clone(&self.file);
        // On a thread that nobody cancels: half a line would make the file unreadable.
        let written = tokio::task::spawn_blocking(move || {
            append(&mut file.lock().unwrap_or_else(PoisonError::into_inner), &lines)
        });
        let written = written.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
        let failed = |error| Error::transient(format!("cannot write to {}", self.path.display())).because(error);
        written.map_err(failed)?;
        Ok(Outcomes::delivered(delivery.len()))
    }
}

/// Appends all of `lines`, or as far as that can be helped nothing.
fn append(file: &mut File, lines: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(lines).and_then(|()| file.flush()).inspect_err(|_| {
        // A full disk leaves half a line behind. What is no regular file cannot be cut, and nothing is lost by trying.
        let _ = file.set_len(before);
    })
}

fn dead_letter<'a>(delivery: &'a Delivery, entry: Entry<'a>) -> DeadLetter<'a> {
    let record = entry.record();
    let (data, encoding) = match std::str::from_utf8(&record.data) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (STANDARD.encode(&record.data), Some("base64")),
    };
    let since_1970 = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok();
    DeadLetter {
        channel: entry.channel(),
        sequence_number: original(record.sequence_number),
        data,
        encoding,
        approximate_arrival_timestamp: record.arrived_at.and_then(since_1970).map(|since| since.as_secs_f64()),
        partition_key: (record.partition_key != *entry.channel()).then_some(&record.partition_key),
        stream: &delivery.stream().name,
        shard: delivery.shard(),
        subscription: delivery.subscription(),
        reason: entry.rejection().map_or("", |rejection| &rejection.reason),
        attempts: entry.rejection().map_or(0, |rejection| rejection.attempts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputSource;
    use kinesis_core::{Record, Rejection, StartPosition, StreamId, StreamSource};
    use std::num::NonZeroUsize;

    async fn read_all(text: String) -> Vec<Record> {
        let source = InputSource::read("test", io::Cursor::new(text)).unwrap();
        let shard = source.list_shards().await.unwrap().remove(0).id;
        let mut reader = source.open_shard(&shard, StartPosition::TrimHorizon).await.unwrap();
        let mut records = Vec::new();
        loop {
            let batch = reader.next_batch(NonZeroUsize::MAX).await.unwrap();
            records.extend(batch.records);
            if batch.end.is_some() {
                assert_eq!(source.failure(), None);
                return records;
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_again_as_it_came() {
        let events = [
            r#"{"channel":"a","sequenceNumber":"9","data":"line\nline","approximateArrivalTimestamp":1485507652.516}"#,
            r#"{"channel":"b","sequenceNumber":"8.2","data":"//4=","encoding":"base64"}"#,
        ];
        let records = read_all(events.join("\n")).await;
        let path = std::env::temp_dir().join(format!("dead-letters-{}", std::process::id()));
        let dead_letters = DeadLetters::open(&path, None).unwrap();
        let rejections = vec![Rejection::new("refused \"it\"", 3); 2];
        let delivery = Delivery::new(StreamId::new("in"), "0", "audit", records.clone()).with_rejections(rejections);
        assert!(dead_letters.deliver(&delivery).await.unwrap().all_delivered());
        let text = std::fs::read_to_string(&path).unwrap();
        let is_input = DeadLetters::open(&path, Some(&path)).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(is_input.message().ends_with("it is the input; take another file"));
        let tail = r#""stream":"in","shard":"0","subscription":"audit","reason":"refused \"it\"","attempts":3}"#;
        let event = events[0].trim_end_matches('}');
        assert_eq!(text.lines().next().unwrap(), format!("{event},{tail}"));
        assert_eq!(read_all(text).await, records);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = DeadLetters::open(Path::new("no/such/dir/dead.ndjson"), None).unwrap_err();
        assert!(
            error.chain().starts_with("cannot write dead letters to no/such/dir/dead.ndjson: No such"),
            "{error:?}"
        );
    }
}
