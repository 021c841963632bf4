//! Opaque tokens: a place and the time of issue, so that the door itself remembers nothing.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_core::{ShardId, StartPosition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::shards::ShardFilter;

/// Where a shard iterator stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct IteratorToken {
    pub(super) stream: String,
    pub(super) shard: ShardId,
    pub(super) position: StartPosition,
    pub(super) issued: SystemTime,
}

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ListToken {
    pub(super) stream: String,
    pub(super) after: ShardId,
    pub(super) filter: Option<ShardFilter>,
    pub(super) issued: SystemTime,
}

/// Writes a token.
pub(super) fn seal(token: &impl Serialize) -> String {
    STANDARD.encode(serde_json::to_vec(token).expect("a token is strings, numbers and times after 1970"))
}

/// Reads a token; none for what was not sealed here.
pub(super) fn unseal<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
}

/// Whether a token of this age is no longer good.
pub(super) fn is_expired(issued: SystemTime, now: SystemTime, good_for: Duration) -> bool {
    now.duration_since(issued).is_ok_and(|age| age > good_for)
}
