//! What people see: a live line while records move, a table at the end, one line an event.

mod live;
mod summary;
mod text;

pub use live::{Progress, Tracked, show};
pub use summary::table;
pub use text::{count, event_line};
