//! The fast read: answers with records are read here, chunk by chunk as they come, and not by the SDK.
//!
//! [`exchange`] steps between the SDK and the wire, and [`tee`] takes the body of an answer there and gives it to a [`Parser`], which cuts it into units: a member of the
//! answer, a record of the list. [`json`] and [`cbor`] read a unit, [`found`] keeps what was read. A unit that lies in one
//! chunk is read where it is; one that straddles chunks is put together first.
//!
//! Whatever is not understood is refused, and read again by the SDK. Nothing of an answer counts before it has come whole.

mod cbor;
pub(crate) mod encode;
pub(crate) mod exchange;
mod found;
mod json;
mod parser;
mod scan;
pub(crate) mod tee;
#[cfg(test)]
mod tests;

pub(crate) use parser::Parser;

use bytes::Bytes;

use crate::WireFormat;
use crate::answer::Answer;

/// Why an answer was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It ended too early: the connection broke.
    #[error("the answer is cut off")]
    Cut,
    /// It has no list of records, not even an empty one, so its missing iterator says nothing.
    #[error("the answer has no list of records")]
    Hollow,
    /// It is not what is read here.
    #[error("the answer is not understood: {0}")]
    Unknown(&'static str),
}

/// Reads an answer that is there whole: one event of a subscription.
pub(crate) fn read(format: WireFormat, whole: &Bytes) -> Result<Answer, Refused> {
    let mut parser = Parser::new(format);
    parser.feed(whole)?;
    parser.finish()
}
