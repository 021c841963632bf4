//! What the service checks of a request before it looks at any stream, in its own words.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::refusal::Refusal;

fn violated(value: impl Display, member: &str, constraint: impl Display) -> Refusal {
    let text = format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: Member must {constraint}"
    );
    Refusal::new("ValidationException", text)
}

/// A member that has to be there.
pub(super) fn required<T>(member: &str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| violated("null", member, "not be null"))
}

/// A number between two bounds, or the default where the request has none.
pub(super) fn within(
    member: &str,
    value: Option<i64>,
    bounds: RangeInclusive<usize>,
    default: usize,
) -> Result<usize, Refusal> {
    let Some(value) = value else { return Ok(default) };
    let (low, high) = bounds.into_inner();
    match usize::try_from(value) {
        Ok(number) if number > high => {
            Err(violated(format!("'{value}'"), member, format!("have value less than or equal to {high}")))
        }
        Ok(number) if number >= low => Ok(number),
        _ => Err(violated(format!("'{value}'"), member, format!("have value greater than or equal to {low}"))),
    }
}

/// A length between two bounds. The value itself is not told: it may be long.
pub(super) fn length(member: &str, length: usize, bounds: RangeInclusive<usize>) -> Result<(), Refusal> {
    let (low, high) = bounds.into_inner();
    let constraint = match length {
        short if short < low => format!("have length greater than or equal to {low}"),
        long if long > high => format!("have length less than or equal to {high}"),
        _ => return Ok(()),
    };
    Err(violated(format!("of length {length}"), member, constraint))
}

/// The name of a stream or consumer: 1 to 128 letters, digits, `_`, `.` and `-`.
pub(super) fn name(member: &str, name: &str) -> Result<(), Refusal> {
    length(member, name.chars().count(), 1..=128)?;
    match name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        true => Ok(()),
        false => Err(violated(format!("'{name}'"), member, "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")),
    }
}

/// A word of a fixed set.
pub(super) fn one_of<T: Copy>(member: &str, word: &str, set: &[(&str, T)]) -> Result<T, Refusal> {
    let found = set.iter().find(|(known, _)| *known == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = set.iter().map(|(known, _)| *known).collect();
        violated(format!("'{word}'"), member, format!("satisfy enum value set: [{}]", words.join(", ")))
    })
}
