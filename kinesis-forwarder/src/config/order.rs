//! How records reach a subscriber: in which order, together or alone, how often, and what becomes of the others.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use kinesis_core::pipeline::{BatchPolicy, OnGap};
use kinesis_core::{Ordering, RetryPolicy};

use super::Source;
use super::fields::{Fields, Set};
use super::mistakes::not_one_of;
use super::subscriptions::default_max_age;
use crate::cli::duration;

/// The longest wait between two attempts at a record of an input: within a `max_age` of seconds there should be several.
const LONGEST_WAIT_OF_INPUT: Duration = Duration::from_secs(2);

/// What becomes of a record that cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnReject {
    Skip,
    DeadLetter,
    Halt,
}

/// In which order, with so many deliveries at once.
pub(super) fn ordering(fields: &mut Fields<'_>, parallel: u32) -> Ordering {
    let parallel = NonZeroUsize::new(parallel as usize).unwrap_or(NonZeroUsize::MIN);
    let read = fields.read("ordering", "per_key", |text| match text {
        "per_key" => Ok(Ordering::PerKey { parallel }),
        "per_shard" => Ok(Ordering::PerShard),
        "none" => Ok(Ordering::Unordered { parallel }),
        _ => Err(not_one_of("ordering", text, &["per_key", "per_shard", "none"])),
    });
    read.map_or(Ordering::PerKey { parallel }, |set| set.value)
}

/// What becomes of a subscriber when records were trimmed before it had them.
pub(super) fn on_gap(fields: &mut Fields<'_>) -> OnGap {
    let read = fields.read("on_gap", "halt", |text| match text {
        "halt" => Ok(OnGap::Halt),
        "jump" => Ok(OnGap::Jump),
        _ => Err(not_one_of("way to meet a gap", text, &["halt", "jump"])),
    });
    read.map(|set| set.value).unwrap_or_default()
}

/// How records are put together.
pub(super) fn batch(fields: &mut Fields<'_>) -> BatchPolicy {
    let default = BatchPolicy::default();
    let Some(mut batch) = fields.table("batch") else { return default };
    let read = BatchPolicy {
        max_records: batch.number("max_records", 1..=10_000).map_or(default.max_records, |set| set.value as usize),
        max_bytes: batch.number("max_bytes", 1..=64 << 20).map_or(default.max_bytes, |set| set.value as usize),
        max_wait: batch.duration("max_wait", "50ms").map_or(default.max_wait, |set| set.value),
    };
    batch.end();
    read
}

/// How a record is tried again.
pub(super) fn retry(fields: &mut Fields<'_>, source: Option<&Source>) -> RetryPolicy {
    let default = match source {
        Some(Source::Input(_)) => RetryPolicy { cap: LONGEST_WAIT_OF_INPUT, ..RetryPolicy::default() },
        _ => RetryPolicy::default(),
    };
    let default = RetryPolicy { max_age: default_max_age(source), ..default };
    let Some(mut retry) = fields.table("retry") else { return default };
    let read = RetryPolicy {
        max_age: retry.duration("max_age", "24h").map_or(default.max_age, |set| set.value),
        attempts: retry.number("attempts", 1..=u32::MAX).and_then(|set| NonZeroU32::new(set.value)),
        ..default
    };
    let longest = retry.duration("longest_wait", "30s").map_or(default.cap, |set| set.value);
    retry.end();
    waiting_at_most(longest, read)
}

/// No wait is longer than this, the first one neither.
pub(super) fn waiting_at_most(longest: Duration, retry: RetryPolicy) -> RetryPolicy {
    RetryPolicy { base: retry.base.min(longest), cap: longest, ..retry }
}

/// What becomes of records that cannot be delivered; `None` for what fits the source.
pub(super) fn on_reject(fields: &mut Fields<'_>, has_dead_letters: bool) -> Option<OnReject> {
    let found = fields.found();
    let read = fields.read("on_reject", "halt", |text| match text {
        "skip" => Ok(OnReject::Skip),
        "dead_letter" => Ok(OnReject::DeadLetter),
        "halt" => Ok(OnReject::Halt),
        _ => Err(not_one_of("way to meet a rejection", text, &["skip", "dead_letter", "halt"])),
    });
    let Set { value, place } = read?;
    match (value, has_dead_letters) {
        (OnReject::DeadLetter, false) => {
            place.refuse(found, "there is no file for them: write it like dead_letters = \"dead.ndjson\"")
        }
        (OnReject::Skip | OnReject::Halt, true) => {
            place.refuse(found, "there is dead_letters as well, which would stay empty: leave one of the two out")
        }
        (value, _) => Some(value),
    }
}

/// When a refused record is asked for again.
pub(super) fn ask_again(fields: &mut Fields<'_>) -> Option<Vec<Duration>> {
    let found = fields.found();
    let (list, _) = fields.texts("ask_again", "[\"10s\", \"60s\"]")?;
    let one = |Set { value, place }: Set<String>| {
        let read = duration(&value);
        read.map_or_else(|way_out| place.refuse(found, format!("{value:?} is no duration: {way_out}")), Some)
    };
    Some(list.into_iter().filter_map(one).collect())
}
