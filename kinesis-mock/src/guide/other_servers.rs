//! What other servers do that the service does not.
//!
//! The same table of behaviours is run with the real SDK against this crate's server, [kinesalite] 3.3.3 and
//! [kinesis-local] 0.6.2. Here is every row in which one of them deviates; in the others all three do what the service does.
//! Ours deviates in none. Whose a deviation is: "lacks it" says that the server has nothing of the kind, "differs" that it
//! has, but otherwise than the page of the API reference or of the developer guide says that stands in parentheses. So all of
//! them are theirs.
//!
//! | the service (where it says so) | kinesalite 3.3.3 | kinesis-local 0.6.2 |
//! |---|---|---|
//! | ListShards gives at most MaxResults shards, and a token for more (ListShards) | lacks it: shards of the first page: 3 instead of 2 | ok |
//! | the token alone gives the next page of shards, each shard once (ListShards) | lacks it: shards of the first page: 3 instead of 2 | ok |
//! | the token together with a stream's name is refused: InvalidArgumentException (ListShards) | lacks it: shards of the first page: 3 instead of 2 | ok |
//! | AT_LATEST lists the open shards (ShardFilter) | lacks it: shards listed: 5 instead of 4 | ok |
//! | AT_TRIM_HORIZON lists the shards that were open at the horizon, not their children (ShardFilter) | lacks it: shards listed: 5 instead of 3 | differs: shards listed: 5 instead of 3 |
//! | AFTER_SHARD_ID lists the shards after this one (ShardFilter) | lacks it: shards listed: 5 instead of 2 | ok |
//! | MillisBehindLatest is above 0 for who is behind, and 0 at the tip (GetRecords) | differs: MillisBehindLatest is 0 before a record | ok |
//! | an iterator that is none is refused: InvalidArgumentException (GetRecords) | ok | differs: GetRecords: an error without a code instead of InvalidArgumentException |
//! | the last answer of GetRecords names the children of a closed shard (GetRecords) | lacks it: children: 0 instead of 2 | ok |
//! | UpdateShardCount doubles the open shards (UpdateShardCount) | lacks it: UpdateShardCount: UnknownOperationException | ok |
//! | consumers are registered once, described, listed and deregistered (RegisterStreamConsumer) | lacks it: RegisterStreamConsumer: UnknownOperationException | ok |
//! | SubscribeToShard pushes records as they are put (SubscribeToShard) | lacks it: RegisterStreamConsumer: UnknownOperationException | ok |
//! | a subscription to a closed shard names its children, gives no number to go on from, and ends (SubscribeToShardEvent) | lacks it: RegisterStreamConsumer: UnknownOperationException | differs: the subscription has no end |
//! | a second subscription within five seconds is refused: ResourceInUseException (SubscribeToShard) | lacks it: RegisterStreamConsumer: UnknownOperationException | lacks it: SubscribeToShard: an answer instead of ResourceInUseException |
//! | a second subscription after five seconds takes over, and the first ends (SubscribeToShard) | lacks it: RegisterStreamConsumer: UnknownOperationException | lacks it: the first subscription goes on |
//! | the sixth GetRecords of a shard within a second is refused: ProvisionedThroughputExceededException (GetRecords) | lacks it: it answers the sixth read | lacks it: it answers the sixth read |
//! | an answer of 10 MiB closes the shard to readers for five seconds (GetRecords) | lacks it: 11 MiB in an answer | lacks it: GetRecords: an answer instead of ProvisionedThroughputExceededException |
//! | a shard takes 1 MiB a second, and PutRecords tells which records of more it refused (PutRecords) | lacks it: refused of 1,800 KiB in six records: 0 instead of 3 | lacks it: refused of 1,800 KiB in six records: 0 instead of 3 |
//! | a token of ListShards expires after 300 s: ExpiredNextTokenException (ListShards) | lacks it: shards of the first page: 3 instead of 2 | lacks it: ListShards: an answer instead of ExpiredNextTokenException |
//! | a subscription ends after five minutes (SubscribeToShard) | lacks it: RegisterStreamConsumer: UnknownOperationException | ok |
//!
//! Expired iterators and tokens and the end of a subscription are tried on servers whose time runs a hundred times as fast.
//! The table says what a server did in the words of the program that asks it, which also runs by itself:
//!
//! ```text
//! cargo run -p kinesis-tests --example behaviour -- --server kinesalite --endpoint http://127.0.0.1:4567
//! ```
//!
//! [kinesalite]: https://github.com/mhart/kinesalite
//! [kinesis-local]: https://github.com/etspaceman/kinesis-mock
