//! How far a run is behind the tip of its stream, and when it is there.

use std::time::Duration;

use kinesis_core::pipeline::{Status, ToTip};

/// The lanes that decide: those furthest behind. Nothing where nothing is known yet.
#[must_use]
pub fn to_tip(status: &Status) -> Option<String> {
    let lanes = || status.subscriptions.values().flat_map(|subscription| subscription.shards.values());
    let behind = lanes().filter_map(|lane| lane.lag).max()?;
    if lanes().any(|lane| lane.to_tip == ToTip::Never) {
        return Some(format!("{} behind and not coming closer", rough(behind)));
    }
    let left = lanes().filter_map(|lane| match lane.to_tip {
        ToTip::In(left) => Some(left),
        _ => None,
    });
    Some(match left.max() {
        Some(left) => format!("{} behind, at the tip in {}", rough(behind), rough(left)),
        None if lanes().all(|lane| lane.to_tip == ToTip::AtTip) => "at the tip".to_owned(),
        None => format!("{} behind", rough(behind)),
    })
}

/// A time in its largest unit, as people say it.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_their_largest_unit() {
        let said = [0, 119, 120, 7199, 7200].map(|seconds| rough(Duration::from_secs(seconds)));
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h"]);
    }

    #[test]
    fn nothing_is_said_while_nothing_is_known() {
        assert_eq!(to_tip(&Status::default()), None);
    }
}
