//! Progress: what is stored is read back, moves forward only, and survives lost answers.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::rig::{Rig, after, as_known_now, progress, worker};
use crate::conformance::check::{Kept, checks, ensure};
use crate::conformance::eventually::poll_times;
use crate::lease::{Cursor, CursorPosition, Lease, Progress, SubscriptionRecord};
use crate::record::SequenceNumber;
use crate::shard::{HashKey, HashRange, Shard, ShardId, ShardKey, StartPosition, StreamId};
use crate::sink::SubscriptionName;

checks! { "leases", Rig;
    L9 progress_is_read_back: "a row is read as it was written: cursors with their generations, shard end, children, parents \
        and hash range";
    L10 cursors_do_not_move_back: "a cursor never moves back within a generation, nor to an older one; a reset may do that";
    L11 progress_outlives_its_holder: "progress survives a release and a change of holder, also that of subscriptions the \
        new one does not know";
    L12 long_numbers_survive: "cursors of 129 digits and with sub-numbers survive";
    L16 a_lost_answer_is_recognised: "a write whose answer was lost is recognised as the holder's own: the next one succeeds";
    L17 subscriptions_compare_and_set: "a subscription is written only if it is as it was seen; others stay as they are";
    L18 a_dropped_advance_is_found_out: "an advance that is dropped half-way leaves the old or the new state, and the next one \
        succeeds";
    L19 forgotten_cursors_go: "the cursor of a subscription that progress names as forgotten goes, with an advance, a release \
        and a reset; others stay";
}

async fn progress_is_read_back(rig: Rig) -> Kept {
    let range = HashRange { start: HashKey::new(1), end: HashKey::MAX };
    let shard = Shard::new("0").with_parents(["p1".into(), "p2".into()]).with_hash_range(range);
    let row = Lease::new(&StreamId::new("stream").with_account("111122223333"), &shard);
    rig.store.create(&row).await?;
    let created = rig.get(&row.key).await?;
    ensure!(created == row, "created was {row:?}, and read is {created:?}");
    let mut held = rig.claim(&created, "a").await?;
    let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let number = SequenceNumber::from(5);
    let positions = [
        CursorPosition::Next(StartPosition::TrimHorizon),
        CursorPosition::Next(StartPosition::Latest),
        CursorPosition::Next(StartPosition::Timestamp(at)),
        CursorPosition::Next(StartPosition::At(number)),
        CursorPosition::Next(StartPosition::After(number)),
        CursorPosition::End,
    ];
    let cursor = |(nth, position): (usize, &CursorPosition)| {
        let cursor = Cursor::new(nth as u64, *position).with_arrived_at((nth % 2 == 0).then_some(at));
        (SubscriptionName::from(format!("subscription {nth}, ünïcode")), cursor)
    };
    let progress = Progress::new(positions.iter().enumerate().map(cursor)).with_children(["c1".into(), "c2".into()]);
    rig.store.advance(&mut held, Some(&progress)).await?;
    let read = rig.get(&row.key).await?;
    ensure!(read.cursors == progress.cursors, "stored was {:?}, and read is {:?}", progress.cursors, read.cursors);
    ensure!(read.children == progress.children, "stored was {:?}, and read is {:?}", progress.children, read.children);
    ensure!(read.parents == row.parents && read.hash_range == row.hash_range, "lineage was lost: {read:?}");
    Ok(())
}

async fn cursors_do_not_move_back(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    let key = held.key().clone();
    rig.store_cursor(&mut held, 2, after(5)).await?;
    for (generation, position) in [(2, after(4)), (2, CursorPosition::Next(StartPosition::TrimHorizon)), (1, after(9))]
    {
        rig.store_cursor(&mut held, generation, position).await?;
        let stored = rig.cursor(&key, "audit").await?;
        let kept = stored == Some(Cursor::new(2, after(5)));
        ensure!(
            kept,
            "generation 2 after 5 was followed by generation {generation} at {position:?}, and is {stored:?}"
        );
    }
    rig.store_cursor(&mut held, 3, after(1)).await?;
    let stored = rig.cursor(&key, "audit").await?;
    ensure!(stored == Some(Cursor::new(3, after(1))), "a new generation may start anywhere, and is {stored:?}");
    let row = rig.get(&key).await?;
    ensure!(
        rig.store.reset(&row, &progress("audit", 3, after(0))).await?,
        "a row that is as it was seen was not reset"
    );
    let stored = rig.cursor(&key, "audit").await?;
    ensure!(stored == Some(Cursor::new(3, after(0))), "a reset to after 0 left {stored:?}");
    let now = rig.get(&key).await?;
    let written = rig.store.advance(&mut held, Some(&progress("audit", 3, after(8)))).await;
    rig.expect_lost(written, &now).await
}

