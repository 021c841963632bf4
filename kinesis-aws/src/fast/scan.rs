//! A place in bytes that may not have come whole yet.

use super::Refused;

/// Why a unit was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has not come whole.
    More,
    /// It is not what is read here.
    Bad(&'static str),
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::More => Self::Cut,
            Stop::Bad(why) => Self::Unknown(why),
        }
    }
}

/// The result of reading a part of a unit.
pub(super) type Read<T> = Result<T, Stop>;

/// Bytes, and how far they are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn peek(&self) -> Read<u8> {
        self.bytes.get(self.at).copied().ok_or(Stop::More)
    }

    pub(super) fn next(&mut self) -> Read<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let taken = self.rest().get(..count).ok_or(Stop::More)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}
