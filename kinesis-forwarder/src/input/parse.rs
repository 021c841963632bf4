//! Takes records out of a stream of JSON, one by one as they come, whatever document they are in.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use kinesis_core::{Record, SequenceNumber};
use serde::de::{self, Deserializer as _, MapAccess, Visitor};

use super::event::{Field, Fields, MAX_RECORD_BYTES, Parsed, too_large};
use super::gauge::{Gauge, Gauged};
use super::lambda::Records;
use super::number::numbered;

/// The most text one value may have: the largest record in base64, and room for its other fields.
const MAX_VALUE_BYTES: usize = MAX_RECORD_BYTES / 3 * 4 + (64 << 10);

/// Why an input could not be read to its end, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input}, line {line}, column {column}: {problem}")]
#[non_exhaustive]
pub struct InputError {
    /// The file's name, or `standard input`.
    pub input: String,
    /// The line, from 1 on.
    pub line: u64,
    /// The column, in bytes from 1 on; 0 when the line's first byte is missing.
    pub column: u64,
    /// What is wrong there.
    pub problem: String,
}

/// Reads `input` to its end and gives its records to `emit` in chunks, each before the next wait for input.
///
/// `emit` answers whether anybody still wants records; when not, this returns early. Everything before an error is
/// emitted before the error is returned.
pub(super) fn parse(name: &str, mut input: impl Read, emit: impl FnMut(Vec<Record>) -> bool) -> Result<(), InputError> {
    let outbox = Rc::new(Outbox {
        emit: RefCell::new(emit),
        chunk: RefCell::default(),
        position: Cell::new(0),
        refused: Cell::new(false),
    });
    let gauge = Rc::new(Gauge::new(MAX_VALUE_BYTES));
    let fail = |(line, column), problem| Err(InputError { input: name.to_owned(), line, column, problem });
    let start = match without_byte_order_mark(&mut input) {
        Ok(start) => start,
        Err(error) => return fail((1, 0), format!("cannot read: {error}")),
    };
    let flush = Rc::clone(&outbox);
    let bytes = Gauged::new(start.chain(input), Rc::clone(&gauge), move || flush.flush());
    let mut json = serde_json::Deserializer::from_reader(bytes);
    loop {
        gauge.begin();
        let mut entered = false;
        let value = Value { outbox: &*outbox, gauge: &gauge, entered: &mut entered };
        let Err(error) = json.deserialize_map(value) else { continue };
        let unwanted = outbox.flush().is_err();
        if unwanted || (error.is_eof() && !entered && gauge.is_blank()) {
            return Ok(());
        }
        if gauge.is_over() {
            return fail(gauge.began(), too_large(format_args!("that starts here is too large")));
        }
        if error.is_io() {
            return fail(gauge.place(), format!("cannot read on: {}", io::Error::from(error)));
        }
        let (line, column) = (error.line(), error.column());
        let problem = error.to_string();
        let problem = problem.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&problem);
        if error.is_eof() {
            // Where the input ends says nothing; where the broken value starts does.
            return fail(gauge.began(), format!("what starts here is cut off: {problem}"));
        }
        return fail((line as u64, column as u64), problem.to_owned());
    }
}

/// The first bytes of the input, as far as they had to be read to find no byte order mark in them.
fn without_byte_order_mark(input: &mut impl Read) -> io::Result<io::Cursor<Vec<u8>>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut start = Vec::new();
    input.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    start.drain(..if start == MARK { MARK.len() } else { 0 });
    Ok(io::Cursor::new(start))
}

/// Gives records their places and collects them until the input has to be waited for.
struct Outbox<F> {
    emit: RefCell<F>,
    chunk: RefCell<Vec<Record>>,
    /// How many records there were.
    position: Cell<u64>,
    /// Whether a chunk was refused, and all that follow will be.
    refused: Cell<bool>,
}

/// What parsing needs of an [`Outbox`], whoever takes the records.
pub(super) trait Put {
    /// Gives the record its place and sends it on.
    ///
    /// # Errors
    ///
    /// A sentence, when the record's own number leaves no room for its place.
    fn put(&self, parsed: Parsed) -> Result<(), String>;
}

impl<F: FnMut(Vec<Record>) -> bool> Outbox<F> {
    fn flush(&self) -> io::Result<()> {
        let chunk = self.chunk.take();
        if !chunk.is_empty() && !self.refused.get() {
            self.refused.set(!(self.emit.borrow_mut())(chunk));
        }
        if self.refused.get() { Err(io::Error::other("nobody takes the records")) } else { Ok(()) }
    }
}

impl<F> Put for Outbox<F> {
    fn put(&self, parsed: Parsed) -> Result<(), String> {
        let position = self.position.get() + 1;
        let original = parsed.sequence_number.unwrap_or(SequenceNumber::from(position));
        let too_long = || format!("the sequence number {original} is too long: at most 109 digits can be read here");
        let number = numbered(position, original).ok_or_else(too_long)?;
        let mut record = Record::new(number, parsed.partition_key, parsed.data);
        record.arrived_at = parsed.arrived_at;
        self.chunk.borrow_mut().push(record);
        self.position.set(position);
        Ok(())
    }
}

/// One object of the input: an event, or a Lambda document.
struct Value<'a> {
    outbox: &'a dyn Put,
    gauge: &'a Gauge,
    /// Set as soon as there is an object at all.
    entered: &'a mut bool,
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or a Lambda event document, which are objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        *self.entered = true;
        let mut event = Fields::default();
        let mut is_document = false;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Records => {
                    is_document = true;
                    map.next_value_seed(Records { outbox: self.outbox, gauge: self.gauge })?;
                }
                field => event.read(field, &mut map)?,
            }
        }
        if is_document { Ok(()) } else { self.outbox.put(event.finish()?).map_err(de::Error::custom) }
    }
}

#[cfg(test)]
mod tests;
