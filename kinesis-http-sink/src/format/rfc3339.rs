//! Times as RFC 3339 writes them.

use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

/// A time in UTC, to the millisecond; none for one that has no four digits for its year.
pub(super) fn write(time: SystemTime) -> Option<String> {
    let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).ok()?,
        Err(before) => -i128::try_from(before.duration().as_nanos()).ok()?,
    };
    // Not converted as it is: that panics for what has more digits, and a record may have arrived whenever it says.
    let time = UtcDateTime::from_unix_timestamp_nanos(nanos).ok()?.truncate_to_millisecond();
    time.format(&Rfc3339).ok()
}

/// Reads a time, wherever it is noon there.
pub(super) fn read(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_milliseconds_and_are_read_in_any_zone() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_545_084_650_987);
        assert_eq!(write(time + Duration::from_nanos(7)).as_deref(), Some("2018-12-17T22:10:50.987Z"));
        assert_eq!(read("2018-12-17T23:10:50.987+01:00"), Some(time));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn a_time_beyond_four_digits_is_none() {
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(write(SystemTime::UNIX_EPOCH + day * 366 * 8100), None);
        assert_eq!(write(SystemTime::UNIX_EPOCH - day * 366 * 12_000), None);
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59"] {
            assert!(read(text).is_none_or(|time| write(time).is_none()), "{text}");
        }
    }
}
