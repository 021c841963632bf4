//! Ownership: who holds a row, and that nobody writes who does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rig::{Rig, after, progress, worker};
use crate::conformance::check::{Broken, Kept, checks, ensure};
use crate::lease::{Lease, Renewed};
use crate::shard::{Shard, ShardId, ShardKey, StreamId};

checks! { "leases", Rig;
    L1 one_of_sixteen_claims: "of sixteen that claim a vacant row at once, one gets it";
    L2 a_stale_view_claims_nothing: "a claim with a view of the row that is out of date gets nothing and changes nothing";
    L3 a_renewal_moves_the_counter: "an advance without progress moves the counter and nothing else";
    L4 the_fenced_write_nothing: "advance and release with a lease that was lost give `LeaseLost` and change nothing";
    L5 a_new_claim_fences_the_old: "a row that is claimed again, by the same worker too, fences the earlier holder";
    L6 streams_do_not_meet: "equal shard ids of two streams are two rows";
    L7 a_released_row_is_free: "a released row has no owner and can be claimed at once";
    L8 list_shows_every_row: "`list` shows every row, and `get` the same one";
    L13 a_request_reaches_the_holder: "a request reaches the holder at its next advance; released to the asker, the lease is \
        the asker's without a race";
    L14 a_row_is_created_once: "a row is created once; the second attempt says so and changes nothing";
    L15 stale_removal_and_reset: "remove and reset with a view that is out of date change nothing";
}

