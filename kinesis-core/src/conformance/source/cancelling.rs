//! Cancelling: a read that is dropped, at whatever point, moves nothing.

use std::future::ready;

use tokio::time::timeout;

use super::rig::Rig;
use super::tail::{Tail, same};
use crate::conformance::check::{Kept, checks, ensure};
use crate::conformance::eventually::poll_times;
use crate::error::Result;
use crate::record::Record;
use crate::shard::StartPosition;
use crate::source::Batch;

checks! { "cancelling", Rig;
    C1 dropped_before_its_first_poll: "a read that is dropped before it is polled moves nothing";
    C2 dropped_after_some_polls: "a read that is dropped after one to five polls moves nothing";
    C3 losing_a_race: "a read that loses a hundred races loses and repeats nothing";
    C4 [Replay] reopening_continues: "a reader opened after the last record that another one read continues exactly there";
    C5 a_reader_outlives_its_source: "a reader whose source is dropped works on or fails, without a panic and without \
        hanging";
}

async fn dropped_before_its_first_poll(rig: Rig) -> Kept {
    let puts = rig.fill(4).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    for put in &puts {
        drop(tail.read_once(2));
        tail.expect_by(std::slice::from_ref(put), 1).await?;
    }
    tail.expect_nothing().await
}

async fn dropped_after_some_polls(rig: Rig) -> Kept {
    let puts = rig.fill(50).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    let mut got = Vec::new();
    for polls in 1..=5 {
        for _ in 0..4 {
            got.extend(answered(poll_times(polls, tail.read_once(2)).await)?);
            same(&got, puts.get(..got.len()).unwrap_or(&puts))
                .map_err(|broken| broken.when(format!("{polls} polls")))?;
        }
    }
    // One that answers too much has been found out above.
    tail.expect(&puts[got.len()..]).await?;
    tail.expect_nothing().await
}

async fn losing_a_race(rig: Rig) -> Kept {
    let puts = rig.fill(150).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    let mut got: Vec<Record> = Vec::new();
    for round in 0..100 {
        got.extend(race(&mut tail, round).await?);
        same(&got, puts.get(..got.len()).unwrap_or(&puts)).map_err(|broken| broken.when(format!("race {round}")))?;
    }
    tail.expect(&puts[got.len()..]).await?;
    tail.expect_nothing().await
}

/// A read against something that is ready at once, or as soon as everybody was polled.
async fn race(tail: &mut Tail, round: usize) -> Kept<Vec<Record>> {
    let answer = match round % 3 {
        0 => tokio::select! { biased; () = ready(()) => None, answer = tail.read_once(1) => Some(answer) },
        1 => tokio::select! { biased; answer = tail.read_once(1) => Some(answer), () = ready(()) => None },
        _ => tokio::select! {
            biased;
            answer = tail.read_once(1) => Some(answer),
            () = tokio::task::yield_now() => None,
        },
    };
    answered(answer)
}

async fn reopening_continues(rig: Rig) -> Kept {
    let puts = rig.fill(6).await;
    for read in 1..puts.len() {
        let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
        tail.expect_by(&puts[..read], 1).await?;
        drop(tail);
        let last = &puts[read - 1];
        rig.open(&last.shard, StartPosition::After(last.number)).await?.expect(&puts[read..]).await?;
    }
    Ok(())
}

async fn a_reader_outlives_its_source(rig: Rig) -> Kept {
    let puts = rig.fill(3).await;
    let patience = rig.harness.patience();
    let parks = rig.source.caps().parks;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    tail.expect_by(&puts[..1], 1).await?;
    drop(rig);
    for _ in 0..3 {
        let answer = timeout(patience, tail.read_once(1)).await;
        ensure!(parks || answer.is_ok(), "without its source, the reader answers neither records nor an error");
    }
    Ok(())
}

/// The records of a read that came to its end. One that failed with what may pass has moved nothing either.
fn answered(answer: Option<Result<Batch>>) -> Kept<Vec<Record>> {
    match answer {
        None => Ok(Vec::new()),
        Some(Err(error)) if error.kind().is_retryable() => Ok(Vec::new()),
        Some(answer) => Ok(answer?.records),
    }
}
