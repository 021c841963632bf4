//! Opaque tokens: a place and the time of issue, so that the door itself remembers nothing.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_core::{ShardId, StartPosition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::operations::ShardFilter;
use super::refusal::Refusal;
use crate::{Account, MemoryStream};

/// How long a `NextToken` is good for (API reference of `ListShards`).
const NEXT_TOKEN_EXPIRY: Duration = Duration::from_secs(300);

/// Which stream a token is of: one that was created again under the same name is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfStream {
    name: String,
    created_at: Option<SystemTime>,
}

impl OfStream {
    pub(super) fn new(stream: &MemoryStream) -> Self {
        Self { name: stream.id().name.to_string(), created_at: stream.id().created_at }
    }

    /// The stream, where the account still has it.
    pub(super) fn find(&self, account: &Account) -> Option<MemoryStream> {
        account.stream(&self.name).filter(|stream| stream.id().created_at == self.created_at)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Where a shard iterator stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct IteratorToken {
    pub(super) stream: OfStream,
    pub(super) shard: ShardId,
    pub(super) position: StartPosition,
    pub(super) issued: SystemTime,
}

/// Where a listing of shards goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ShardsToken {
    pub(super) stream: OfStream,
    pub(super) after: ShardId,
    pub(super) filter: Option<ShardFilter>,
    pub(super) issued: SystemTime,
}

/// Where a listing of names goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NamesToken {
    pub(super) after: String,
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

/// Reads the token of a page; an error of the service for what was not sealed here.
pub(super) fn unseal_page<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    unseal(text).ok_or_else(|| Refusal::invalid_argument("NextToken is invalid."))
}

/// Refuses the token of a page that is too old.
pub(super) fn check_page_age(issued: SystemTime, now: SystemTime) -> Result<(), Refusal> {
    match is_expired(issued, now, NEXT_TOKEN_EXPIRY) {
        false => Ok(()),
        true => Err(Refusal::new("ExpiredNextTokenException", "NextToken is older than 300 seconds.")),
    }
}

/// Whether a token of this age is no longer good.
pub(super) fn is_expired(issued: SystemTime, now: SystemTime, good_for: Duration) -> bool {
    now.duration_since(issued).is_ok_and(|age| age > good_for)
}
