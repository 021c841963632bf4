//! The operations that look at the account as a whole.

use serde::{Deserialize, Serialize};

use super::StreamModeDetails;
use super::streams::{SHARD_LIMIT, open_shards};
use crate::Account;
use crate::wire::codec::Timestamp;
use crate::wire::refusal::Refusal;
use crate::wire::target;
use crate::wire::tokens::{self, NamesToken};
use crate::wire::validation;

/// Streams of a page, where the request does not say (API reference of `ListStreams`).
const DEFAULT_PAGE: usize = 100;
/// The most on-demand streams of an account (quotas page of the Kinesis developer guide).
const ON_DEMAND_LIMIT: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ListStreams {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct StreamPage {
    stream_names: Vec<String>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<StreamSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamSummary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    stream_creation_timestamp: Option<Timestamp>,
}

/// Lists the streams page by page, in the order of their names.
pub(in crate::wire) fn list_streams(account: &Account, request: &ListStreams) -> Result<StreamPage, Refusal> {
    let page = validation::within("limit", request.limit, 1..=10_000, DEFAULT_PAGE)?;
    let after = match &request.next_token {
        None => request.exclusive_start_stream_name.clone(),
        Some(token) => {
            let token: NamesToken = tokens::unseal_page(token)?;
            tokens::check_page_age(token.issued, account.now())?;
            Some(token.after)
        }
    };
    let is_after = |name: &str| after.as_deref().is_none_or(|after| name > after);
    let mut left = account.entries().into_iter().filter(|entry| is_after(&entry.stream.id().name));
    let stream_summaries: Vec<StreamSummary> = left
        .by_ref()
        .take(page)
        .map(|entry| StreamSummary {
            stream_name: entry.stream.id().name.to_string(),
            stream_arn: target::arn(account, &entry.stream),
            stream_status: entry.phase.status(),
            stream_mode_details: StreamModeDetails::new(entry.on_demand),
            stream_creation_timestamp: entry.stream.id().created_at.map(Timestamp::from),
        })
        .collect();
    let stream_names: Vec<String> = stream_summaries.iter().map(|summary| summary.stream_name.clone()).collect();
    let last = stream_names.last().filter(|_| left.next().is_some());
    let next_token = last.map(|last| tokens::seal(&NamesToken { after: last.clone(), issued: account.now() }));
    Ok(StreamPage { has_more_streams: next_token.is_some(), stream_names, next_token, stream_summaries })
}

#[derive(Debug, Deserialize)]
pub(in crate::wire) struct DescribeLimits {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct Limits {
    shard_limit: usize,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: usize,
}

/// Says how much of the account is used.
pub(in crate::wire) fn describe_limits(account: &Account, _: &DescribeLimits) -> Result<Limits, Refusal> {
    Ok(Limits {
        shard_limit: SHARD_LIMIT,
        open_shard_count: open_shards(account),
        on_demand_stream_count: account.entries().iter().filter(|entry| entry.on_demand).count(),
        on_demand_stream_count_limit: ON_DEMAND_LIMIT,
    })
}
