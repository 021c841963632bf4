//! Discovery: what `list_shards` promises.

use std::collections::BTreeSet;

use super::rig::{Rig, ids};
use crate::conformance::check::{Kept, checks, ensure};
use crate::shard::{Shard, ShardId};

checks! { "discovery", Rig;
    D1 a_fresh_stream_lists_shards: "`list_shards` on a fresh stream is non-empty and its ids are unique";
    D2 listing_is_stable: "two calls with no change between them return the same shards";
    D3 [Reshard] closed_shards_stay_listed: "a closed shard stays listed, as closed, while it is retained";
    D4 parents_make_sense: "a parent named by a shard is listed (or trimmed), never the shard itself, and there is no \
        cycle; a stream that cannot be resharded has open shards without parents";
    D5 listing_disturbs_no_reader: "listing does not move an open reader";
}

async fn a_fresh_stream_lists_shards(rig: Rig) -> Kept {
    let shards = rig.shards().await?;
    ensure!(!shards.is_empty(), "no shard is listed");
    let unique: BTreeSet<&ShardId> = shards.iter().map(|shard| &shard.id).collect();
    ensure!(unique.len() == shards.len(), "an id is listed twice: {}", ids(&shards));
    Ok(())
}

async fn listing_is_stable(rig: Rig) -> Kept {
    let sorted = |mut shards: Vec<Shard>| {
        shards.sort_by(|a, b| a.id.cmp(&b.id));
        shards
    };
    let (first, second) = (sorted(rig.shards().await?), sorted(rig.shards().await?));
    ensure!(first == second, "first {first:?}, then {second:?}");
    Ok(())
}

async fn closed_shards_stay_listed(rig: Rig) -> Kept {
    let parent = rig.put("k", "before the split").await.shard;
    rig.split(&parent).await?;
    rig.idle().await;
    let listed = rig.shard(&parent).await?;
    ensure!(listed.closed, "shard {parent} was split and is listed as open");
    Ok(())
}

async fn parents_make_sense(rig: Rig) -> Kept {
    if rig.caps().reshard {
        let parent = rig.put("k", "before the split").await.shard;
        let children = rig.split(&parent).await?;
        rig.merge(&children[0].id, &children[1].id).await?;
    }
    let shards = rig.shards().await?;
    if !rig.caps().reshard {
        let odd = shards.iter().find(|shard| shard.closed || !shard.parents.is_empty());
        ensure!(odd.is_none(), "the harness declares no resharding, yet there is {odd:?}");
    }
    let find = |id: &ShardId| shards.iter().find(|shard| shard.id == *id);
    for shard in &shards {
        ensure!(shard.parents.len() <= 2, "shard {} has more than two parents: {:?}", shard.id, shard.parents);
        let mut ancestors: Vec<&ShardId> = shard.parents.iter().collect();
        for _ in 0..=shards.len() {
            ensure!(!ancestors.contains(&&shard.id), "shard {} is its own ancestor", shard.id);
            ancestors = ancestors.iter().filter_map(|id| find(id)).flat_map(|parent| &parent.parents).collect();
            ancestors.sort_unstable();
            ancestors.dedup();
        }
    }
    Ok(())
}

async fn listing_disturbs_no_reader(rig: Rig) -> Kept {
    let puts = rig.fill(5).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    rig.shards().await?;
    tail.expect_by(&puts[..2], 1).await?;
    rig.shards().await?;
    tail.expect(&puts[2..]).await?;
    tail.expect_nothing().await
}