async fn progress_outlives_its_holder(rig: Rig) -> Kept {
    let mut first = rig.held("0", "a").await?;
    let key = first.key().clone();
    rig.store_cursor(&mut first, 1, after(5)).await?;
    let last = progress("audit", 1, after(6)).with_children([ShardId::from("child")]);
    rig.store.release(&mut first, Some(last), None).await?;
    let row = rig.get(&key).await?;
    let mut second = rig.claim(&row, "b").await?;
    ensure!(second.lease().cursors == row.cursors, "the new holder knows {:?}", second.lease().cursors);
    rig.store.advance(&mut second, Some(&progress("billing", 1, after(2)))).await?;
    let row = rig.get(&key).await?;
    let wanted: BTreeMap<SubscriptionName, Cursor> =
        [("audit".into(), Cursor::new(1, after(6))), ("billing".into(), Cursor::new(1, after(2)))].into();
    ensure!(row.cursors == wanted, "the cursors should be {wanted:?} and are {:?}", row.cursors);
    ensure!(row.children.contains("child"), "the children are lost: {:?}", row.children);
    Ok(())
}

async fn long_numbers_survive(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    let long = "9".repeat(129).parse::<SequenceNumber>().expect("129 digits are allowed");
    let usual = "49590338271490256608559692538361571095921575989136588898".parse::<SequenceNumber>();
    let usual = usual.expect("56 digits are allowed");
    for number in [usual, usual.with_sub(1), usual.with_sub(2), usual.plus(1), long, long.with_sub(u64::MAX)] {
        let position = CursorPosition::Next(StartPosition::After(number));
        rig.store_cursor(&mut held, 1, position).await?;
        let stored = rig.cursor(held.key(), "audit").await?.map(|cursor| cursor.position);
        ensure!(stored == Some(position), "after {number} was stored, and {stored:?} is read");
    }
    Ok(())
}

async fn a_lost_answer_is_recognised(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    for round in 1..=3 {
        let mut unaware = as_known_now(&held);
        rig.store_cursor(&mut held, 1, after(round)).await?;
        // The holder never learned of that write; the row is ahead of it, and its own.
        rig.store_cursor(&mut unaware, 1, after(round + 10))
            .await
            .map_err(|broken| broken.when("after a lost answer"))?;
        let row = rig.get(held.key()).await?;
        ensure!(row == *unaware.lease(), "the row is {row:?}, and the holder knows {:?}", unaware.lease());
        held = unaware;
    }
    let mut unaware = as_known_now(&held);
    rig.store.advance(&mut held, None).await?;
    rig.store.release(&mut unaware, Some(progress("audit", 1, after(50))), None).await?;
    let row = rig.get(held.key()).await?;
    ensure!(row.owner.is_none(), "a release after a lost answer left the owner {:?}", row.owner);
    let stored = rig.cursor(held.key(), "audit").await?;
    ensure!(stored == Some(Cursor::new(1, after(50))), "a release after a lost answer left {stored:?}");
    Ok(())
}

