//! Resharding: the end of a shard, and how parents and children fit together.

use std::collections::BTreeMap;

use super::rig::{Put, Rig, ids};
use super::tail::{numbers, same};
use crate::conformance::check::{Kept, checks, ensure};
use crate::shard::{Shard, ShardId};
use crate::source::ShardEnd;

checks! { "resharding", Rig;
    S1 [Reshard] a_closed_shard_is_read_to_its_end: "a closed shard delivers all its records before its end";
    S2 [Reshard] the_end_comes_last: "the end comes with the last record or after it, and not before the shard is closed";
    S3 [Reshard] the_end_stays: "after the end come empty batches with the same end";
    S4 [Reshard] children_name_their_parents: "a split gives two children with one parent, a merge one child with two; an \
        end that names children names exactly those";
    S5 [Reshard] a_child_has_what_came_after: "a child opened at the trim horizon has all that was put after the split";
    S6 [Reshard] parent_and_children_add_up: "parent and children together have every record exactly once";
    S7 [Reshard] an_empty_parent_ends_at_once: "a shard that is closed without records ends without any";
    S8 [Reshard] keys_keep_their_order: "a key read from the parent, then from the child, keeps its order";
}

async fn a_closed_shard_is_read_to_its_end(rig: Rig) -> Kept {
    let puts = rig.fill(10).await;
    let shard = &puts[0].shard;
    rig.split(shard).await?;
    let got = rig.open_at_horizon(shard).await?.read_to_end(3).await?;
    same(&got, &puts)
}

async fn the_end_comes_last(rig: Rig) -> Kept {
    let puts = rig.fill(6).await;
    let shard = &puts[0].shard;
    let mut tail = rig.open_at_horizon(shard).await?;
    tail.expect_by(&puts[..4], 2).await?;
    ensure!(tail.end.is_none(), "an open shard has an end: {:?}", tail.end);
    rig.split(shard).await?;
    for put in &puts[4..5] {
        tail.expect_by(std::slice::from_ref(put), 1).await?;
        ensure!(tail.end.is_none(), "the end came with record {}, before the last one", put.number);
    }
    same(&tail.read_to_end(10).await?, &puts[5..])
}

async fn the_end_stays(rig: Rig) -> Kept {
    let puts = rig.fill(4).await;
    let shard = &puts[0].shard;
    rig.split(shard).await?;
    let mut tail = rig.open_at_horizon(shard).await?;
    same(&tail.read_to_end(2).await?, &puts)?;
    let first = tail.end.clone();
    for _ in 0..5 {
        let batch = tail.read(10).await?;
        ensure!(batch.records.is_empty(), "records came after the end: {}", numbers(&batch.records));
        ensure!(batch.end == first, "the end was {first:?} and is now {:?}", batch.end);
        rig.idle().await;
    }
    Ok(())
}

async fn children_name_their_parents(rig: Rig) -> Kept {
    let parent = rig.fill(2).await.remove(0).shard;
    let children = rig.split(&parent).await?;
    for child in &children {
        ensure!(
            child.parents == [parent.clone()],
            "{parent} was split; {} has the parents {:?}",
            child.id,
            child.parents
        );
    }
    end_names(&rig, &parent, &children).await?;
    let (a, b) = (&children[0].id, &children[1].id);
    let merged = rig.merge(a, b).await?;
    let both = merged.parents.len() == 2 && merged.parents.contains(a) && merged.parents.contains(b);
    ensure!(both, "{a} and {b} were merged; {} has the parents {:?}", merged.id, merged.parents);
    end_names(&rig, a, std::slice::from_ref(&merged)).await?;
    end_names(&rig, b, &[merged]).await
}

/// A source may leave the children to the listing; if it names some, it names all.
async fn end_names(rig: &Rig, closed: &ShardId, children: &[Shard]) -> Kept {
    let mut tail = rig.open_at_horizon(closed).await?;
    tail.read_to_end(100).await?;
    let ShardEnd { children: mut named } = tail.end.unwrap_or_default();
    named.sort_by(|a, b| a.id.cmp(&b.id));
    let all = named.len() == children.len() && children.iter().all(|child| named.iter().any(|n| n.id == child.id));
    ensure!(
        named.is_empty() || all,
        "the end of {closed} names the children {}, and listed are {}",
        ids(&named),
        ids(children)
    );
    Ok(())
}

async fn a_child_has_what_came_after(rig: Rig) -> Kept {
    let parent = rig.fill(3).await.remove(0).shard;
    let children = rig.split(&parent).await?;
    let after = rig.spread(40).await;
    for child in children {
        let wanted: Vec<Put> = after.iter().filter(|put| put.shard == child.id).cloned().collect();
        let mut tail = rig.open_at_horizon(&child.id).await?;
        tail.expect(&wanted).await?;
        tail.expect_nothing().await?;
    }
    Ok(())
}

async fn parent_and_children_add_up(rig: Rig) -> Kept {
    let mut puts = rig.spread(40).await;
    let parent = puts[0].shard.clone();
    let children = rig.split(&parent).await?;
    puts.extend(rig.spread(40).await);
    let family: Vec<&ShardId> = std::iter::once(&parent).chain(children.iter().map(|child| &child.id)).collect();
    let mut read = BTreeMap::new();
    for shard in &family {
        let count = puts.iter().filter(|put| put.shard == **shard).count();
        for record in rig.open_at_horizon(shard).await?.take(count, 7).await? {
            *read.entry(record.data.clone()).or_insert(0) += 1;
        }
    }
    let wanted = puts.iter().filter(|put| family.contains(&&put.shard));
    let mut put = BTreeMap::new();
    for data in wanted.map(|put| &put.data) {
        *put.entry(data.clone()).or_insert(0) += 1;
    }
    let wrong = put.iter().find(|(data, count)| read.get(*data) != Some(count));
    ensure!(
        wrong.is_none() && read.len() == put.len(),
        "of {} payloads, {} came; first wrong: {wrong:?}",
        put.len(),
        read.len()
    );
    Ok(())
}

async fn an_empty_parent_ends_at_once(rig: Rig) -> Kept {
    let shards = rig.shards().await?;
    let Some(parent) = shards.first() else { return Ok(()) };
    rig.split(&parent.id).await?;
    let got = rig.open_at_horizon(&parent.id).await?.read_to_end(10).await?;
    ensure!(got.is_empty(), "nothing was put into {}, and {} came", parent.id, numbers(&got));
    Ok(())
}

async fn keys_keep_their_order(rig: Rig) -> Kept {
    let mut puts = rig.fill(5).await;
    let parent = puts[0].shard.clone();
    rig.split(&parent).await?;
    puts.extend(rig.fill(5).await);
    let child = puts[5].shard.clone();
    ensure!(child != parent, "a record was put into shard {parent} after its split");
    let mut got = rig.open_at_horizon(&parent).await?.read_to_end(3).await?;
    got.extend(rig.open_at_horizon(&child).await?.take(5, 3).await?);
    same(&got, &puts)
}
