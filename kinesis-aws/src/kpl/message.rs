//! The protobuf message of an aggregate, read and written by hand: two tables of keys, and records that point into them.
//!
//! ```text
//! message AggregatedRecord {
//!     repeated string partition_key_table = 1;
//!     repeated string explicit_hash_key_table = 2;
//!     repeated Record records = 3;
//! }
//! message Record {
//!     required uint64 partition_key_index = 1;
//!     optional uint64 explicit_hash_key_index = 2;
//!     required bytes data = 3;
//!     repeated Tag tags = 4;
//! }
//! ```

use kinesis_core::{HashKey, PartitionKey};

/// Protobuf's way to write a number, and bytes.
const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// The most records of an aggregate that are believed: a record has ten bytes at the very least, and a stored one 10 MiB,
/// but what is unpacked has to fit in memory.
const MAX_RECORDS: usize = 100_000;

/// A message, whose payloads are parts of it.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) keys: Vec<PartitionKey>,
    pub(super) hash_keys: Vec<HashKey>,
    pub(super) records: Vec<Inner<'a>>,
}

/// A record of a message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inner<'a> {
    pub(super) key: usize,
    pub(super) hash_key: Option<usize>,
    pub(super) data: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message; nothing where any part of it is broken, or points outside a table.
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut message = Self::default();
        while !bytes.is_empty() {
            match field(&mut bytes)? {
                (1, Value::Bytes(key)) => message.keys.push(std::str::from_utf8(key).ok()?.into()),
                (2, Value::Bytes(key)) => message.hash_keys.push(std::str::from_utf8(key).ok()?.parse().ok()?),
                (3, Value::Bytes(record)) => message.records.push(Inner::read(record)?),
                (1..=3, _) => return None,
                _ => {}
            }
            if message.records.len() > MAX_RECORDS {
                return None;
            }
        }
        let points_well = |record: &Inner<'_>| {
            record.key < message.keys.len() && record.hash_key.is_none_or(|index| index < message.hash_keys.len())
        };
        message.records.iter().all(points_well).then_some(message)
    }
}

impl<'a> Inner<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let (mut key, mut hash_key, mut data) = (None, None, None);
        while !bytes.is_empty() {
            match field(&mut bytes)? {
                (1, Value::Number(index)) => key = Some(usize::try_from(index).ok()?),
                (2, Value::Number(index)) => hash_key = Some(usize::try_from(index).ok()?),
                (3, Value::Bytes(payload)) => data = Some(payload),
                (1..=3, _) => return None,
                _ => {}
            }
        }
        Some(Self { key: key?, hash_key, data: data? })
    }

    /// Writes the record as a field of its message.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let mut record = Vec::with_capacity(self.data.len() + 16);
        write_number(1, self.key as u64, &mut record);
        if let Some(index) = self.hash_key {
            write_number(2, index as u64, &mut record);
        }
        write_bytes(3, self.data, &mut record);
        write_bytes(3, &record, to);
    }
}

/// The value of a field, as far as it is of use here.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Takes a field off the front.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = varint(bytes)?;
    let value = match tag & 7 {
        VARINT => Value::Number(varint(bytes)?),
        BYTES => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, length)?)
        }
        1 => take(bytes, 8).map(|_| Value::Other)?,
        5 => take(bytes, 4).map(|_| Value::Other)?,
        _ => return None,
    };
    (tag >> 3 != 0).then_some((tag >> 3, value))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// A number in groups of seven bits, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn write_varint(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn write_number(field: u64, number: u64, to: &mut Vec<u8>) {
    write_varint(field << 3 | VARINT, to);
    write_varint(number, to);
}

/// Writes a field of bytes or of text.
pub(super) fn write_bytes(field: u64, bytes: &[u8], to: &mut Vec<u8>) {
    write_varint(field << 3 | BYTES, to);
    write_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}
