//! From chunks to units: what lies in one chunk is read there, what straddles chunks is put together first.

use bytes::Bytes;

use super::found::{Found, Source};
use super::scan::{Read, Scan, Stop};
use super::{Refused, cbor, json};
use crate::WireFormat;
use crate::answer::Answer;

/// How much of a chunk is put to the start of a unit at once, at least.
const STEP: usize = 4096;

/// Where in the answer the next unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Before everything.
    Start,
    /// Between the members of the answer. CBOR may say how many are left.
    Members { first: bool, left: Option<u64> },
    /// Between the records; and what is left of the members after them.
    Records { first: bool, left: Option<u64>, members_left: Option<u64> },
    /// Behind everything.
    Done,
}

/// Reads one answer, fed in chunks that may be cut anywhere.
#[derive(Debug)]
pub(crate) struct Parser {
    format: WireFormat,
    state: State,
    found: Found,
    /// The start of a unit that has not come whole.
    carry: Vec<u8>,
    /// Below this length of the start it is not looked at again: a long unit would be read again for every chunk.
    enough: usize,
}

impl Parser {
    pub(crate) fn new(format: WireFormat) -> Self {
        Self { format, state: State::Start, found: Found::default(), carry: Vec::new(), enough: 0 }
    }

    /// Reads as much as has come.
    ///
    /// # Errors
    ///
    /// When it is not what is read here. The parser is of no use then.
    pub(crate) fn feed(&mut self, chunk: &Bytes) -> Result<(), Refused> {
        let mut at = 0;
        while !self.carry.is_empty() {
            if at == chunk.len() {
                return Ok(());
            }
            let held = self.carry.len();
            let step = held.max(STEP).min(chunk.len() - at);
            self.carry.extend_from_slice(&chunk[at..at + step]);
            at += step;
            if self.carry.len() < self.enough {
                continue;
            }
            let mut carry = std::mem::take(&mut self.carry);
            let end = self.units(Source::Carry(&carry), 0)?;
            if end >= held {
                // What follows the units that began before is read from the chunk, where it lies.
                at -= carry.len() - end;
                self.enough = 0;
                break;
            }
            self.enough = if end == 0 { carry.len() * 2 } else { 0 };
            carry.drain(..end);
            self.carry = carry;
        }
        let read = self.units(Source::Chunk(chunk), at)?;
        self.carry.extend_from_slice(&chunk[read..]);
        Ok(())
    }

    /// What was read, once the body has ended.
    ///
    /// # Errors
    ///
    /// As [`feed`](Self::feed), and when the answer was cut off.
    pub(crate) fn finish(mut self) -> Result<Answer, Refused> {
        let carry = std::mem::take(&mut self.carry);
        let read = self.units(Source::Carry(&carry), 0)?;
        match self.state {
            State::Done if read == carry.len() => self.found.finish(),
            _ => Err(Refused::Cut),
        }
    }

    /// Reads units for as long as they are whole; says where the first that is not begins.
    fn units(&mut self, source: Source<'_>, mut at: usize) -> Result<usize, Refused> {
        while at < source.bytes().len() {
            match self.unit(source, at) {
                Ok(end) => at = end,
                Err(Stop::More) => break,
                Err(stop) => return Err(stop.into()),
            }
        }
        Ok(at)
    }

    /// Reads one unit; says where it ends. Nothing has changed where it is not whole.
    fn unit(&mut self, source: Source<'_>, at: usize) -> Read<usize> {
        let mut scan = Scan::new(source.bytes(), at);
        self.state = match self.format {
            WireFormat::Json => json::unit(self.state, &mut scan, source, &mut self.found)?,
            WireFormat::Cbor => cbor::unit(self.state, &mut scan, source, &mut self.found)?,
        };
        Ok(scan.at)
    }
}
