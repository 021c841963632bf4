//! Reading: what is in a batch, in which order, and that nothing is lost, repeated or changed on the way.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::timeout;

use super::rig::{Put, Rig};
use super::tail::{Tail, numbers, same};
use crate::conformance::check::{Broken, Kept, checks, ensure};
use crate::conformance::eventually;
use crate::record::{Record, SequenceNumber};
use crate::shard::ShardId;

checks! { "reading", Rig;
    R1 never_more_than_max: "a batch has at most `max` records, for 1, 2, 7 and 10,000";
    R2 an_empty_shard_is_no_error: "an empty shard answers an empty batch at once, neither an error nor the end; of a \
        source that parks, a read that waits there wakes on a put";
    R3 empty_batches_lose_nothing: "empty batches, or parked reads that are dropped, lose none of the later puts";
    R4 [Replay] any_max_gives_the_same_list: "reads of any sequence of `max` values add up to the same records";
    R5 numbers_increase: "sequence numbers strictly increase within a reader";
    R6 order_within_a_key: "records of one partition key keep the order in which they were put";
    R7 payloads_are_unchanged: "a payload is read byte for byte as it was put: empty, one byte, 1 MiB, every byte value";
    R8 keys_are_unchanged: "a partition key is read as it was put: one character, 256, and any Unicode";
    R9 numbers_survive_text: "sequence numbers survive `Display` and `FromStr`, and serde";
    R10 nothing_lost_nothing_twice: "1,000 records over all shards are read once each";
    R11 [Replay] a_log_repeats_itself: "reading again from the trim horizon gives equal records";
    R12 behind_latest_reaches_zero: "`behind_latest`, where it is given, is zero once the reader has caught up";
    R13 arrival_times_do_not_decrease: "`arrived_at`, where it is given, does not decrease within a shard";
    R14 clones_share_the_payload: "a clone of a record shares its payload";
    R15 an_idle_reader_misses_nothing: "what is put while a reader is idle, for however long, is read afterwards";
}

async fn never_more_than_max(rig: Rig) -> Kept {
    let puts = rig.fill(30).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    let mut left = puts.len();
    for max in [1, 2, 7, 10_000] {
        let batch = tail.take(left.min(1), max).await?;
        ensure!(batch.len() <= max, "{} records were answered to `max` = {max}", batch.len());
        left = left.saturating_sub(batch.len());
    }
    Ok(())
}

async fn an_empty_shard_is_no_error(rig: Rig) -> Kept {
    let Some(shard) = rig.shards().await?.into_iter().next() else {
        return Err(Broken::new("no shard is listed"));
    };
    let mut tail = rig.open_at_horizon(&shard.id).await?;
    if rig.source.caps().parks {
        return a_parked_read_wakes(&rig, &mut tail, &shard.id).await;
    }
    let Ok(batch) = timeout(rig.harness.patience(), tail.read(100)).await else {
        return Err(Broken::new(
            "a read of an empty shard does not answer, and the source does not declare that it parks",
        ));
    };
    let batch = batch?;
    ensure!(batch.records.is_empty(), "an empty shard has records {}", numbers(&batch.records));
    ensure!(batch.end.is_none(), "an empty shard that is open has an end: {:?}", batch.end);
    Ok(())
}

async fn a_parked_read_wakes(rig: &Rig, tail: &mut Tail, shard: &ShardId) -> Kept {
    tail.expect_nothing().await?;
    for n in 0..1_000 {
        let key = format!("key-{n}");
        let put = rig.put(&key, "finds the shard").await;
        if put.shard != *shard {
            continue;
        }
        tail.expect(&[put]).await?;
        let (woken, put) = tokio::join!(timeout(rig.harness.patience(), tail.read_once(10)), rig.put(&key, "wakes"));
        let woken = woken.map_err(|_| Broken::new("a parked read did not wake on a put"))??;
        // Waiting until there is something is allowed, not required.
        return if woken.records.is_empty() {
            tail.expect(&[put]).await.map(drop)
        } else {
            same(&woken.records, &[put])
        };
    }
    Err(Broken::new(format!("of a thousand keys none goes to shard {shard}")))
}

async fn empty_batches_lose_nothing(rig: Rig) -> Kept {
    let first = rig.put("k", "first").await;
    let mut tail = rig.open_at_horizon(&first.shard).await?;
    tail.expect(&[first]).await?;
    for n in 0..3 {
        tail.expect_nothing().await?;
        let put = rig.put("k", format!("after a silence {n}")).await;
        tail.expect(&[put]).await?;
    }
    Ok(())
}

async fn any_max_gives_the_same_list(rig: Rig) -> Kept {
    let puts = rig.fill(40).await;
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
        let (mut got, mut asked) = (Vec::new(), Vec::new());
        while got.len() < puts.len() {
            let max = rng.usize(1..=12);
            asked.push(max);
            got.extend(tail.take(1, max).await?);
        }
        same(&got, &puts).map_err(|broken| broken.when(format!("asked for {asked:?}")))?;
    }
    Ok(())
}

async fn numbers_increase(rig: Rig) -> Kept {
    let puts = rig.fill(50).await;
    let got = rig.open_at_horizon(&puts[0].shard).await?.take(puts.len(), 7).await?;
    let wrong = got.windows(2).find(|pair| pair[0].sequence_number >= pair[1].sequence_number);
    ensure!(wrong.is_none(), "neighbours are not ascending: {}", numbers(wrong.unwrap_or_default()));
    Ok(())
}

