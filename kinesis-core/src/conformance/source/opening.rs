//! Opening: where a reader starts for each position, and that it is settled when `open_shard` returns.

use std::time::Duration;

use tokio::time::sleep;

use super::rig::Rig;
use super::tail::same;
use crate::conformance::check::{Broken, Kept, checks, ensure};
use crate::error::ErrorKind;
use crate::shard::{ShardId, StartPosition};

/// Long enough for two records to arrive at different times, by any stream's clock.
const TICK: Duration = Duration::from_millis(20);

checks! { "opening", Rig;
    O1 the_horizon_is_the_first_record: "a reader opened at the trim horizon reads the first retained record first";
    O2 [Replay] latest_is_what_comes_after_opening: "a reader opened at the tip reads only what is put after opening";
    O3 [Replay] latest_is_fixed_at_opening: "what is put after opening at the tip and before the first read is read, \
        however long the first read is in coming";
    O4 [Replay] at_starts_with_the_record: "a reader opened at a number reads that record first";
    O5 [Replay] after_starts_with_the_next: "a reader opened after a number reads its successor first";
    O6 [Replay] after_the_last_waits_for_the_next: "a reader opened after the last record reads nothing, then the next put";
    O7 [Replay] a_number_between_records: "a position between two records finds the next greater one, or is refused with \
        `Invalid` where the harness declares `exact_sequence`";
    O8 [Replay] a_timestamp_finds_the_first_at_or_after: "a reader opened at a time reads the first record that arrived \
        then or later; without `timestamps` it is refused with `Unsupported`";
    O9 [Replay] a_time_to_come_waits: "a reader opened at a time to come finds nothing yet, and no error";
    O10 an_unknown_shard_is_not_found: "an unknown shard is `NotFound`, at opening or at the first read, never an empty \
        stream";
    O11 [Replay, Trim] a_trimmed_position: "a trimmed position is refused with `PositionExpired` or starts at the horizon, \
        as declared; no retained record is passed over";
    O12 [ManyReaders] two_readers_are_independent: "two readers of one shard have cursors of their own";
    O13 [Replay, Trim] trimming_is_told_as_declared: "a place behind which records were trimmed is refused with \
        `PositionExpired` if the source declares `refuses_trimmed`, and otherwise goes on with the first record left; the \
        place behind the last record trimmed is never refused";
}

async fn the_horizon_is_the_first_record(rig: Rig) -> Kept {
    let puts = rig.fill(3).await;
    rig.open_at_horizon(&puts[0].shard).await?.expect_by(&puts, 1).await?;
    Ok(())
}

async fn latest_is_what_comes_after_opening(rig: Rig) -> Kept {
    let shard = rig.fill(3).await.remove(0).shard;
    let mut tail = rig.open(&shard, StartPosition::Latest).await?;
    tail.expect_nothing().await?;
    let new = rig.fill(2).await;
    tail.expect(&new).await?;
    tail.expect_nothing().await
}

async fn latest_is_fixed_at_opening(rig: Rig) -> Kept {
    let shard = rig.fill(3).await.remove(0).shard;
    // A reader that is re-made after a long pause starts at the time of its opening, which HTTP tells in whole seconds.
    rig.idle().await;
    let mut tail = rig.open(&shard, StartPosition::Latest).await?;
    let new = rig.fill(2).await;
    rig.idle().await;
    tail.expect(&new).await?;
    tail.expect_nothing().await
}

async fn at_starts_with_the_record(rig: Rig) -> Kept {
    let puts = rig.fill(5).await;
    for (nth, put) in puts.iter().enumerate() {
        let mut tail = rig.open(&put.shard, StartPosition::At(put.number)).await?;
        tail.expect(&puts[nth..]).await?;
    }
    Ok(())
}

async fn after_starts_with_the_next(rig: Rig) -> Kept {
    let puts = rig.fill(5).await;
    for (nth, put) in puts[..4].iter().enumerate() {
        let mut tail = rig.open(&put.shard, StartPosition::After(put.number)).await?;
        tail.expect(&puts[nth + 1..]).await?;
    }
    Ok(())
}

async fn after_the_last_waits_for_the_next(rig: Rig) -> Kept {
    let last = rig.fill(3).await.remove(2);
    let mut tail = rig.open(&last.shard, StartPosition::After(last.number)).await?;
    tail.expect_nothing().await?;
    tail.expect(&[rig.put(&last.key, "the next").await]).await?;
    Ok(())
}

async fn a_number_between_records(rig: Rig) -> Kept {
    let puts = rig.fill(2).await;
    // Numbers that are dense leave room for sub-numbers only.
    let next = puts[0].number.plus(1);
    let between = if next < puts[1].number { next } else { puts[0].number.with_sub(1) };
    for from in [StartPosition::At(between), StartPosition::After(between)] {
        let first = rig.what_is_at(&puts[0].shard, from, 1).await;
        match first {
            Ok(records) if !rig.caps().exact_sequence => same(&records, &puts[1..])?,
            Err(refused) if rig.caps().exact_sequence => {
                ensure!(refused == ErrorKind::Invalid, "{from} was refused as {refused} instead of invalid");
            }
            other => {
                return Err(Broken::new(format!("opening at {from}, which is between two records, gave {other:?}")));
            }
        }
    }
    Ok(())
}

