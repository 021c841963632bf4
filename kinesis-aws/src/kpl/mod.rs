//! Records of the Kinesis Producer Library: many user records in one stored record, unpacked here, by a source or by
//! [`unpack()`], and packed by [`pack()`].
//!
//! An aggregate is four magic bytes, a protobuf message, and the MD5 of the message. All three have to be right; anything
//! else is handed out as it is stored. A record out of an aggregate has the stored record's sequence number with a
//! sub-number (0, 1, 2 and so on), its time of arrival, and a partition key of its own: the stored record's key says nothing.
//! A cursor may lie inside an aggregate, and reading goes on there after a restart.
//!
//! # What is different from the Kinesis Client Library
//!
//! - **A record outside the shard's hash keys** is kept by default. The KCL throws the whole aggregate away, and loses what
//!   producers other than the KPL put together for several shards. [`OutOfRange`] says what you want; what is dropped is
//!   counted by [`Unpacked`].
//! - **An aggregate that is broken inside**, though its MD5 is right, is handed out as it is stored. The KCL hands out what
//!   comes before the broken part and loses the rest.
//! - **An aggregate that claims too much** (more than 100,000 records, or many times its own size) is handed out as it is
//!   stored, and cannot fill the memory.

mod message;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

use kinesis_core::HashKey;
use md5::{Digest as _, Md5};

pub use pack::{Packed, pack};
pub(crate) use unpack::Unpacker;
pub use unpack::{Aggregates, OutOfRange, Unpacked, unpack};

/// What an aggregate begins with. (KPL, "aggregation-format.md".)
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// The bytes of an MD5.
const DIGEST: usize = 16;

/// Where a partition key hashes to: the MD5 of its UTF-8 bytes, as a big-endian number.
fn hash_key(partition_key: &str) -> HashKey {
    HashKey::new(u128::from_be_bytes(Md5::digest(partition_key).into()))
}