async fn order_within_a_key(rig: Rig) -> Kept {
    let mut puts = Vec::new();
    for n in 0..60 {
        puts.push(rig.put(&format!("key-{}", n % 4), format!("{n}")).await);
    }
    let shards: BTreeSet<&ShardId> = puts.iter().map(|put| &put.shard).collect();
    for shard in shards {
        let wanted: Vec<&Put> = puts.iter().filter(|put| put.shard == *shard).collect();
        let got = rig.open_at_horizon(shard).await?.take(wanted.len(), 9).await?;
        for key in wanted.iter().map(|put| put.key.as_str()) {
            let came = got.iter().filter(|record| record.partition_key == key).map(|record| &record.data);
            let put = wanted.iter().filter(|put| put.key == key).map(|put| &put.data);
            ensure!(came.clone().eq(put.clone()), "of {key}, {:?} were put and {:?} came", debug(put), debug(came));
        }
    }
    Ok(())
}

fn debug<T: std::fmt::Debug>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect()
}

async fn payloads_are_unchanged(rig: Rig) -> Kept {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    let mut puts = Vec::new();
    for data in [Vec::new(), vec![0], vec![b'\n'], every_byte, large] {
        puts.push(rig.put("k", data).await);
    }
    for (put, got) in puts.iter().zip(rig.read_back(&puts).await?) {
        let at = (0..put.data.len().max(got.data.len())).find(|at| put.data.get(*at) != got.data.get(*at));
        ensure!(
            at.is_none(),
            "{} bytes were put and {} came; the first difference is at byte {}",
            put.data.len(),
            got.data.len(),
            at.unwrap_or_default()
        );
    }
    Ok(())
}

async fn keys_are_unchanged(rig: Rig) -> Kept {
    let mut puts = Vec::new();
    for key in ["k", &"k".repeat(256), "schlüssel ключ 鍵 🔑", " \t\"\\,"] {
        puts.push(rig.put(key, "data").await);
    }
    for (put, got) in puts.iter().zip(rig.read_back(&puts).await?) {
        ensure!(
            got.partition_key == put.key.as_str(),
            "the key {:?} was put and {:?} came",
            put.key,
            got.partition_key
        );
    }
    Ok(())
}

async fn numbers_survive_text(rig: Rig) -> Kept {
    let puts = rig.fill(3).await;
    for record in rig.open_at_horizon(&puts[0].shard).await?.expect(&puts).await? {
        let number = record.sequence_number;
        ensure!(SequenceNumber::from_str(&number.to_string()) == Ok(number), "{number} is read back as another number");
        let json = serde_json::to_string(&record).map_err(|error| Broken::new(error.to_string()))?;
        let again = serde_json::from_str::<Record>(&json).map_err(|error| Broken::new(error.to_string()))?;
        ensure!(again == record, "{record:?} is read back from JSON as {again:?}");
    }
    Ok(())
}

async fn nothing_lost_nothing_twice(rig: Rig) -> Kept {
    let puts = rig.spread(1_000).await;
    let got = rig.read_back(&puts).await?;
    ensure!(got.len() == puts.len(), "{} records were put and {} came", puts.len(), got.len());
    Ok(())
}

async fn a_log_repeats_itself(rig: Rig) -> Kept {
    let puts = rig.fill(20).await;
    let first = rig.open_at_horizon(&puts[0].shard).await?.expect_by(&puts, 3).await?;
    let second = rig.open_at_horizon(&puts[0].shard).await?.expect_by(&puts, 7).await?;
    let other = first.iter().zip(&second).find(|(a, b)| a != b);
    ensure!(other.is_none(), "a record is read as one thing, then as another: {other:?}");
    Ok(())
}

async fn behind_latest_reaches_zero(rig: Rig) -> Kept {
    let puts = rig.fill(10).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    tail.expect_by(&puts, 3).await?;
    let mut behind = Duration::MAX;
    let caught_up = eventually(rig.harness.patience(), async || match tail.read(10).await {
        Ok(batch) => {
            behind = batch.behind_latest.unwrap_or_default();
            behind.is_zero().then_some(Ok(()))
        }
        Err(broken) => Some(Err(broken)),
    });
    let never = caught_up.await.transpose()?.is_none();
    ensure!(!never, "with every record read, the reader is still {} ms behind", behind.as_millis());
    Ok(())
}

async fn arrival_times_do_not_decrease(rig: Rig) -> Kept {
    let puts = rig.fill(20).await;
    let got = rig.open_at_horizon(&puts[0].shard).await?.take(puts.len(), 6).await?;
    let times: Vec<_> = got.iter().filter_map(|record| record.arrived_at).collect();
    ensure!(times.is_sorted(), "times of arrival decrease: {times:?}");
    Ok(())
}

async fn clones_share_the_payload(rig: Rig) -> Kept {
    let put = rig.put("k", "payload").await;
    for record in rig.read_back(&[put]).await? {
        let copy = record.clone();
        ensure!(copy.data.as_ptr() == record.data.as_ptr(), "the clone of a record has a payload of its own");
    }
    Ok(())
}

async fn an_idle_reader_misses_nothing(rig: Rig) -> Kept {
    let puts = rig.fill(3).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    tail.expect_by(&puts[..2], 1).await?;
    rig.idle().await;
    let more = rig.fill(2).await;
    rig.idle().await;
    let wanted: Vec<Put> = puts[2..].iter().chain(&more).cloned().collect();
    tail.expect(&wanted).await?;
    rig.idle().await;
    tail.expect_nothing().await
}
