use kinesis_core::{HashKey, HashRange, Record, SequenceNumber, ShardId, StartPosition};
use md5::{Digest as _, Md5};
use proptest::prelude::*;

use super::*;

/// A stored record around a message, sealed as the producer library does.
fn sealed(number: u64, message: &[u8]) -> Record {
    let data = [&MAGIC[..], message, &Md5::digest(message)[..]].concat();
    Record::new(number.into(), "a", data).with_arrived_at(std::time::UNIX_EPOCH)
}

/// Two records, byte by byte as the format says: keys "k" and "l", the second with the hash key 7 and a tag.
fn golden() -> Vec<u8> {
    let tables = b"\x0a\x01k\x0a\x01l\x12\x017";
    let first = b"\x1a\x07\x08\x00\x1a\x03one";
    let second = b"\x1a\x10\x08\x01\x10\x00\x1a\x03two\x22\x05\x0a\x03tag";
    [&tables[..], first, second].concat()
}

fn unpacker(from: StartPosition, range: Option<HashRange>, out_of_range: OutOfRange) -> (Unpacker, Unpacked) {
    let counts = Unpacked::default();
    let unpacker = Aggregates::Unpack(out_of_range).unpacker(&ShardId::from("0"), range, from, &counts);
    (unpacker.unwrap(), counts)
}

fn unpack(stored: Vec<Record>) -> Vec<Record> {
    unpacker(StartPosition::TrimHorizon, None, OutOfRange::Keep).0.unpack(stored)
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

fn numbers(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.sequence_number.to_string()).collect()
}

#[test]
fn an_aggregate_written_by_hand_is_unpacked() {
    let stored = sealed(70, &golden());
    let plain = Record::new(80.into(), "m", "three");
    let records = unpack(vec![stored.clone(), plain.clone()]);
    assert_eq!(texts(&records), ["one", "two", "three"]);
    assert_eq!(numbers(&records), ["70", "70.1", "80"]);
    assert_eq!([&*records[0].partition_key, &*records[1].partition_key], ["k", "l"]);
    assert_eq!([records[0].explicit_hash_key, records[1].explicit_hash_key], [None, Some(HashKey::new(7))]);
    assert_eq!(records[1].arrived_at, stored.arrived_at);
    assert!(stored.data.as_ptr_range().contains(&records[1].data.as_ptr()), "payloads are shared, not copied");
    assert_eq!(records[2], plain);
}

#[test]
fn what_is_no_aggregate_is_handed_out_as_it_is() {
    let mut wrong_digest = sealed(1, &golden());
    let mut data = wrong_digest.data.to_vec();
    *data.last_mut().unwrap() ^= 1;
    wrong_digest.data = data.into();
    let magic_alone = Record::new(2.into(), "k", MAGIC.to_vec());
    let empty = sealed(3, b"");
    let plain = vec![wrong_digest, magic_alone, empty];
    assert_eq!(unpack(plain.clone()), plain);
}

/// The KCL hands out what comes before the broken part, and loses the rest.
#[test]
fn an_aggregate_that_is_broken_inside_is_handed_out_as_it_is_and_counted() {
    let index_too_large = b"\x0a\x01k\x1a\x07\x08\x00\x1a\x03one\x1a\x07\x08\x05\x1a\x03two";
    let hash_key_of_none = b"\x0a\x01k\x1a\x09\x08\x00\x10\x00\x1a\x03one";
    let cut = &golden()[..20];
    let no_data = b"\x0a\x01k\x1a\x02\x08\x00";
    for message in [&index_too_large[..], hash_key_of_none, cut, no_data] {
        let (mut unpacker, counts) = unpacker(StartPosition::TrimHorizon, None, OutOfRange::Keep);
        let stored = sealed(5, message);
        assert_eq!(unpacker.unpack(vec![stored.clone()]), [stored]);
        assert_eq!((counts.broken(), counts.aggregates()), (1, 0));
    }
}

#[test]
fn what_claims_more_records_than_is_believed_is_not_unpacked() {
    let one = b"\x1a\x04\x08\x00\x1a\x00";
    let message = [&b"\x0a\x01k"[..], &one.repeat(100_001)].concat();
    let stored = sealed(5, &message);
    assert_eq!(unpack(vec![stored.clone()]), [stored]);
}

