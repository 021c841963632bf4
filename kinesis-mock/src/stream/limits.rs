//! What one shard lets its readers read and its writers write, and the account of what they did.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The time over which calls and bytes are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// The read limits of one shard, shared by all its readers.
///
/// When the answers of one second use up its bytes, the shard is closed for as long as they would have taken, from the
/// first of them on: after an answer of 10 MiB that is 5 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// Reads that are answered in any second.
    pub calls_per_second: usize,
    /// Bytes of payloads and partition keys a second.
    pub bytes_per_second: usize,
}

impl ReadLimits {
    /// Limits of `calls_per_second` and `bytes_per_second`.
    #[must_use]
    pub const fn new(calls_per_second: usize, bytes_per_second: usize) -> Self {
        Self { calls_per_second, bytes_per_second }
    }

    /// The limits of the service: 5 calls and 2 MiB a second (quotas page of the Kinesis developer guide).
    #[must_use]
    pub const fn aws() -> Self {
        Self::new(5, 2 << 20)
    }
}

/// What was read of one shard lately.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    recent: VecDeque<(Instant, usize)>,
    closed_until: Option<Instant>,
}

impl Traffic {
    /// Whether a read is allowed now; if not, how long it has to wait.
    pub(crate) fn admit(&mut self, limits: &ReadLimits, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        while self.recent.front().is_some_and(|(at, _)| *at + WINDOW <= now) {
            self.recent.pop_front();
        }
        match self.recent.front() {
            Some((oldest, _)) if self.recent.len() >= limits.calls_per_second => Err(*oldest + WINDOW - now),
            _ => Ok(()),
        }
    }

    /// Counts an answered read of `bytes`.
    pub(crate) fn spend(&mut self, limits: &ReadLimits, now: Instant, bytes: usize) {
        self.recent.push_back((now, bytes));
        let spent: usize = self.recent.iter().map(|(_, bytes)| bytes).sum();
        if spent >= limits.bytes_per_second {
            // From the first of them on: what was read since has taken its time already.
            let since = self.recent.front().map_or(now, |(at, _)| *at);
            let takes = Duration::from_secs_f64(spent as f64 / limits.bytes_per_second.max(1) as f64);
            self.closed_until = Some(since + takes.max(WINDOW));
        }
    }
}

/// The write limits of one shard, shared by all its writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteLimits {
    /// Records that are taken in any second.
    pub records_per_second: usize,
    /// Bytes of payloads and partition keys that are taken in any second.
    pub bytes_per_second: usize,
}

impl WriteLimits {
    /// Limits of `records_per_second` and `bytes_per_second`.
    #[must_use]
    pub const fn new(records_per_second: usize, bytes_per_second: usize) -> Self {
        Self { records_per_second, bytes_per_second }
    }

    /// The limits of the service: 1,000 records and 1 MiB a second (quotas page of the Kinesis developer guide).
    #[must_use]
    pub const fn aws() -> Self {
        Self::new(1000, 1 << 20)
    }
}

/// What was written to one shard lately.
#[cfg(feature = "wire")]
#[derive(Debug, Default)]
pub(crate) struct Written {
    recent: VecDeque<(Instant, usize)>,
    bytes: usize,
}

#[cfg(feature = "wire")]
impl Written {
    /// Takes a record of `size` bytes; if there is no room now, says how long it has to wait.
    ///
    /// A record that is larger than a second's bytes is taken when nothing else was: else it never could be.
    pub(crate) fn admit(&mut self, limits: &WriteLimits, now: Instant, size: usize) -> Result<(), Duration> {
        while let Some((_, aged)) = self.recent.pop_front_if(|(at, _)| *at + WINDOW <= now) {
            self.bytes -= aged;
        }
        let is_full = self.recent.len() >= limits.records_per_second || self.bytes + size > limits.bytes_per_second;
        match self.recent.front() {
            Some((oldest, _)) if is_full => Err(*oldest + WINDOW - now),
            _ => {
                self.recent.push_back((now, size));
                self.bytes += size;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_calls_a_second_are_answered_and_the_sixth_waits_for_the_first_to_age() {
        let limits = ReadLimits::aws();
        let mut traffic = Traffic::default();
        let start = Instant::now();
        for i in 0..5 {
            let now = start + Duration::from_millis(i * 100);
            assert_eq!(traffic.admit(&limits, now), Ok(()));
            traffic.spend(&limits, now, 10);
        }
        let sixth = start + Duration::from_millis(500);
        assert_eq!(traffic.admit(&limits, sixth), Err(Duration::from_millis(500)));
        assert_eq!(traffic.admit(&limits, start + WINDOW), Ok(()));
    }

    #[test]
    fn a_full_answer_closes_the_shard_for_five_seconds() {
        let limits = ReadLimits::aws();
        let mut traffic = Traffic::default();
        let start = Instant::now();
        traffic.spend(&limits, start, 10 << 20);
        assert_eq!(traffic.admit(&limits, start), Err(Duration::from_secs(5)));
        assert_eq!(traffic.admit(&limits, start + Duration::from_secs(4)), Err(WINDOW));
        assert_eq!(traffic.admit(&limits, start + Duration::from_secs(5)), Ok(()));
    }

    /// Bytes of a second that were spread over it were waited for twice: whoever kept to 2 MiB a second got 1.2.
    #[test]
    fn whoever_waits_for_as_long_as_his_bytes_take_is_never_refused() {
        let limits = ReadLimits::aws();
        let (mut traffic, mut now) = (Traffic::default(), Instant::now());
        for bytes in [1_100_000, 510_000, 810_000, 1_100_000, 1_500_000, 510_000].repeat(20) {
            assert_eq!(traffic.admit(&limits, now), Ok(()));
            traffic.spend(&limits, now, bytes);
            now += Duration::from_secs_f64(bytes as f64 / limits.bytes_per_second as f64) + Duration::from_nanos(9);
        }
    }

    #[cfg(feature = "wire")]
    #[test]
    fn a_second_takes_a_thousand_records_or_a_mebibyte_and_one_large_record_alone() {
        let (limits, start) = (WriteLimits::aws(), Instant::now());
        let mut written = Written::default();
        for _ in 0..1000 {
            assert_eq!(written.admit(&limits, start, 10), Ok(()));
        }
        assert_eq!(written.admit(&limits, start, 10), Err(WINDOW));
        let later = start + WINDOW;
        assert_eq!(written.admit(&limits, later, 1 << 20), Ok(()));
        assert_eq!(written.admit(&limits, later, 1), Err(WINDOW));
        assert_eq!(written.admit(&limits, later + WINDOW, 10 << 20), Ok(()));
    }
}
