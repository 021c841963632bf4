//! Where reading starts or goes on in a shard, and which of two such places comes first. Pure.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use crate::lease::CursorPosition;
use crate::record::{Record, SequenceNumber};
use crate::shard::StartPosition;

/// Lanes this near to the furthest one share the front reader from the beginning: it costs that one less than a reader
/// more. Cursors are stored every second, so after a restart most lie closer.
const NEAR: Duration = Duration::from_secs(10);

/// Where somebody wants to go on, and until when everything that had arrived is settled or read, where known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) position: StartPosition,
    pub(crate) arrived_at: Option<SystemTime>,
    /// Whether the record at the place was seen there. Otherwise "at" may name one that never was.
    seen: bool,
}

impl Start {
    pub(crate) const fn new(position: StartPosition, arrived_at: Option<SystemTime>) -> Self {
        Self { position, arrived_at, seen: false }
    }

    /// At a record that was seen there and not had.
    pub(crate) const fn at_seen(number: SequenceNumber) -> Self {
        Self { position: StartPosition::At(number), arrived_at: None, seen: true }
    }

    /// The same time at another position.
    pub(crate) const fn moved(self, position: StartPosition) -> Self {
        Self::new(position, self.arrived_at)
    }

    /// Whether it is at a record, and not at a time, the horizon or the tip.
    pub(crate) const fn is_numbered(&self) -> bool {
        matches!(self.position, StartPosition::At(_) | StartPosition::After(_))
    }

    /// The record that tells, asked for here, whether something is missing: the one that was had last, or one that was seen
    /// and is still to come.
    pub(crate) const fn witness(&self) -> Option<SequenceNumber> {
        match self.position {
            StartPosition::After(number) => Some(number),
            StartPosition::At(number) if self.seen => Some(number),
            _ => None,
        }
    }

    /// Which of two starts comes first in a shard; `None` when that cannot be told.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        use StartPosition::{Latest, Timestamp, TrimHorizon};
        let numbered = Self::is_numbered;
        // Records that had arrived at the very time belong behind the time.
        let before = |time: SystemTime, start: &Self| {
            Some(if time <= start.arrived_at? { Ordering::Less } else { Ordering::Greater })
        };
        match (self.position, other.position) {
            (TrimHorizon, TrimHorizon) | (Latest, Latest) => Some(Ordering::Equal),
            (TrimHorizon, _) => Some(Ordering::Less),
            (_, TrimHorizon) => Some(Ordering::Greater),
            (Timestamp(a), Timestamp(b)) => Some(a.cmp(&b)),
            (Timestamp(time), _) if numbered(other) => before(time, other),
            (_, Timestamp(time)) if numbered(self) => before(time, self).map(Ordering::reverse),
            _ if numbered(self) && numbered(other) => {
                Some(CursorPosition::Next(self.position).compare(&CursorPosition::Next(other.position)))
            }
            _ => None,
        }
    }

    /// Whether every record behind `other` is behind this place too, as far as can be told.
    pub(crate) fn is_at_or_before(&self, other: &Self) -> bool {
        self.compare(other).is_some_and(Ordering::is_le)
    }

    /// Whether this place is known to lie behind `record`: whoever goes on here has had it.
    pub(crate) fn has_had(&self, record: &Record) -> bool {
        match self.position {
            StartPosition::At(number) => record.sequence_number < number,
            StartPosition::After(number) => record.sequence_number <= number,
            StartPosition::Timestamp(time) => record.arrived_at.is_some_and(|at| at < time),
            _ => false,
        }
    }

    /// How many of `records`, which a reader met on the way here, whoever goes on here has had; all of them means that
    /// there may be more.
    pub(crate) fn had_of(&self, records: &[Record]) -> usize {
        match self.position {
            StartPosition::Latest => 0,
            position => position.index_in(records),
        }
    }

    /// The time that tells how far this place is from others.
    fn time(&self) -> Option<SystemTime> {
        match self.position {
            StartPosition::Timestamp(time) => Some(time),
            StartPosition::At(_) | StartPosition::After(_) => self.arrived_at,
            _ => None,
        }
    }

    /// Whether the way from here to `other` is short, as far as can be told, and one reader can serve both.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        if self.witness().is_some() != other.witness().is_some() {
            return false;
        }
        let short = |a: SystemTime, b: SystemTime| b.duration_since(a).is_ok_and(|distance| distance <= NEAR);
        self.position == other.position || self.time().zip(other.time()).is_some_and(|(a, b)| short(a, b))
    }
}

