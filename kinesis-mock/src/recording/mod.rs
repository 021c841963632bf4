//! A sink and an observer that remember what they were given.

mod observer;
mod sink;

pub use observer::RecordingObserver;
pub use sink::RecordingSink;
