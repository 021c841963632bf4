//! `tail`: a look at a stream, or at one of its shards, as it comes.

use std::process::ExitCode;

use kinesis_aws::KinesisSource;
use kinesis_core::stream::{RecordStream, merged};
use kinesis_core::{Record, Result, ShardId};
use tokio_stream::{Stream, StreamExt as _};

use crate::cli::Tail;
use crate::output::{event_line, note, say};
use crate::shutdown;

/// Prints what comes until it is asked to stop, or the stream ends.
///
/// # Errors
///
/// When the stream or the shard cannot be read, now or later.
pub async fn tail(args: Tail) -> Result<ExitCode> {
    let stream = args.stream.named()?;
    let source = KinesisSource::connect(&args.stream.config().await?, stream).await?;
    let stop = shutdown::on_signal(|| {}).map_err(shutdown::cannot_hear)?;
    let print = async {
        match args.shard {
            Some(shard) => print(RecordStream::open(&source, &ShardId::from(shard), args.start).await?).await,
            None => {
                let records = merged(source, args.start).await?;
                print(records.map(|next| next.map(|(_, record)| record))).await
            }
        }
    };
    tokio::select! {
        result = print => result?,
        () = stop => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each record; what passes is told, and what ends the stream is an error.
async fn print(mut records: impl Stream<Item = Result<Record>> + Unpin) -> Result<()> {
    while let Some(next) = records.next().await {
        match next {
            Ok(Record { partition_key, sequence_number, arrived_at, data, .. }) => {
                let line = event_line(&partition_key, &sequence_number.to_string(), arrived_at, &data);
                say(&(line + "\n"));
            }
            Err(error) if error.kind().is_retryable() => note(&format!("trying again: {}", error.chain())),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