/// Where one reader for all of `starts` opens: at the lowest, or at the horizon where they cannot be compared. `Latest`
/// can only be shared with itself, since no record tells whether it is past it; then there is no answer.
pub(crate) fn lowest<'a>(starts: impl IntoIterator<Item = &'a Start>) -> Option<Start> {
    let mut starts = starts.into_iter();
    let mut lowest = *starts.next()?;
    for start in starts {
        let is_latest = |start: &Start| start.position == StartPosition::Latest;
        if is_latest(start) != is_latest(&lowest) {
            return None;
        }
        match start.compare(&lowest) {
            Some(Ordering::Less) => lowest = *start,
            Some(_) => {}
            None => lowest = Start::new(StartPosition::TrimHorizon, None),
        }
    }
    Some(lowest)
}

/// Where the front reader opens for `starts`: at the lowest of those near the furthest. The others catch up.
pub(crate) fn front(starts: &[Start]) -> Option<Start> {
    let further = |a: &&Start, b: &&Start| {
        let rank = |start: &Start| match start.position {
            StartPosition::TrimHorizon => 0,
            StartPosition::Latest => 2,
            _ => 1,
        };
        rank(a).cmp(&rank(b)).then_with(|| a.compare(b).unwrap_or(Ordering::Equal))
    };
    let furthest = starts.iter().max_by(further)?;
    lowest(starts.iter().filter(|start| start.is_near(furthest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn after(n: u64, arrived: Option<u64>) -> Start {
        Start::new(StartPosition::After(SequenceNumber::from(n)), arrived.map(at))
    }

    fn of(position: StartPosition) -> Start {
        Start::new(position, None)
    }

    fn time(seconds: u64) -> Start {
        of(StartPosition::Timestamp(at(seconds)))
    }

    const HORIZON: Start = Start::new(StartPosition::TrimHorizon, None);
    const LATEST: Start = Start::new(StartPosition::Latest, None);

    #[test]
    fn one_reader_for_all_opens_at_the_lowest_start() {
        assert_eq!(lowest(&[after(9, None), after(3, None)]), Some(after(3, None)));
        assert_eq!(lowest(&[after(9, None), HORIZON]), Some(HORIZON));
        assert_eq!(lowest(&[after(9, Some(40)), time(50)]), Some(after(9, Some(40))));
        assert_eq!(lowest(&[time(50), after(9, Some(60))]), Some(time(50)));
        assert_eq!(lowest(&[time(50), after(9, None)]), Some(HORIZON));
        assert_eq!(lowest(&[]), None);
    }

    /// The record that had arrived at the very time was passed over by the subscription that started there.
    #[test]
    fn a_time_comes_before_the_place_behind_a_record_of_that_time() {
        assert_eq!(lowest(&[after(9, Some(50)), time(50)]), Some(time(50)));
        assert_eq!(lowest(&[time(50), after(9, Some(50))]), Some(time(50)));
    }

    #[test]
    fn the_tip_can_only_be_shared_with_itself() {
        assert_eq!(lowest(&[LATEST, LATEST]), Some(LATEST));
        assert_eq!((lowest(&[LATEST, after(3, None)]), lowest(&[after(3, None), LATEST])), (None, None));
    }

    #[test]
    fn the_front_is_where_the_furthest_are_and_who_is_far_behind_does_not_move_it() {
        let near = [after(9, Some(100)), after(7, Some(95)), after(2, Some(50)), HORIZON];
        assert_eq!(front(&near), Some(after(7, Some(95))));
        assert_eq!(front(&[HORIZON, HORIZON]), Some(HORIZON));
        assert_eq!(front(&[LATEST, after(3, Some(5)), LATEST]), Some(LATEST));
        assert_eq!(front(&[after(3, None), after(9, None)]), Some(after(9, None)), "how far is not known");
    }
}
