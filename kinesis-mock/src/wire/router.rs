//! From the name of an operation to the function that does it, and from a body to its request and back.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Encoding;
use super::operations::{self as op, Subscription};
use super::refusal::Refusal;
use crate::Account;

/// Service name and version, before the dot of `X-Amz-Target`.
const SERVICE: &str = "Kinesis_20131202";

/// The operation that an `X-Amz-Target` header names.
pub(super) fn operation_of(target: &str) -> Option<&str> {
    target.strip_prefix(SERVICE)?.strip_prefix('.')
}

/// A request on its way to its operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) account: &'a Account,
    pub(super) encoding: Encoding,
    pub(super) body: &'a [u8],
    pub(super) twist: &'a Twist,
}

/// What a script changes within an operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Twist {
    /// The entries of `PutRecords` to be refused.
    pub(super) refused: BTreeSet<usize>,
    /// `GetRecords` finds nothing.
    pub(super) empty: bool,
}

/// What an operation answers, encoded where it is not a stream.
#[derive(Debug)]
pub(super) enum Reply {
    Whole(Vec<u8>),
    Events(Subscription),
}

/// Does what the request asks for.
pub(super) fn route(target: &str, call: Call<'_>) -> Result<Reply, Refusal> {
    let (account, twist) = (call.account, call.twist);
    match operation_of(target).unwrap_or_default() {
        "AddTagsToStream" => call.done(|request| op::add_tags_to_stream(account, request)),
        "CreateStream" => call.done(|request| op::create_stream(account, request)),
        "DecreaseStreamRetentionPeriod" => call.done(|request| op::decrease_stream_retention_period(account, &request)),
        "DeleteStream" => call.done(|request| op::delete_stream(account, &request)),
        "DeregisterStreamConsumer" => call.done(|request| op::deregister_stream_consumer(account, &request)),
        "DescribeLimits" => call.answer(|request| op::describe_limits(account, &request)),
        "DescribeStream" => call.answer(|request| op::describe_stream(account, &request)),
        "DescribeStreamConsumer" => call.answer(|request| op::describe_stream_consumer(account, &request)),
        "DescribeStreamSummary" => call.answer(|request| op::describe_stream_summary(account, &request)),
        "GetRecords" => call.answer(|request| op::get_records(account, &request, twist.empty)),
        "GetShardIterator" => call.answer(|request| op::get_shard_iterator(account, &request)),
        "IncreaseStreamRetentionPeriod" => call.done(|request| op::increase_stream_retention_period(account, &request)),
        "ListShards" => call.answer(|request| op::list_shards(account, &request)),
        "ListStreamConsumers" => call.answer(|request| op::list_stream_consumers(account, &request)),
        "ListStreams" => call.answer(|request| op::list_streams(account, &request)),
        "ListTagsForStream" => call.answer(|request| op::list_tags_for_stream(account, &request)),
        "MergeShards" => call.done(|request| op::merge_shards(account, &request)),
        "PutRecord" => call.answer(|request| op::put_record(account, request)),
        "PutRecords" => call.answer(|request| op::put_records(account, request, &twist.refused)),
        "RegisterStreamConsumer" => call.answer(|request| op::register_stream_consumer(account, &request)),
        "RemoveTagsFromStream" => call.done(|request| op::remove_tags_from_stream(account, request)),
        "SplitShard" => call.done(|request| op::split_shard(account, &request)),
        "SubscribeToShard" => op::subscribe_to_shard(account, &call.encoding.read(call.body)?).map(Reply::Events),
        "UpdateMaxRecordSize" => call.done(|request| op::update_max_record_size(account, &request)),
        "UpdateShardCount" => call.answer(|request| op::update_shard_count(account, &request)),
        _ => Err(Refusal::new("UnknownOperationException", format!("the operation {target:?} is not known here"))),
    }
}

impl Call<'_> {
    /// An operation with an answer.
    fn answer<I: DeserializeOwned, O: Serialize>(
        self,
        operation: impl FnOnce(I) -> Result<O, Refusal>,
    ) -> Result<Reply, Refusal> {
        let answer = operation(self.encoding.read(self.body)?)?;
        self.encoding.write(&answer).map(Reply::Whole)
    }

    /// An operation that answers nothing but that it is done.
    fn done<I: DeserializeOwned>(self, operation: impl FnOnce(I) -> Result<(), Refusal>) -> Result<Reply, Refusal> {
        operation(self.encoding.read(self.body)?)?;
        Ok(Reply::Whole(Vec::new()))
    }
}
