//! Time: on a paused clock, a source waits for nothing by itself and does the same twice.

use bytes::Bytes;
use tokio::time::Instant;

use super::rig::Rig;
use crate::conformance::check::{Broken, Kept, checks, ensure};

checks! { "time", Rig;
    T1 [VirtualTime, Polling] time_stands_still: "reading an idle shard of a source that polls takes no time on tokio's \
        clock: pacing belongs to the feed";
    T2 [VirtualTime, Twin] twice_the_same: "two fresh sources that are used alike answer alike, batch by batch";
}

async fn time_stands_still(rig: Rig) -> Kept {
    let puts = rig.fill(2).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    tail.expect(&puts).await?;
    for _ in 0..10 {
        let start = Instant::now();
        // Throttling is allowed; sleeping instead is not.
        let answer = tail.read_once(10).await;
        let took = start.elapsed();
        ensure!(took.is_zero(), "a read of an idle shard took {} ms and gave {answer:?}", took.as_millis());
    }
    Ok(())
}

async fn twice_the_same(mut rig: Rig) -> Kept {
    let Some(twin) = rig.twin.take() else { return Err(Broken::new("the factory made no second harness")) };
    let (one, other) = (log(rig).await?, log(*twin).await?);
    let at = (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at));
    let differ = at.map(|at| (at, one.get(at), other.get(at)));
    ensure!(differ.is_none(), "two runs differ: {differ:?}");
    Ok(())
}

/// What a run sees, without the numbers and times that may be drawn anew for each stream.
async fn log(rig: Rig) -> Kept<Vec<(String, Vec<(String, Bytes)>, bool)>> {
    let shard = rig.spread(50).await.remove(0).shard;
    if rig.caps().reshard {
        rig.split(&shard).await?;
    }
    let mut seen = Vec::new();
    for listed in rig.shards().await? {
        let mut tail = rig.open_at_horizon(&listed.id).await?;
        for max in [1, 3, 10, 100, 100] {
            let batch = tail.read(max).await?;
            let records = batch.records.iter().map(|r| (r.partition_key.to_string(), r.data.clone())).collect();
            seen.push((listed.id.to_string(), records, batch.end.is_some()));
        }
    }
    Ok(seen)
}
