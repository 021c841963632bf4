//! What a shard lets its readers read and its writers write.

use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType as From;
use tokio::time::Instant;

use crate::behaviour::stage::{Stage, THROTTLED, entry};
use crate::behaviour::verdict::{Answered, Deviates, Verdict, holds, same};

const SECOND: Duration = Duration::from_secs(1);

/// What is counted by the second can only be told where the calls take less, so a slow attempt is repeated.
async fn within_a_second<T>(stage: &Stage, attempt: impl AsyncFn() -> Verdict<T>) -> Verdict<T> {
    for _ in 0..10 {
        let start = Instant::now();
        let result = attempt().await?;
        if stage.backend.since(start) < SECOND {
            return Ok(result);
        }
        stage.backend.pass(SECOND).await;
    }
    Err(Deviates::by("a few calls take more than a second"))
}

pub(super) async fn five_reads_a_second(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let iterator = stage.iterator(From::TrimHorizon).await?;
    let read = || stage.client.get_records().shard_iterator(&iterator).send();
    let answered = within_a_second(stage, async || {
        let mut answered = 0;
        while answered < 6 {
            match read().await {
                Ok(_) => answered += 1,
                refused => {
                    refused.refused("GetRecords", &[THROTTLED])?;
                    break;
                }
            }
        }
        Ok(answered)
    });
    holds(answered.await? == 5, "it answers the sixth read")?;
    stage.backend.pass(SECOND).await;
    read().await.of("GetRecords, a second later").map(drop)
}

pub(super) async fn ten_megabytes(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    // With its key of one byte each is a mebibyte. The pages do not say how many of them an answer of ten has.
    for _ in 0..11 {
        stage.put(vec![0; (1 << 20) - 1]).await?;
    }
    let iterator = stage.iterator(From::TrimHorizon).await?;
    let start = Instant::now();
    let all = stage.read(&iterator, 10_000).await?;
    let records = all.records().len();
    holds((9..=10).contains(&records), &format!("{records} MiB in an answer"))?;
    let next = all.next_shard_iterator.ok_or_else(|| Deviates::by("an open shard ends"))?;
    let again = || stage.client.get_records().shard_iterator(&next).send();
    again().await.refused("GetRecords", &[THROTTLED])?;
    stage.read(&next, 1).await?;
    let closed = stage.backend.since(start);
    // At 2 MiB a second.
    holds(closed >= Duration::from_millis(500) * records as u32, "it answers before the five seconds are over")?;
    holds(closed < Duration::from_secs(15), "it answers long after the five seconds are over")
}

/// In one request, so that it can be told however slow the machine is.
pub(super) async fn mebibyte_a_second(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let entries = (0..6).map(|_| entry(&"x".repeat(300 << 10))).collect();
    let put = stage.client.put_records().stream_name(stage.name).set_records(Some(entries)).send().await;
    let put = put.of("PutRecords")?;
    let told = put.records().iter().filter(|record| record.error_code() == Some(THROTTLED)).count();
    same("refused of 1,800 KiB in six records", told, 3)?;
    same("FailedRecordCount", put.failed_record_count(), Some(3))
}