async fn a_timestamp_finds_the_first_at_or_after(rig: Rig) -> Kept {
    let mut puts = Vec::new();
    for n in 0..3 {
        puts.push(rig.put("k", format!("record {n}")).await);
        sleep(TICK).await;
    }
    let shard = &puts[0].shard;
    if !rig.source.caps().timestamps {
        let from = StartPosition::Timestamp(std::time::UNIX_EPOCH);
        let refused = rig.what_is_at(shard, from, 1).await;
        ensure!(
            matches!(refused, Err(ErrorKind::Unsupported)),
            "the source declares no timestamps, yet opening at one gave {refused:?}"
        );
        return Ok(());
    }
    let records = rig.open_at_horizon(shard).await?.expect(&puts).await?;
    let times: Vec<_> = records.iter().map(|record| record.arrived_at).collect();
    for time in &times {
        let Some(time) = *time else {
            return Err(Broken::new("the source declares timestamps, yet a record has no time of arrival"));
        };
        let first = times.iter().position(|other| *other >= Some(time)).expect("a time is not before itself");
        rig.open(shard, StartPosition::Timestamp(time)).await?.expect(&puts[first..]).await?;
    }
    let before = StartPosition::Timestamp(std::time::UNIX_EPOCH);
    rig.open(shard, before).await?.expect(&puts).await?;
    Ok(())
}

async fn a_time_to_come_waits(rig: Rig) -> Kept {
    if !rig.source.caps().timestamps {
        return Ok(());
    }
    let puts = rig.fill(2).await;
    let last = rig.open_at_horizon(&puts[0].shard).await?.expect(&puts).await?.remove(1);
    let Some(arrived) = last.arrived_at else { return Ok(()) };
    let from = StartPosition::Timestamp(arrived + Duration::from_secs(3600));
    rig.open(&puts[0].shard, from).await?.expect_nothing().await
}

async fn an_unknown_shard_is_not_found(rig: Rig) -> Kept {
    let unknown = ShardId::from("shardId-000000999999");
    let found = rig.what_is_at(&unknown, StartPosition::TrimHorizon, 1).await;
    ensure!(matches!(found, Err(ErrorKind::NotFound)), "reading shard {unknown}, which does not exist, gave {found:?}");
    Ok(())
}

async fn a_trimmed_position(rig: Rig) -> Kept {
    let puts = rig.fill(6).await;
    let (shard, retained) = (&puts[0].shard, &puts[3..]);
    rig.harness.trim(shard, &puts[2].number).await;
    rig.open_at_horizon(shard).await?.expect(retained).await?;
    rig.open(shard, StartPosition::At(retained[1].number)).await?.expect(&retained[1..]).await?;
    for put in &puts[..2] {
        let from = StartPosition::At(put.number);
        let first = rig.what_is_at(shard, from, retained.len()).await;
        match first {
            Ok(records) if !rig.caps().refuses_trimmed => same(&records, retained)?,
            Err(ErrorKind::PositionExpired) if rig.caps().refuses_trimmed => {}
            other => return Err(Broken::new(format!("opening at {from}, which was trimmed, gave {other:?}"))),
        }
    }
    Ok(())
}

async fn trimming_is_told_as_declared(rig: Rig) -> Kept {
    let puts = rig.fill(6).await;
    let (shard, retained) = (&puts[0].shard, &puts[3..]);
    rig.harness.trim(shard, &puts[2].number).await;
    let declared = rig.source.caps().refuses_trimmed;
    for from in [StartPosition::After(puts[0].number), StartPosition::At(puts[1].number)] {
        match rig.what_is_at(shard, from, retained.len()).await {
            Ok(records) if !declared => same(&records, retained)?,
            Err(ErrorKind::PositionExpired) if declared => {}
            other => {
                let declares = if declared { "refuses" } else { "does not refuse" };
                return Err(Broken::new(format!(
                    "the source declares that it {declares} what was trimmed, and opening at {from} gave {other:?}"
                )));
            }
        }
    }
    let nothing_missed = StartPosition::After(puts[2].number);
    match rig.what_is_at(shard, nothing_missed, retained.len()).await {
        Ok(records) => same(&records, retained),
        Err(refused) => Err(Broken::new(format!("{nothing_missed} misses nothing, and was refused as {refused}"))),
    }
}

async fn two_readers_are_independent(rig: Rig) -> Kept {
    let puts = rig.fill(4).await;
    let mut one = rig.open_at_horizon(&puts[0].shard).await?;
    one.expect_by(&puts[..2], 1).await?;
    let mut other = rig.open_at_horizon(&puts[0].shard).await?;
    other.expect_by(&puts[..3], 1).await?;
    one.expect(&puts[2..]).await?;
    other.expect(&puts[3..]).await?;
    Ok(())
}
