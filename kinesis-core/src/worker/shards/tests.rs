//! Which shards are wanted, by what is known of rows and subscriptions.

use super::*;
use crate::lease::{Cursor, CursorPosition, Progress};
use crate::{SequenceNumber, StartPosition, StreamId};

#[test]
fn a_shard_without_a_row_is_done_for_whoever_is_in_a_descendant() {
    let (stream, name) = (StreamId::new("s"), SubscriptionName::from("audit"));
    let child = Shard::new("1").with_parents(["0".into()]);
    let mut shards = Shards::default();
    shards.set_record(SubscriptionRecord::new(
        &stream,
        name.clone(),
        StartPosition::TrimHorizon,
        ["0".into(), "1".into()],
    ));
    shards.list(&[Shard::new("0").with_end(None), child.clone()]);
    let mut wanted = |row: Option<Lease>| {
        shards.set_rows(row);
        let wanted = shards.wanted(std::slice::from_ref(&name));
        wanted.into_iter().map(|shard| shard.id.to_string()).collect::<Vec<_>>()
    };
    let unread = Lease::new(&stream, &child);
    assert_eq!((wanted(None), wanted(Some(unread.clone()))), (vec!["0".into()], vec!["0".into()]));
    let after = CursorPosition::Next(StartPosition::After(SequenceNumber::from(7)));
    let mut read = unread.clone();
    read.apply(&Progress::new([(name.clone(), Cursor::new(1, after))]));
    assert_eq!(wanted(Some(read.clone())), ["1"]);
    assert_eq!(wanted(Some(Lease { inherited: Some(after), ..unread })), ["1"]);
    // A cursor of an older generation is void.
    read.cursors.insert(name.clone(), Cursor::new(0, after));
    assert_eq!(wanted(Some(read)), ["0"]);
}

/// A listing that lagged behind a birth made the children ones that the stream had let go: as long as nothing else was
/// listed, whoever was reading one of them elsewhere kept this worker from every other shard.
#[test]
fn a_child_that_a_listing_does_not_name_yet_is_known_by_the_row_of_its_parent() {
    let (stream, name) = (StreamId::new("s"), SubscriptionName::from("audit"));
    let after = CursorPosition::Next(StartPosition::After(SequenceNumber::from(7)));
    let row = |shard: Shard, children: &[&str], position| {
        let mut row = Lease::new(&stream, &shard);
        let progress = Progress::new([(name.clone(), Cursor::new(1, position))]);
        row.apply(&progress.with_children(children.iter().map(|child| (*child).into())));
        row
    };
    let rows = || {
        let child = Shard::new("1").with_parents(["0".into()]);
        [row(Shard::new("0"), &["1", "2"], CursorPosition::End), row(child, &["3"], after)]
    };
    let mut shards = Shards::default();
    let born = ["0".into(), "9".into()];
    shards.set_record(SubscriptionRecord::new(&stream, name.clone(), StartPosition::TrimHorizon, born));
    shards.set_rows(rows());
    shards.list(&[Shard::new("0").with_end(None), Shard::new("9")]);
    shards.set_rows(rows());
    let wanted = shards.wanted(std::slice::from_ref(&name));
    let wanted: Vec<_> = wanted.iter().map(|shard| shard.id.to_string()).collect();
    assert_eq!(wanted, ["1", "2", "9"]);
    assert!(!shards.may_start(&"3".into(), &name), "its parent is not finished");
}

/// A subscription that was sought while it was detached here came back to shards that it had finished before, and was
/// taken for done with them: its records were not read again, and the children were begun before their parents.
#[test]
fn what_was_finished_in_an_older_generation_is_not_finished() {
    let (stream, name) = (StreamId::new("s"), SubscriptionName::from("audit"));
    let mut shards = Shards::default();
    let mut record = SubscriptionRecord::new(&stream, name.clone(), StartPosition::TrimHorizon, ["0".into()]);
    shards.set_record(record.clone());
    shards.list(&[Shard::new("0").with_end(None)]);
    shards.finished(&"0".into(), &name, 1);
    assert_eq!(shards.wanted(std::slice::from_ref(&name)), []);
    record.generation = 2;
    shards.set_record(record);
    assert_eq!(shards.wanted(std::slice::from_ref(&name)).len(), 1);
}
