//! Times: seconds since 1970 with a fraction in JSON, tagged whole milliseconds in CBOR.

use std::time::{Duration, SystemTime};

use ciborium::tag::{Accepted, Required};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The CBOR tag of a time since 1970 (RFC 8949, section 3.4.2), which AWS's own clients fill with milliseconds.
const EPOCH: u64 = 1;

/// A time as the wire carries it, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::wire) struct Timestamp(u64);

impl Timestamp {
    /// None for a time that no clock shows: before 1970, or further away than the history of mankind is long.
    fn from_millis(millis: f64) -> Option<Self> {
        let millis = millis.round();
        (0.0..1e16).contains(&millis).then_some(Self(millis as u64))
    }

    pub(in crate::wire) fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        } else {
            Required::<u64, EPOCH>(self.0).serialize(serializer)
        }
    }
}

/// What a CBOR time may hold: milliseconds as a whole number, or seconds as one with a fraction.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Millis(i64),
    Seconds(f64),
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = if deserializer.is_human_readable() {
            f64::deserialize(deserializer)? * 1000.0
        } else {
            match Accepted::<Number, EPOCH>::deserialize(deserializer)?.0 {
                Number::Millis(millis) => millis as f64,
                Number::Seconds(seconds) => seconds * 1000.0,
            }
        };
        Self::from_millis(millis).ok_or_else(|| de::Error::custom(format!("no clock shows {millis} ms since 1970")))
    }
}
