//! What a record is about, and which of it a subscription takes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::record::{Channel, Record};

/// A function that finds a record's channel.
pub type ChannelFn = Arc<dyn Fn(&Record) -> Option<Channel> + Send + Sync>;

/// How a record's channel is found.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ChannelFrom {
    /// The partition key is the channel.
    #[default]
    PartitionKey,
    /// A field at the top of a JSON payload is the channel: a string as it is, a number or a boolean as JSON writes it.
    /// A record without such a field keeps its partition key.
    JsonField(String),
    /// A function of the record; where it returns `None`, the partition key is the channel.
    Function(ChannelFn),
}

impl ChannelFrom {
    /// The channel is this field of a JSON payload.
    pub fn json_field(name: impl Into<String>) -> Self {
        Self::JsonField(name.into())
    }

    /// The channel is what `f` says.
    pub fn function(f: impl Fn(&Record) -> Option<Channel> + Send + Sync + 'static) -> Self {
        Self::Function(Arc::new(f))
    }

    /// What `record` is about.
    #[must_use]
    pub fn channel_of(&self, record: &Record) -> Channel {
        let found = match self {
            Self::PartitionKey => None,
            Self::JsonField(name) => json_field(&record.data, name),
            Self::Function(f) => f(record),
        };
        found.unwrap_or_else(|| Channel::from(&*record.partition_key))
    }

    /// One channel a record, or `None` when the partition key is every record's channel.
    pub(crate) fn channels_of(&self, records: &[Record]) -> Option<Vec<Channel>> {
        match self {
            Self::PartitionKey => None,
            _ => Some(records.iter().map(|record| self.channel_of(record)).collect()),
        }
    }
}

impl fmt::Debug for ChannelFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartitionKey => f.write_str("PartitionKey"),
            Self::JsonField(name) => f.debug_tuple("JsonField").field(name).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

/// The scalar at the top-level field `name` of a JSON object; `None` for anything else.
fn json_field(data: &[u8], name: &str) -> Option<Channel> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Bool(bool),
        Number(serde_json::Number),
    }
    // Only the one field is built; the others are skipped over as they are read.
    struct Field<'a>(&'a str);
    impl<'de> serde::de::Visitor<'de> for Field<'_> {
        type Value = Option<Channel>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                if key == self.0 && found.is_none() {
                    found = match map.next_value::<Scalar>() {
                        Ok(Scalar::Text(text)) => Some(Channel::from(text)),
                        Ok(Scalar::Bool(value)) => Some(Channel::from(value.to_string())),
                        Ok(Scalar::Number(number)) => Some(Channel::from(number.to_string())),
                        Err(_) => return Ok(None),
                    };
                } else {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let mut json = serde_json::Deserializer::from_slice(data);
    serde::Deserializer::deserialize_map(&mut json, Field(name)).ok().flatten()
}

/// Which channels a subscription takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Selector {
    /// Every channel.
    #[default]
    All,
    /// These channels and no other.
    Only(BTreeSet<Channel>),
}

impl Selector {
    /// Takes these channels.
    pub fn only<C: Into<Channel>>(channels: impl IntoIterator<Item = C>) -> Self {
        Self::Only(channels.into_iter().map(Into::into).collect())
    }

    /// Whether records of `channel` are taken.
    #[must_use]
    pub fn takes(&self, channel: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(channels) => channels.contains(channel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SequenceNumber;

    fn channel(from: &ChannelFrom, data: &'static str) -> String {
        let record = Record::new(SequenceNumber::ZERO, "the-key", data);
        from.channels_of(&[record]).unwrap().remove(0).to_string()
    }

    #[test]
    fn the_field_of_a_json_payload_is_the_channel() {
        let from = ChannelFrom::json_field("type");
        assert_eq!(channel(&from, r#"{"a":{"type":"inner"},"type":"joined"}"#), "joined");
        assert_eq!(channel(&from, r#"{"type":7}"#), "7");
        assert_eq!(channel(&from, r#"{"type":true}"#), "true");
        assert_eq!(channel(&from, r#"{"ty\u0070e":"escaped"}"#), "escaped");
        for without in [r#"{"kind":"x"}"#, r#"{"type":{}}"#, r#"{"type":null}"#, "[1]", "not json", "", "{\"type\":"] {
            assert_eq!(channel(&from, without), "the-key", "{without}");
        }
    }

    #[test]
    fn a_function_may_leave_a_record_its_key() {
        let from = ChannelFrom::function(|record| (record.data.len() > 1).then(|| Channel::from("long")));
        assert_eq!(channel(&from, "xx"), "long");
        assert_eq!(channel(&from, "x"), "the-key");
    }

    #[test]
    fn a_selector_takes_its_channels() {
        assert!(Selector::All.takes("anything"));
        let only = Selector::only(["a", "b"]);
        assert!(only.takes("a") && !only.takes("c"));
    }
}
