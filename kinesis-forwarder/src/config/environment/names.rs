//! Which variables there are: one for each field of a configuration, and how its value is written.

/// What goes before every one of them.
pub(super) const PREFIX: &str = "KINESIS_FORWARDER_";
/// The section of subscribers, as variables have it.
pub(super) const SUBSCRIBERS: &str = "SUBSCRIBERS_";

/// How the value of a variable is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Written {
    /// As it is: a text, a number, true or false.
    Plain,
    /// Texts with commas between.
    List,
    /// A word, or texts with commas between.
    WordOrList,
    /// Secrets, or where they are, with commas between.
    Secrets,
    /// Lines like those of a request.
    Headers,
}

use Written::{Headers, List, Plain, Secrets, WordOrList};

/// Every field outside of subscribers; each is [`Plain`].
pub(in crate::config) const FIELDS: [&str; 12] = [
    "source.stream",
    "source.endpoint",
    "source.region",
    "source.consumer",
    "source.start",
    "source.input",
    "source.from_json_field",
    "state.file",
    "state.table",
    "state.dynamodb",
    "server.listen",
    "server.stalled_after",
];

/// Every field of a subscriber.
pub(in crate::config) const OF_SUBSCRIBERS: [(&str, Written); 40] = [
    ("name", Plain),
    ("url", Plain),
    ("url.env", Plain),
    ("url.file", Plain),
    ("channels", List),
    ("format", Plain),
    ("cloud_events.source", Plain),
    ("cloud_events.type_prefix", Plain),
    ("cloud_events.data_content_type", Plain),
    ("lambda_event.stream_arn", Plain),
    ("start", Plain),
    ("ordering", Plain),
    ("parallel", Plain),
    ("batch.max_records", Plain),
    ("batch.max_bytes", Plain),
    ("batch.max_wait", Plain),
    ("networks", WordOrList),
    ("ca_file", Plain),
    ("timeout", Plain),
    ("connect_timeout", Plain),
    ("concurrency", Plain),
    ("rate", Plain),
    ("breaker", Plain),
    ("ask_again", List),
    ("conflict_is_delivered", Plain),
    ("on_reject", Plain),
    ("on_gap", Plain),
    ("dead_letters", Plain),
    ("retry.max_age", Plain),
    ("retry.attempts", Plain),
    ("retry.longest_wait", Plain),
    ("secrets", Secrets),
    ("headers", Headers),
    ("bearer", Plain),
    ("bearer.env", Plain),
    ("bearer.file", Plain),
    ("basic.user", Plain),
    ("basic.password", Plain),
    ("basic.password.env", Plain),
    ("basic.password.file", Plain),
];

/// How a field, or a name, is written in a variable.
pub(in crate::config) fn variable(path: &str) -> String {
    path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
