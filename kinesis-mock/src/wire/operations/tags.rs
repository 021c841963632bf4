//! The operations on a stream's tags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Account;
use crate::wire::refusal::Refusal;
use crate::wire::target::Target;
use crate::wire::validation;

/// Values by key.
pub(super) type Tags = BTreeMap<String, String>;

/// The most tags of a stream (API reference of `AddTagsToStream`).
const MAX_TAGS: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct AddTagsToStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tags: Option<Tags>,
}

/// Adds tags, in place of those with the same keys.
pub(in crate::wire) fn add_tags_to_stream(account: &Account, request: AddTagsToStream) -> Result<(), Refusal> {
    let tags = validation::required("tags", request.tags)?;
    let entry = Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    let new = tags.keys().filter(|key| !entry.tags.contains_key(*key)).count();
    if entry.tags.len() + new > MAX_TAGS {
        return Err(Refusal::invalid_argument(format!(
            "Failed to add tags to stream {}: a given stream cannot have more than {MAX_TAGS} tags associated with it.",
            entry.stream.id().name
        )));
    }
    account.change(&entry.stream.id().name, |entry| entry.tags.extend(tags));
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct RemoveTagsFromStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

/// Removes tags; those that are not there are no error.
pub(in crate::wire) fn remove_tags_from_stream(
    account: &Account,
    request: RemoveTagsFromStream,
) -> Result<(), Refusal> {
    let keys = validation::required("tagKeys", request.tag_keys)?;
    let entry = Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    account.change(&entry.stream.id().name, |entry| entry.tags.retain(|key, _| !keys.contains(key)));
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ListTagsForStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct TagPage {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// Lists the tags in the order of their keys.
pub(in crate::wire) fn list_tags_for_stream(
    account: &Account,
    request: &ListTagsForStream,
) -> Result<TagPage, Refusal> {
    let limit = validation::within("limit", request.limit, 1..=MAX_TAGS, MAX_TAGS)?;
    let entry = Target::new(&request.stream_name, &request.stream_arn).find(account)?;
    let after = request.exclusive_start_tag_key.as_ref();
    let mut left = entry.tags.into_iter().filter(|(key, _)| after.is_none_or(|after| key > after));
    let tags: Vec<Tag> = left.by_ref().take(limit).map(|(key, value)| Tag { key, value }).collect();
    Ok(TagPage { tags, has_more_tags: left.next().is_some() })
}
