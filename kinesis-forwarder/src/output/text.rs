//! Numbers, times and foreign text in a form that a terminal shows and people read.

use std::fmt::Write as _;
use std::time::SystemTime;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

/// `count` with its thousands apart: `1,234,567`.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One line for one event; what could move the cursor or ring the bell is escaped.
#[must_use]
pub fn event_line(channel: &str, number: &str, arrived_at: Option<SystemTime>, data: &[u8]) -> String {
    let mut line = String::new();
    push_escaped(&mut line, channel);
    line.push_str("  ");
    push_escaped(&mut line, number);
    line.push_str("  ");
    line.push_str(&arrived_at.map_or_else(|| "-".to_owned(), time));
    line.push_str("  ");
    match std::str::from_utf8(data) {
        Ok(text) => push_escaped(&mut line, text),
        Err(_) => write!(line, "base64:{}", Base64Display::new(data, &STANDARD)).expect("a string takes every write"),
    }
    line
}

/// Lines of cells, as wide as the widest of their column. The first line says what they are.
#[must_use]
pub fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: &[String; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

fn push_escaped(line: &mut String, text: &str) {
    for c in text.chars() {
        if c == '\\' || c.is_control() || is_invisible(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

/// Characters that are no control characters, but turn the direction of a line or end it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `2017-01-27T09:00:52.516Z`. Before 1970 nothing arrived.
#[must_use]
pub fn time(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Year, month and day that lie so many days after 1 January 1970 in the Gregorian calendar.
///
/// Counted from 1 March of the year 0, so that the leap day is a year's last, in eras of 400 years of 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
        let line = event_line("member-registered", "49", Some(at), b"we are streaming events");
        assert_eq!(line, "member-registered  49  2017-01-27T09:00:52.516Z  we are streaming events");
        let hostile = "a\n\u{1b}[2J\u{7}\u{9b}\u{202e}\\n é";
        assert_eq!(event_line("c", "1", None, hostile.as_bytes()), r"c  1  -  a\n\u{1b}[2J\u{7}\u{9b}\u{202e}\\n é");
        assert_eq!(event_line("c", "1", None, b"\xff\xfe"), "c  1  -  base64://4=");
    }

    #[test]
    fn dates_know_leap_years() {
        let date_of = |seconds: u64| date(seconds / 86_400);
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(date_of(951_782_400), (2000, 2, 29));
        assert_eq!(date_of(4_107_542_399), (2100, 2, 28));
        assert_eq!(date_of(4_107_542_400), (2100, 3, 1));
        assert_eq!(date_of(253_402_300_799), (9999, 12, 31));
    }
}
