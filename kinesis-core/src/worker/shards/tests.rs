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
