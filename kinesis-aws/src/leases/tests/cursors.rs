//! Cursors as bytes, and what becomes of them when a worker of the KCL moves the checkpoint.

use std::time::{Duration, SystemTime};

use kinesis_core::ParseSequenceNumberError;
use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Result<SequenceNumber, ParseSequenceNumberError> {
    text.parse()
}

fn after(n: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)))
}

fn written(beside: Checkpoint, cursors: &[(&str, Cursor)]) -> Written {
    let cursors = cursors.iter().map(|(name, cursor)| (SubscriptionName::from(*name), *cursor)).collect();
    Written { beside: Some(beside), cursors }
}

fn through(n: u64) -> Checkpoint {
    Checkpoint::Through(SequenceNumber::from(n))
}

fn any_number() -> impl Strategy<Value = SequenceNumber> {
    ("0|[1-9][0-9]{0,128}", any::<u64>()).prop_map(|(digits, sub)| number(&digits).unwrap().with_sub(sub))
}

fn any_time() -> impl Strategy<Value = SystemTime> {
    (0u64..5_000_000_000_000).prop_map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

fn any_position() -> impl Strategy<Value = CursorPosition> {
    prop_oneof![
        Just(CursorPosition::End),
        Just(CursorPosition::Next(StartPosition::TrimHorizon)),
        Just(CursorPosition::Next(StartPosition::Latest)),
        any_number().prop_map(|number| CursorPosition::Next(StartPosition::At(number))),
        any_number().prop_map(|number| CursorPosition::Next(StartPosition::After(number))),
        any_time().prop_map(|time| CursorPosition::Next(StartPosition::Timestamp(time))),
    ]
}

fn any_checkpoint() -> impl Strategy<Value = Option<Checkpoint>> {
    prop_oneof![
        Just(None),
        Just(Some(Checkpoint::AtTimestamp)),
        Just(Some(Checkpoint::Latest)),
        any_position().prop_map(|position| Some(Checkpoint::of(position))),
    ]
}

fn any_cursor() -> impl Strategy<Value = Cursor> {
    (any::<u64>(), any_position(), proptest::option::of(any_time()))
        .prop_map(|(generation, position, at)| Cursor::new(generation, position).with_arrived_at(at))
}

proptest! {
    #[test]
    fn cursors_are_read_as_they_were_written(
        beside in any_checkpoint(),
        cursors in proptest::collection::btree_map(any::<String>().prop_map(SubscriptionName::from), any_cursor(), 0..5),
    ) {
        let written = Written { beside, cursors };
        prop_assert_eq!(Attribute::decode(&written.encode()), Ok(Attribute::Here(written)));
    }

    #[test]
    fn any_attribute_is_read_or_refused(mut bytes: Vec<u8>, here: bool) {
        if here && bytes.len() > 1 {
            bytes[..2].copy_from_slice(&[VERSION, HERE]);
        }
        let _ = Attribute::decode(&bytes);
    }
}

#[test]
fn a_newer_version_is_named_and_damage_too() {
    assert_eq!(Attribute::decode(&[2, 0]), Err(Unreadable::Newer(2)));
    for damaged in [&[][..], &[0], &[1], &[1, 7], &[1, 0], &[1, 0, 9], &[1, 0, 0, 200], &[1, 0, 0, 1, b'a', 0, 1]] {
        assert_eq!(Attribute::decode(damaged), Err(Unreadable::Damaged), "{damaged:?}");
    }
}

/// What a format of the past looks like must never change: rows outlive programs.
#[test]
fn the_bytes_are_those_of_the_first_version() {
    let cursors = [("a", Cursor::new(1, after(1234))), ("b", Cursor::new(2, after(1299)))];
    let bytes = written(through(1234), &cursors).encode();
    assert_eq!(bytes, [1, 0, 5, 0, 4, 0x12, 0x34, 0, 1, b'a', 0, 1, 1, b'b', 4, 2, 2, 0x99, 0, 2]);
    assert_eq!(Attribute::encode_elsewhere("x"), [1, 1, b'x']);
    assert_eq!(Attribute::decode(&[1, 1, b'x']), Ok(Attribute::Elsewhere("x".into())));
}

#[test]
fn a_cursor_at_the_checkpoint_takes_its_name_and_three_bytes() {
    let number = number("49590338271490256608559692538361571095921575989136588898").unwrap();
    let alone = written(Checkpoint::Through(number), &[]).encode().len();
    let cursor = Cursor::new(1, CursorPosition::Next(StartPosition::After(number)));
    assert_eq!(written(Checkpoint::Through(number), &[("audit", cursor)]).encode().len() - alone, 5 + 3);
    let further = Cursor::new(1, CursorPosition::Next(StartPosition::After(number.plus(1_000_000))));
    assert!(written(Checkpoint::Through(number), &[("audit", further)]).encode().len() - alone < 5 + 15);
}

#[test]
fn an_untouched_checkpoint_changes_nothing() {
    let before = written(through(5), &[("a", Cursor::new(1, after(5))), ("b", Cursor::new(3, after(9)))]);
    assert_eq!(before.clone().resolve(through(5)), (before.cursors, None));
}

#[test]
fn a_checkpoint_that_was_moved_on_takes_those_behind_it_along() {
    let at = Some(SystemTime::UNIX_EPOCH);
    let before = written(
        through(5),
        &[
            ("behind", Cursor::new(1, after(5)).with_arrived_at(at)),
            ("further", Cursor::new(2, after(9)).with_arrived_at(at)),
            ("done", Cursor::new(1, CursorPosition::End)),
        ],
    );
    let (cursors, inherited) = before.clone().resolve(through(7));
    assert_eq!(inherited, None, "whoever has no cursor did not take part");
    assert_eq!(cursors["behind"], Cursor::new(1, after(7)), "when that record arrived nobody knows");
    assert_eq!(cursors["further"], before.cursors["further"]);
    assert_eq!(cursors["done"], before.cursors["done"]);
    let (cursors, _) = before.clone().resolve(Checkpoint::ShardEnd);
    assert!(cursors.values().all(|cursor| cursor.position == CursorPosition::End), "{cursors:?}");
    // Moved back by hand, or to a wish: our cursors know better.
    for back in [through(3), Checkpoint::TrimHorizon, Checkpoint::Latest, Checkpoint::AtTimestamp] {
        assert_eq!(before.clone().resolve(back), (before.cursors.clone(), None), "{back:?}");
    }
}

/// The KCL was told the horizon, because it has no word for the place.
#[test]
fn a_pinned_cursor_moves_only_when_it_is_passed() {
    let pin = CursorPosition::Next(StartPosition::At(SequenceNumber::from(5)));
    let before = written(Checkpoint::TrimHorizon, &[("a", Cursor::new(1, pin))]);
    assert_eq!(before.clone().resolve(through(4)).0["a"].position, pin);
    assert_eq!(before.resolve(through(5)).0["a"].position, after(5));
}

/// A seek stores a lower cursor of the next generation, and the checkpoint goes back with it.
#[test]
fn a_seek_backwards_is_not_undone() {
    let sought = written(through(2), &[("a", Cursor::new(2, after(2)))]);
    assert_eq!(sought.clone().resolve(through(2)).0, sought.cursors);
    // From there a worker of the KCL went on.
    assert_eq!(sought.resolve(through(4)).0["a"], Cursor::new(2, after(4)));
}

#[test]
fn whoever_has_no_cursor_inherits_what_was_read_from_the_horizon_on() {
    let fresh = written(Checkpoint::TrimHorizon, &[]);
    assert_eq!(fresh.clone().resolve(Checkpoint::TrimHorizon).1, None);
    assert_eq!(fresh.clone().resolve(through(4)).1, Some(after(4)));
    assert_eq!(fresh.resolve(Checkpoint::ShardEnd).1, Some(CursorPosition::End));
    // Everybody was forgotten, and somebody went on from the middle: that is nobody's place.
    assert_eq!(Written { beside: None, ..Written::default() }.resolve(through(4)).1, None);
}
