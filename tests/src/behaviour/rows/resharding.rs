//! Splits, merges and scaling.

use aws_sdk_kinesis::types::{ScalingType, Shard};

use crate::behaviour::stage::Stage;
use crate::behaviour::verdict::{Answered, Verdict, holds, same};

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
}

/// How many shards are open, of how many.
async fn open(stage: &Stage) -> Verdict<(usize, usize)> {
    let shards = stage.shards().await?;
    Ok((shards.iter().filter(|shard| is_open(shard)).count(), shards.len()))
}

pub(super) async fn splits(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    stage.split(1).await?;
    same("open shards, of all", open(stage).await?, (2, 3))?;
    let shards = stage.shards().await?;
    let parent = shards.iter().find(|shard| !is_open(shard)).map(Shard::shard_id);
    let mut parents = shards.iter().filter(|shard| is_open(shard)).map(Shard::parent_shard_id);
    holds(parents.all(|of| of == parent), "the children have another parent")
}

pub(super) async fn merges(stage: &Stage) -> Verdict {
    stage.create(2).await?;
    let shards = stage.shards().await?;
    same("shards", shards.len(), 2)?;
    let merge = stage.client.merge_shards().stream_name(stage.name).shard_to_merge(shards[0].shard_id());
    merge.adjacent_shard_to_merge(shards[1].shard_id()).send().await.of("MergeShards")?;
    stage.settled().await?;
    same("open shards, of all", open(stage).await?, (1, 3))?;
    let merged = stage.shards().await?.into_iter().find(is_open);
    let parents = merged.as_ref().map(|shard| (shard.parent_shard_id(), shard.adjacent_parent_shard_id()));
    let both = Some((Some(shards[0].shard_id()), Some(shards[1].shard_id())));
    holds(parents == both, "the new shard has other parents")
}

pub(super) async fn scales(stage: &Stage) -> Verdict {
    stage.create(1).await?;
    let scale = stage.client.update_shard_count().stream_name(stage.name).target_shard_count(2);
    scale.scaling_type(ScalingType::UniformScaling).send().await.of("UpdateShardCount")?;
    stage.settled().await?;
    same("open shards", open(stage).await?.0, 2)
}
