//! The input of `run`: a file or a pipe of events, as a source that is read once and in bounded memory.
//!
//! # Formats
//!
//! The input is any sequence of JSON objects, one a line as NDJSON has them, or spread over lines. Each is one of
//!
//! - an event as it is posted: `{"channel", "sequenceNumber", "data", "approximateArrivalTimestamp"}`, where the
//!   channel is the partition key too. Only channel and data are needed; `"encoding": "base64"` marks data that is no
//!   text. The lines of a dead-letter file are such events, with more fields that are skipped here.
//! - the short form `{"partitionKey", "data"}`, with any of the other fields.
//! - a Lambda event document `{"Records": [{"kinesis": {..}}, ..]}`, however long: its records are taken out one by one.
//!
//! Blank lines, CRLF and a byte order mark are passed over. Nothing is held but the value that is being read, and a
//! record of more than 10 MiB is refused before more than that is held.
//!
//! # Numbers
//!
//! The whole input is one shard, in the order of the input. A shard's numbers must increase, but those of an input may
//! not: dead letters come in the order of failure, and an export may hold several shards or no numbers at all. So the
//! shard numbers its records anew, by position and, in the last [109 digits](number), by the number the record came
//! with. [`Originals`] stands before a sink and gives that number back, so that a subscriber gets the digits of the
//! input. A record that came without a number has its position, counted from 1.
//!
//! # Broken input
//!
//! The input ends where it breaks. What comes before is delivered like the rest of any input, and
//! [`InputSource::failure`] says with line and column what is wrong.

mod event;
mod gauge;
mod kept;
mod lambda;
mod number;
mod parse;
mod source;

pub(crate) use event::Parsed;
pub use kept::KeptInput;
pub(crate) use kept::is_file;
pub(crate) use lambda::KinesisPart;
pub use number::{Originals, original};
pub(crate) use number::{at_record, record_of};
pub use parse::InputError;
pub use source::InputSource;
