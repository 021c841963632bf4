//! Concurrency: readers beside each other, on other tasks, and behind pointers.

use std::sync::Arc;

use super::rig::Rig;
use super::tail::same;
use crate::conformance::check::{Broken, Kept, checks, ensure};
use crate::shard::StartPosition;
use crate::source::StreamSource;

checks! { "concurrency", Rig;
    X1 [ManyReaders] two_readers_see_the_same: "two readers that read one shard at once see the same records";
    X2 shards_do_not_wait_for_each_other: "the readers of other shards go on while one is never polled";
    X3 a_reader_moves_to_another_task: "a reader that is moved to another task goes on where it was";
    X4 [Replay] pointers_change_nothing: "a source behind `Box<dyn>` and `Arc<dyn>` has the same name, abilities, shards \
        and records";
    X5 [ManyReaders] sixteen_open_at_once: "sixteen tasks that open one shard at once all read it";
}

async fn two_readers_see_the_same(rig: Rig) -> Kept {
    let puts = rig.fill(30).await;
    let mut one = rig.open_at_horizon(&puts[0].shard).await?;
    let mut other = rig.open_at_horizon(&puts[0].shard).await?;
    let (one, other) = tokio::join!(one.expect_by(&puts, 3), other.expect_by(&puts, 5));
    ensure!(one? == other?, "two readers of one shard read different records under the same numbers");
    Ok(())
}

async fn shards_do_not_wait_for_each_other(rig: Rig) -> Kept {
    let puts = rig.spread(60).await;
    let idle = &puts[0].shard;
    let _never_polled = rig.open_at_horizon(idle).await?;
    let mut others: Vec<_> = puts.iter().filter(|put| put.shard != *idle).cloned().collect();
    others.sort_by(|a, b| a.shard.cmp(&b.shard));
    for wanted in others.chunk_by(|a, b| a.shard == b.shard) {
        rig.open_at_horizon(&wanted[0].shard).await?.expect(wanted).await?;
    }
    Ok(())
}

async fn a_reader_moves_to_another_task(rig: Rig) -> Kept {
    let puts = rig.fill(6).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    tail.expect_by(&puts[..2], 1).await?;
    let rest = puts[2..].to_vec();
    let elsewhere = tokio::spawn(async move { tail.expect(&rest).await.map(drop) });
    elsewhere.await.map_err(|error| Broken::new(format!("the task of the reader failed: {error}")))?
}

async fn pointers_change_nothing(rig: Rig) -> Kept {
    let puts = rig.fill(5).await;
    let boxed: Box<dyn StreamSource> = Box::new(Arc::clone(&rig.source));
    let erased: Arc<dyn StreamSource> = Arc::new(boxed);
    ensure!(erased.stream() == rig.source.stream(), "behind a pointer the stream is {:?}", erased.stream());
    ensure!(erased.caps() == rig.source.caps(), "behind a pointer the source can do {:?}", erased.caps());
    let behind = Rig { source: erased, ..rig };
    ensure!(
        behind.shards().await?.iter().any(|shard| shard.id == puts[0].shard),
        "behind a pointer a shard is missing"
    );
    behind.open_at_horizon(&puts[0].shard).await?.expect(&puts).await?;
    Ok(())
}

async fn sixteen_open_at_once(rig: Rig) -> Kept {
    let puts = rig.fill(5).await;
    let rig = Arc::new(rig);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (rig, shard) = (Arc::clone(&rig), puts[0].shard.clone());
            tokio::spawn(async move { rig.open(&shard, StartPosition::TrimHorizon).await?.take(5, 2).await })
        })
        .collect();
    for task in tasks {
        let got =
            task.await.map_err(|error| Broken::new(format!("a task that opened the shard failed: {error}")))??;
        same(&got, &puts)?;
    }
    Ok(())
}
