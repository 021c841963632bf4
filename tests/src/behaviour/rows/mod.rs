//! The table, one room for each part of the API.

mod fanout;
mod limits;
mod reading;
mod resharding;
mod streams;

use super::{Row, row};

/// Everything that is asked. A page is one of the API reference, unless it is called a guide.
pub const ROWS: &[Row] = &[
    row!(
        "created",
        "a created stream becomes ACTIVE with the shards that were asked for",
        "CreateStream",
        streams::is_created
    ),
    row!(
        "created-twice",
        "a stream that exists is not created: ResourceInUseException",
        "CreateStream",
        streams::is_created_once
    ),
    row!(
        "missing",
        "a stream that does not exist takes no records: ResourceNotFoundException",
        "PutRecords",
        streams::is_missing
    ),
    row!(
        "ascending-numbers",
        "the records that one PutRecords puts on a shard have ascending sequence numbers",
        "PutRecords",
        streams::numbers_ascend
    ),
    row!("record-too-large", "a record of more than 1 MiB is refused", "guide, quotas", streams::large_is_refused),
    row!(
        "listed-in-pages",
        "ListShards gives at most MaxResults shards, and a token for more",
        "ListShards",
        streams::comes_in_pages
    ),
    row!(
        "token-alone",
        "the token alone gives the next page of shards, each shard once",
        "ListShards",
        streams::token_is_enough
    ),
    row!(
        "token-and-name",
        "the token together with a stream's name is refused: InvalidArgumentException",
        "ListShards",
        streams::token_is_all
    ),
    row!("filter-at-latest", "AT_LATEST lists the open shards", "ShardFilter", streams::filters_at_latest),
    row!(
        "filter-at-horizon",
        "AT_TRIM_HORIZON lists the shards that were open at the horizon, not their children",
        "ShardFilter",
        streams::filters_at_horizon
    ),
    row!(
        "filter-from-horizon",
        "FROM_TRIM_HORIZON lists all shards, closed ones too",
        "ShardFilter",
        streams::filters_from_horizon
    ),
    row!("filter-after-shard", "AFTER_SHARD_ID lists the shards after this one", "ShardFilter", streams::filters_after),
    row!(
        "iterators",
        "TRIM_HORIZON, LATEST, AT_ and AFTER_SEQUENCE_NUMBER start where they say",
        "GetShardIterator",
        reading::starts_where_it_says
    ),
    row!(
        "timestamp-past",
        "AT_TIMESTAMP of the past starts with the first record from then on",
        "GetShardIterator",
        reading::starts_in_the_past
    ),
    row!(
        "timestamp-future",
        "AT_TIMESTAMP of the future is refused: InvalidArgumentException",
        "GetShardIterator",
        reading::future_is_refused
    ),
    row!(
        "behind",
        "MillisBehindLatest is above 0 for who is behind, and 0 at the tip",
        "GetRecords",
        reading::who_is_behind_is_told
    ),
    row!(
        "rubbish-iterator",
        "an iterator that is none is refused: InvalidArgumentException",
        "GetRecords",
        reading::rubbish_is_refused
    ),
    row!("limit-too-high", "a Limit above 10,000 is refused", "GetRecords", reading::limit_is_limited),
    row!(
        "closed-shard-ends",
        "a closed shard that is read to its end gives no further iterator",
        "GetRecords",
        reading::closed_shard_ends
    ),
    row!(
        "children-when-read",
        "the last answer of GetRecords names the children of a closed shard",
        "GetRecords",
        reading::children_are_named
    ),
    row!("split", "SplitShard closes a shard and opens two", "SplitShard", resharding::splits),
    row!("merge", "MergeShards closes two shards and opens one", "MergeShards", resharding::merges),
    row!("scale", "UpdateShardCount doubles the open shards", "UpdateShardCount", resharding::scales),
    row!(
        "registered",
        "consumers are registered once, described, listed and deregistered",
        "RegisterStreamConsumer",
        fanout::consumers_come_and_go
    ),
    row!("pushed", "SubscribeToShard pushes records as they are put", "SubscribeToShard", fanout::pushes),
    row!(
        "children-when-pushed",
        "a subscription to a closed shard names its children, gives no number to go on from, and ends",
        "SubscribeToShardEvent",
        fanout::ends_with_children
    ),
    row!(
        "second-subscription",
        "a second subscription within five seconds is refused: ResourceInUseException",
        "SubscribeToShard",
        fanout::second_is_refused
    ),
    row!(
        "takeover",
        "a second subscription after five seconds takes over, and the first ends",
        "SubscribeToShard",
        fanout::second_takes_over
    ),
    row!(
        "five-reads",
        "the sixth GetRecords of a shard within a second is refused: ProvisionedThroughputExceededException",
        "GetRecords",
        limits::five_reads_a_second
    ),
    row!(
        "ten-megabytes",
        "an answer of 10 MiB closes the shard to readers for five seconds",
        "GetRecords",
        limits::ten_megabytes
    ),
    row!(
        "mebibyte-written",
        "a shard takes 1 MiB a second, and PutRecords tells which records of more it refused",
        "PutRecords",
        limits::mebibyte_a_second
    ),
    row!(slow
        "expired-iterator",
        "an iterator expires after five minutes: ExpiredIteratorException",
        "GetRecords",
        reading::iterator_expires
    ),
    row!(slow
        "expired-token",
        "a token of ListShards expires after 300 s: ExpiredNextTokenException",
        "ListShards",
        streams::token_expires
    ),
    row!(slow
        "five-minutes",
        "a subscription ends after five minutes",
        "SubscribeToShard",
        fanout::ends_after_five_minutes
    ),
];
