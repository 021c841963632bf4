//! The bytes of the input on their way to the JSON reader: counted for each value, so that none grows without bound.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// One read of the input. What is parsed out of it goes on together, so it also sizes the chunks of records.
const READ_BYTES: usize = 64 << 10;

/// How much of the current value has passed, and where it began. Shared by who passes bytes and who parses values.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Bytes of the current value, without what escapes add; 0 before its first.
    bytes: Cell<usize>,
    limit: usize,
    /// What the next bytes belong to.
    escape: Cell<Escape>,
    line: Cell<u64>,
    column: Cell<u64>,
    began: Cell<(u64, u64)>,
}

/// Where in an escape sequence the next byte stands. A backslash outside of a string is no JSON, so strings need not be
/// told from the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Escape {
    No,
    AfterBackslash,
    /// So many hexadecimal digits are to come.
    Unicode(u8),
}

impl Gauge {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Cell::new(0),
            limit,
            escape: Cell::new(Escape::No),
            line: Cell::new(1),
            column: Cell::new(0),
            began: Cell::new((1, 1)),
        }
    }

    /// A new value begins with the next byte that is neither blank nor a comma.
    pub(super) fn begin(&self) {
        self.bytes.set(0);
    }

    /// Whether nothing of the current value has passed.
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.get() == 0
    }

    /// Whether the current value outgrew the limit.
    pub(super) fn is_over(&self) -> bool {
        self.bytes.get() > self.limit
    }

    /// Line and column of the value's first byte.
    pub(super) fn began(&self) -> (u64, u64) {
        self.began.get()
    }

    /// Line and column of the last byte that passed.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.line.get(), self.column.get())
    }

    fn pass(&self, byte: u8) {
        if byte == b'\n' {
            self.line.set(self.line.get() + 1);
            self.column.set(0);
        } else {
            self.column.set(self.column.get() + 1);
        }
        if self.is_blank() {
            if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',') {
                return;
            }
            self.began.set(self.place());
        }
        let (counts, next) = match (self.escape.get(), byte) {
            (Escape::No, b'\\') => (0, Escape::AfterBackslash),
            (Escape::AfterBackslash, b'u') => (1, Escape::Unicode(4)),
            (Escape::Unicode(1), _) => (0, Escape::No),
            (Escape::Unicode(more), _) => (0, Escape::Unicode(more - 1)),
            (Escape::No | Escape::AfterBackslash, _) => (1, Escape::No),
        };
        self.escape.set(next);
        self.bytes.set(self.bytes.get() + counts);
    }
}

/// A reader that counts what passes on a [`Gauge`], stops at its limit, and says when it is about to wait for input.
pub(super) struct Gauged<R, F> {
    input: R,
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
    gauge: Rc<Gauge>,
    before_wait: F,
}

impl<R: Read, F: FnMut() -> io::Result<()>> Gauged<R, F> {
    /// Reads `input`; calls `before_wait` before each read, and stops where that fails.
    pub(super) fn new(input: R, gauge: Rc<Gauge>, before_wait: F) -> Self {
        Self { input, buffer: vec![0; READ_BYTES].into(), from: 0, to: 0, gauge, before_wait }
    }

    fn fill(&mut self) -> io::Result<()> {
        (self.before_wait)()?;
        self.from = 0;
        self.to = loop {
            match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        Ok(())
    }
}

impl<R: Read, F: FnMut() -> io::Result<()>> Read for Gauged<R, F> {
    /// Passes one byte: the JSON reader asks for one at a time, since it must not read past the value it parses.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(slot) = out.first_mut() else { return Ok(0) };
        if self.from == self.to {
            self.fill()?;
        }
        let Some(byte) = self.buffer[self.from..self.to].first() else { return Ok(0) };
        self.gauge.pass(*byte);
        if self.gauge.is_over() {
            return Err(io::Error::other("the value is too large"));
        }
        *slot = *byte;
        self.from += 1;
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(limit: usize, text: &str) -> Gauge {
        let gauge = Gauge::new(limit);
        text.bytes().for_each(|byte| gauge.pass(byte));
        gauge
    }

    #[test]
    fn an_escape_counts_as_the_one_character_that_it_stands_for() {
        assert_eq!(gauge(99, r#""\n\u00e9\\u\"x""#).bytes.get(), 8, "two quotes, \\n, \\u00e9, \\\\, u, \\\", x");
    }

    #[test]
    fn blanks_and_commas_before_a_value_do_not_count() {
        let gauge = gauge(3, " ,\r\n  abc");
        assert!(!gauge.is_over() && !gauge.is_blank());
        assert_eq!((gauge.began(), gauge.place()), ((2, 3), (2, 5)));
        gauge.pass(b'd');
        assert!(gauge.is_over());
    }
}
