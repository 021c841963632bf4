//! The one place that reads the wall clock. Everything else waits and measures on tokio's clock.

use std::time::{Instant, SystemTime};

/// The time of day, shifted by as much as tokio's clock was moved: on a paused clock a virtual day later is a day later
/// here too.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this file is where the clocks meet")]
pub fn now() -> SystemTime {
    let virtual_now = tokio::time::Instant::now().into_std();
    let real_now = Instant::now();
    let now = SystemTime::now();
    match virtual_now.checked_duration_since(real_now) {
        Some(ahead) => now + ahead,
        None => now - real_now.duration_since(virtual_now),
    }
}