#[test]
fn what_lies_outside_the_shard_is_kept_dropped_alone_or_dropped_with_the_others() {
    // The hash key 7 of "two" is within, the MD5 of "k" is not.
    let range = HashRange { start: HashKey::MIN, end: HashKey::new(100) };
    for (policy, left, dropped) in [
        (OutOfRange::Keep, &["one", "two"][..], 0),
        (OutOfRange::DropRecord, &["two"], 1),
        (OutOfRange::DropAggregate, &[], 2),
    ] {
        let (mut unpacker, counts) = unpacker(StartPosition::TrimHorizon, Some(range), policy);
        assert_eq!(texts(&unpacker.unpack(vec![sealed(5, &golden())])), left);
        assert_eq!((counts.dropped(), counts.records()), (dropped, 2 - dropped));
    }
    let (mut unpacker, counts) = unpacker(StartPosition::TrimHorizon, Some(HashRange::FULL), OutOfRange::DropAggregate);
    assert_eq!(unpacker.unpack(vec![sealed(5, &golden())]).len(), 2);
    assert_eq!((counts.aggregates(), counts.dropped()), (1, 0));
}

#[test]
fn reading_goes_on_inside_an_aggregate() {
    let stored = || vec![sealed(70, &golden()), Record::new(80.into(), "m", "three")];
    let n = |number: u64, sub: u64| SequenceNumber::from(number).with_sub(sub);
    for (from, left) in [
        (StartPosition::At(n(70, 0)), &["70", "70.1", "80"][..]),
        (StartPosition::After(n(70, 0)), &["70.1", "80"]),
        (StartPosition::At(n(70, 1)), &["70.1", "80"]),
        (StartPosition::After(n(70, 1)), &["80"]),
        (StartPosition::After(n(70, 9)), &["80"]),
        (StartPosition::After(n(80, 0)), &[]),
    ] {
        assert_eq!(numbers(&unpacker(from, None, OutOfRange::Keep).0.unpack(stored())), left, "{from}");
    }
    // What was asked for again comes alone first, and what follows only then.
    let mut unpacker = unpacker(StartPosition::After(n(70, 1)), None, OutOfRange::Keep).0;
    assert!(unpacker.unpack(vec![sealed(70, &golden())]).is_empty());
    assert_eq!(numbers(&unpacker.unpack(vec![Record::new(80.into(), "m", "three")])), ["80"]);
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let hash_key = prop::option::of(any::<u128>().prop_map(HashKey::new));
    let record = ("[a-f]{1,3}", hash_key, prop::collection::vec(any::<u8>(), 0..200));
    prop::collection::vec(record, 0..30).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        let record = |(n, (key, hash_key, data)): (usize, (String, Option<HashKey>, Vec<u8>))| {
            let mut record = Record::new((n as u64).into(), key, data);
            record.explicit_hash_key = hash_key;
            record
        };
        numbered.map(record).collect()
    })
}

proptest! {
    #[test]
    fn what_is_packed_comes_out_again_in_order_and_within_its_bounds(records in records(), max in 100usize..2000) {
        let packed = pack(&records, max);
        prop_assert_eq!(packed.iter().map(|packed| packed.records).sum::<usize>(), records.len());
        for packed in &packed {
            prop_assert!(packed.records == 1 || packed.data.len() <= max);
        }
        let (mut at, mut out) = (0, Vec::new());
        for (n, packed) in packed.into_iter().enumerate() {
            let mut stored = Record::new((n as u64).into(), records[at].partition_key.clone(), packed.data);
            stored.explicit_hash_key = records[at].explicit_hash_key;
            at += packed.records;
            out.extend(unpack(vec![stored]));
        }
        for (out, record) in out.iter().zip(&records) {
            prop_assert_eq!((&out.partition_key, out.explicit_hash_key), (&record.partition_key, record.explicit_hash_key));
            prop_assert_eq!(&out.data, &record.data);
        }
        prop_assert_eq!(out.len(), records.len());
    }

    #[test]
    fn nothing_is_lost_of_what_is_broken(at in 0usize..40, bit in 0u8..8, cut in 0usize..40) {
        let mut message = golden();
        let at = at % message.len();
        message[at] ^= 1 << bit;
        message.truncate(message.len() - cut % message.len());
        let stored = sealed(5, &message);
        let records = unpack(vec![stored.clone()]);
        prop_assert!(records == [stored.clone()] || records.iter().all(|record| record.sequence_number.without_sub() == stored.sequence_number));
    }
}
