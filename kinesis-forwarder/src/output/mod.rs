//! What people see: a live line while records move, a table at the end, one line an event.

mod live;
mod summary;
mod text;
mod tip;

use std::io::{self, Write as _};

pub use live::{Progress, Tracked, show};
pub use summary::table;
pub use text::{columns, count, event_line, time};
pub use tip::to_tip;

/// Writes to standard output. When nobody reads it any more, the work goes on unseen.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes one line to standard error, seen or not.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
