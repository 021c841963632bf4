//! What the service does, by concern. A function here takes a request and answers it; it knows neither HTTP nor an encoding.

mod consumers;
mod listing;
mod positions;
mod reading;
mod resharding;
mod settings;
mod shards;
mod streams;
mod subscription;
mod tags;
mod writing;

use serde::{Deserialize, Serialize};

pub(super) use consumers::{
    deregister_stream_consumer, describe_stream_consumer, list_stream_consumers, register_stream_consumer,
};
pub(super) use listing::{describe_limits, list_streams};
pub(super) use reading::{get_records, get_shard_iterator};
pub(super) use resharding::{merge_shards, split_shard, update_shard_count};
pub(super) use settings::{decrease_stream_retention_period, increase_stream_retention_period, update_max_record_size};
pub(super) use shards::{ShardFilter, list_shards};
pub(super) use streams::{create_stream, delete_stream, describe_stream, describe_stream_summary};
pub(super) use subscription::{Subscription, subscribe_to_shard};
pub(super) use tags::{add_tags_to_stream, list_tags_for_stream, remove_tags_from_stream};
pub(super) use writing::{put_record, put_records};

/// A request that only names a stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OnlyTarget {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

/// How a stream is paid for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamModeDetails {
    stream_mode: String,
}

impl StreamModeDetails {
    fn new(on_demand: bool) -> Self {
        Self { stream_mode: if on_demand { "ON_DEMAND" } else { "PROVISIONED" }.to_owned() }
    }
}