async fn one_of_sixteen_claims(rig: Rig) -> Kept {
    let row = rig.row("0").await?;
    let racers: Vec<_> = (0..16)
        .map(|n| {
            let (store, row) = (Arc::clone(&rig.store), row.clone());
            tokio::spawn(async move { store.claim(&row, &worker(&format!("worker-{n}"))).await })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        let held = racer.await.map_err(|error| Broken::new(format!("a racer failed: {error}")))??;
        winners.extend(held.and_then(|held| held.lease().owner.clone()));
    }
    let owner = rig.get(&row.key).await?.owner;
    ensure!(winners.len() == 1 && owner.as_ref() == winners.first(), "{winners:?} won, and the owner is {owner:?}");
    Ok(())
}

async fn a_stale_view_claims_nothing(rig: Rig) -> Kept {
    let vacant = rig.row("0").await?;
    let mut held = rig.claim(&vacant, "a").await?;
    let claimed = rig.get(&vacant.key).await?;
    rig.store.advance(&mut held, None).await?;
    let now = rig.get(&vacant.key).await?;
    for stale in [&vacant, &claimed] {
        let got = rig.store.claim(stale, &worker("b")).await?;
        ensure!(got.is_none(), "a claim that saw counter {} at counter {} got {got:?}", stale.counter, now.counter);
    }
    ensure!(rig.get(&vacant.key).await? == now, "a claim that got nothing changed the row");
    rig.claim(&now, "b").await?;
    Ok(())
}

async fn a_renewal_moves_the_counter(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    rig.store_cursor(&mut held, 1, after(7)).await?;
    let before = rig.get(held.key()).await?;
    let renewed = rig.store.advance(&mut held, None).await?;
    ensure!(renewed == Renewed::Held, "a renewal that nobody disturbs gave {renewed:?}");
    let now = rig.get(held.key()).await?;
    ensure!(now.counter > before.counter, "the counter was {} and is {}", before.counter, now.counter);
    ensure!(now == Lease { counter: now.counter, ..before.clone() }, "a renewal changed {before:?} to {now:?}");
    ensure!(now == *held.lease(), "the row is {now:?} and its holder knows {:?}", held.lease());
    Ok(())
}

async fn the_fenced_write_nothing(rig: Rig) -> Kept {
    let mut old = rig.held("0", "a").await?;
    let row = rig.get(old.key()).await?;
    rig.claim(&row, "b").await?;
    let now = rig.get(&row.key).await?;
    let progress = progress("audit", 1, after(9));
    for attempt in [None, Some(&progress)] {
        let written = rig.store.advance(&mut old, attempt).await;
        rig.expect_lost(written, &now).await?;
    }
    let released = rig.store.release(&mut old, Some(progress), None).await;
    rig.expect_lost(released, &now).await
}

async fn a_new_claim_fences_the_old(rig: Rig) -> Kept {
    let mut old = rig.held("0", "a").await?;
    let row = rig.get(old.key()).await?;
    let mut new = rig.claim(&row, "a").await?;
    ensure!(new.lease().nonce != old.lease().nonce, "two claims have the same nonce");
    let now = rig.get(&row.key).await?;
    let written = rig.store.advance(&mut old, None).await;
    rig.expect_lost(written, &now).await?;
    rig.store.advance(&mut new, None).await?;
    Ok(())
}

async fn streams_do_not_meet(rig: Rig) -> Kept {
    let shard = Shard::new("shardId-000000000000");
    let streams = [
        StreamId::new("one"),
        StreamId::new("other"),
        StreamId::new("one").with_account("111122223333"),
        StreamId::new("one").with_created_at(std::time::UNIX_EPOCH),
    ];
    for stream in &streams {
        ensure!(rig.store.create(&Lease::new(stream, &shard)).await?, "the row of {stream:?} is there already");
    }
    let first = rig.get(&ShardKey::new(&streams[0], &shard.id)).await?;
    rig.claim(&first, "a").await?;
    for stream in &streams[1..] {
        let row = rig.get(&ShardKey::new(stream, &shard.id)).await?;
        ensure!(row.owner.is_none(), "a claim on {} is seen on {}", first.key, row.key);
    }
    Ok(())
}

async fn a_released_row_is_free(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    rig.store.release(&mut held, None, None).await?;
    let row = rig.get(held.key()).await?;
    ensure!(row.owner.is_none(), "a released row belongs to {:?}", row.owner);
    rig.claim(&row, "b").await?;
    let now = rig.get(&row.key).await?;
    let written = rig.store.advance(&mut held, None).await;
    rig.expect_lost(written, &now).await
}

async fn list_shows_every_row(rig: Rig) -> Kept {
    let mut keys = BTreeSet::new();
    for n in 0..30 {
        keys.insert(rig.row(&format!("shard-{n}")).await?.key);
    }
    let listed = rig.store.list().await?;
    ensure!(listed.len() == keys.len(), "{} rows were created and {} are listed", keys.len(), listed.len());
    for row in listed {
        ensure!(keys.remove(&row.key), "{} is listed twice, or was never created", row.key);
        ensure!(rig.get(&row.key).await? == row, "`list` and `get` differ about {}", row.key);
    }
    let absent = rig.store.get(&ShardKey::new(&StreamId::new("stream"), &ShardId::from("absent"))).await?;
    ensure!(absent.is_none(), "a row that was never created is {absent:?}");
    Ok(())
}

async fn a_request_reaches_the_holder(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    let seen = rig.get(held.key()).await?;
    ensure!(
        rig.store.request(&seen, &worker("b")).await?,
        "the holder is as it was seen, and a request says it is not"
    );
    ensure!(!rig.store.request(&seen, &worker("c")).await?, "a second worker asked after the first, and was told yes");
    let renewed = rig.store.advance(&mut held, None).await?;
    ensure!(renewed == Renewed::WantedBy(worker("b")), "b asked for the lease, and its holder was told {renewed:?}");
    let before = rig.get(held.key()).await?;
    rig.store.release(&mut held, None, Some(worker("b"))).await?;
    let handed = rig.get(held.key()).await?;
    let to_b = handed.owner == Some(worker("b")) && handed.wanted_by.is_none();
    ensure!(to_b, "a lease handed over to b is owned by {:?}, wanted by {:?}", handed.owner, handed.wanted_by);
    let racer = rig.store.claim(&before, &worker("c")).await?;
    ensure!(racer.is_none(), "a lease was handed over to b, and c took it with an older view");
    let mut new = rig.claim(&handed, "b").await?;
    let renewed = rig.store.advance(&mut new, None).await?;
    ensure!(renewed == Renewed::Held, "b holds the lease that it asked for, and is told {renewed:?}");
    let stale = rig.store.request(&seen, &worker("c")).await?;
    ensure!(!stale, "a request to a holder that has changed was told yes");
    // A request is to one holder: it goes with it.
    let seen = rig.get(new.key()).await?;
    ensure!(rig.store.request(&seen, &worker("c")).await?, "nobody has asked b for the lease, and c was told no");
    let seen = rig.get(new.key()).await?;
    let mut next = rig.claim(&seen, "d").await?;
    let renewed = rig.store.advance(&mut next, None).await?;
    ensure!(renewed == Renewed::Held, "c asked the holder before, and d is told {renewed:?}");
    let seen = rig.get(next.key()).await?;
    ensure!(
        rig.store.request(&seen, &worker("d")).await?,
        "nobody has asked d for its lease, and d itself was told no"
    );
    let wanted_by = rig.get(next.key()).await?.wanted_by;
    ensure!(wanted_by == Some(worker("d")), "d asked for its own lease, which is wanted by {wanted_by:?}");
    Ok(())
}

async fn a_row_is_created_once(rig: Rig) -> Kept {
    let held = rig.held("0", "a").await?;
    let before = rig.get(held.key()).await?;
    let again = Lease::new(&StreamId::new("stream"), &Shard::new("0").with_parents(["other".into()]));
    ensure!(!rig.store.create(&again).await?, "a row that is there was created again");
    let now = rig.get(held.key()).await?;
    ensure!(now == before, "a second creation changed {before:?} to {now:?}");
    Ok(())
}

async fn stale_removal_and_reset(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    let stale = rig.get(held.key()).await?;
    rig.store_cursor(&mut held, 1, after(5)).await?;
    let now = rig.get(held.key()).await?;
    ensure!(!rig.store.remove(&stale).await?, "a row was removed that had changed since it was seen");
    ensure!(!rig.store.reset(&stale, &progress("audit", 1, after(1))).await?, "a row was reset that had changed");
    ensure!(rig.get(&now.key).await? == now, "a removal or reset that was refused changed the row");
    ensure!(rig.store.remove(&now).await?, "a row that is as it was seen could not be removed");
    ensure!(rig.store.get(&now.key).await?.is_none(), "a removed row is still there");
    ensure!(!rig.store.remove(&now).await?, "a row was removed twice");
    Ok(())
}
