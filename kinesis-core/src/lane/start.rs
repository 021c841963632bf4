//! Where a lane starts when the feed opened for all of them starts lower: what it already has, it drops. Pure.

use std::cmp::Ordering;
use std::time::SystemTime;

use crate::lease::CursorPosition;
use crate::record::Record;
use crate::shard::StartPosition;

/// Where a lane wants to go on, and when the last record it has settled had arrived, where known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) position: StartPosition,
    pub(crate) arrived_at: Option<SystemTime>,
}

impl Start {
    pub(crate) const fn new(position: StartPosition, arrived_at: Option<SystemTime>) -> Self {
        Self { position, arrived_at }
    }

    /// Which of two starts comes first in a shard; `None` when that cannot be told.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        use StartPosition::{After, At, Latest, Timestamp, TrimHorizon};
        let numbered = |start: &Self| matches!(start.position, At(_) | After(_));
        match (self.position, other.position) {
            (TrimHorizon, TrimHorizon) | (Latest, Latest) => Some(Ordering::Equal),
            (TrimHorizon, _) => Some(Ordering::Less),
            (_, TrimHorizon) => Some(Ordering::Greater),
            (Timestamp(a), Timestamp(b)) => Some(a.cmp(&b)),
            (Timestamp(time), _) if numbered(other) => Some(time.cmp(&other.arrived_at?)),
            (_, Timestamp(time)) if numbered(self) => Some(self.arrived_at?.cmp(&time)),
            _ if numbered(self) && numbered(other) => {
                Some(CursorPosition::Next(self.position).compare(&CursorPosition::Next(other.position)))
            }
            _ => None,
        }
    }
}

/// Where a feed for all of `starts` opens: at the lowest, or at the horizon where they cannot be compared. `Latest` can
/// only be shared with itself, since no record tells whether it is past it; then there is no answer.
pub(crate) fn lowest(starts: &[Start]) -> Option<StartPosition> {
    let latest = starts.iter().filter(|start| start.position == StartPosition::Latest).count();
    if latest > 0 {
        return (latest == starts.len()).then_some(StartPosition::Latest);
    }
    let mut lowest = *starts.first()?;
    for start in &starts[1..] {
        match start.compare(&lowest) {
            Some(Ordering::Less) => lowest = *start,
            Some(_) => {}
            None => return Some(StartPosition::TrimHorizon),
        }
    }
    Some(lowest.position)
}

/// How many of `records`, which a feed read on the way to `start`, a lane has already; all of them means that there may
/// be more.
pub(crate) fn already_had(start: StartPosition, records: &[Record]) -> usize {
    match start {
        StartPosition::Latest => 0,
        _ => start.index_in(records),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn after(n: u64, arrived: Option<u64>) -> Start {
        Start::new(StartPosition::After(SequenceNumber::from(n)), arrived.map(at))
    }

    fn of(position: StartPosition) -> Start {
        Start::new(position, None)
    }

    #[test]
    fn the_feed_opens_at_the_lowest_start() {
        let timestamp = of(StartPosition::Timestamp(at(50)));
        assert_eq!(lowest(&[after(9, None), after(3, None)]), Some(after(3, None).position));
        assert_eq!(lowest(&[after(9, None), of(StartPosition::TrimHorizon)]), Some(StartPosition::TrimHorizon));
        assert_eq!(lowest(&[after(9, Some(40)), timestamp]), Some(after(9, None).position));
        assert_eq!(lowest(&[timestamp, after(9, Some(60))]), Some(timestamp.position));
        assert_eq!(lowest(&[timestamp, after(9, None)]), Some(StartPosition::TrimHorizon));
        assert_eq!(lowest(&[]), None);
    }

    #[test]
    fn the_tip_can_only_be_shared_with_itself() {
        let latest = of(StartPosition::Latest);
        assert_eq!(lowest(&[latest, latest]), Some(StartPosition::Latest));
        assert_eq!(lowest(&[latest, after(3, None)]), None);
    }
}