async fn subscriptions_compare_and_set(rig: Rig) -> Kept {
    let record = |stream: &str, name: &str| {
        let mut record = SubscriptionRecord::new(
            &StreamId::new(stream),
            name.into(),
            StartPosition::At(SequenceNumber::from(3)),
            ["0".into(), "1".into()],
        );
        record.pins.insert("0".into(), StartPosition::After(SequenceNumber::from(9).with_sub(2)));
        record
    };
    for (stream, name) in [("one", "audit"), ("one", "billing"), ("other", "audit")] {
        ensure!(rig.store.put_subscription(None, &record(stream, name)).await?, "{name} of {stream} is there already");
    }
    let read = async || rig.store.subscriptions().await;
    let before = read().await?;
    ensure!(before.len() == 3, "three subscriptions were written, and there are {before:?}");
    let new = record("one", "audit");
    ensure!(
        !rig.store.put_subscription(None, &new).await?,
        "a subscription that is there was written as if it were new"
    );
    let find = |records: &[SubscriptionRecord]| {
        records.iter().find(|r| *r.stream.name == *"one" && r.name == "audit").cloned().expect("it was written above")
    };
    let seen = find(&before);
    let as_written = SubscriptionRecord { revision: seen.revision, ..new.clone() };
    ensure!(seen == as_written, "written was {as_written:?}, and read is {seen:?}");
    let sought = SubscriptionRecord { generation: 2, start: StartPosition::TrimHorizon, ..seen.clone() };
    ensure!(
        rig.store.put_subscription(Some(&seen), &sought).await?,
        "a subscription that is as it was seen was not written"
    );
    ensure!(!rig.store.put_subscription(Some(&seen), &new).await?, "a subscription was written that had changed");
    let now = read().await?;
    let wanted = SubscriptionRecord { revision: seen.revision + 1, ..sought };
    ensure!(find(&now) == wanted, "the subscription should be {wanted:?} and is {:?}", find(&now));
    let others = |records: &[SubscriptionRecord]| {
        let mut others = records.to_vec();
        others.retain(|r| *r.stream.name != *"one" || r.name != "audit");
        others.sort_by(|a, b| (&a.stream, &a.name).cmp(&(&b.stream, &b.name)));
        others
    };
    ensure!(others(&now) == others(&before), "writing one subscription changed the others to {now:?}");
    Ok(())
}

async fn forgotten_cursors_go(rig: Rig) -> Kept {
    let both = || Progress::new(["audit", "billing"].map(|name| (name.into(), Cursor::new(1, after(5)))));
    let forgotten = || Progress::default().with_forgotten(["audit".into()]);
    for how in ["an advance", "a release", "a reset"] {
        let mut held = rig.held(how, "a").await?;
        rig.store.advance(&mut held, Some(&both())).await?;
        match how {
            "an advance" => drop(rig.store.advance(&mut held, Some(&forgotten())).await?),
            "a release" => rig.store.release(&mut held, Some(forgotten()), None).await?,
            _ => {
                let row = rig.get(held.key()).await?;
                ensure!(rig.store.reset(&row, &forgotten()).await?, "a row that is as it was seen was not reset");
            }
        }
        let left = rig.get(held.key()).await?.cursors;
        let names: Vec<&str> = left.keys().map(|name| &**name).collect();
        ensure!(names == ["billing"], "{how} that names audit as forgotten left the cursors of {names:?}");
    }
    Ok(())
}

async fn a_dropped_advance_is_found_out(rig: Rig) -> Kept {
    let mut held = rig.held("0", "a").await?;
    let key: ShardKey = held.key().clone();
    for polls in 0..6 {
        let (old, new) = (after(polls * 10), after(polls * 10 + 1));
        rig.store_cursor(&mut held, 1, old).await?;
        let progress = progress("audit", 1, new);
        let _ = poll_times(polls as usize, rig.store.advance(&mut held, Some(&progress))).await;
        let stored = rig.cursor(&key, "audit").await?.map(|cursor| cursor.position);
        let whole = stored == Some(old) || stored == Some(new);
        ensure!(whole, "an advance from {old:?} to {new:?} was dropped, and left {stored:?}");
        rig.store.advance(&mut held, Some(&progress)).await?;
        let stored = rig.cursor(&key, "audit").await?.map(|cursor| cursor.position);
        ensure!(stored == Some(new), "the advance after a dropped one left {stored:?}");
    }
    let row = rig.get(&key).await?;
    ensure!(
        row.owner == Some(worker("a")) && row == *held.lease(),
        "the row is {row:?}, and its holder knows otherwise"
    );
    Ok(())
}
