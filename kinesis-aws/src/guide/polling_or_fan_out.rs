//! Two ways to read, what both cost, and how to choose and to tune.
//!
//! | | polling (the default) | enhanced fan-out |
//! |---|---|---|
//! | how | `GetRecords`, again and again | the service pushes over one `SubscribeToShard` a shard |
//! | reads of a shard | 5 calls and 2 MB a second, shared by all who poll it | 2 MB a second for each consumer |
//! | latency | half the interval between reads, 200 ms at the soonest | that of the network: 70 ms is typical |
//! | how many readers | two or three applications, before they are in each other's way | 20 consumers a stream, 50 on demand with *Advantage* |
//! | price | nothing beside the stream (provisioned), or a GB retrieved (on demand) | a consumer-shard hour and a GB retrieved |
//! | on the wire | HTTP/1.1 or 2, JSON or CBOR | HTTP/2, one stream a shard |
//!
//! The limits are those of the service's quotas page, the latencies those of its developer guide ("Reading data").
//!
//! # What they cost
//!
//! Polling costs the same however often it asks: with provisioned shards reading is part of their price. On-demand streams
//! charge each GB that is retrieved.
//!
//! Fan-out is charged twice: for each hour in which a consumer is registered, times the shards, and for each GB that it is
//! sent. A consumer that nobody uses any more costs as much as one in use, until it is deregistered. With the prices of
//! us-east-1 when this was written, 0.015 $ a consumer-shard hour and 0.013 $ a GB, a stream of 16 shards with 1 MB/s in all
//! has about 175 $ of hours and 34 $ of data a month for one consumer. Look the prices up before you decide:
//! <https://aws.amazon.com/kinesis/data-streams/pricing/>.
//!
//! # Which one
//!
//! - **Poll** when one or two applications read the stream and a quarter of a second is soon enough.
//! - **Fan out** when many applications read the stream, when tens of milliseconds count, or when a shard's 2 MB/s are used
//!   up by others.
//! - Many subscriptions of one pipeline are not many applications: they share one read, polled or pushed. See
//!   [isolation](kinesis_core::guide::isolation).
//!
//! ```no_run
//! # async fn run() -> kinesis_core::Result<()> {
//! use kinesis_aws::KinesisSource;
//!
//! let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//! let polled = KinesisSource::connect(&config, "orders").await?;
//! let pushed = KinesisSource::builder(&config, "orders").consumer("billing").connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How fan-out behaves here
//!
//! - A subscription lasts five minutes at most. It is renewed a little earlier, from its continuation number, so that
//!   nothing is missed or sent twice.
//! - A connection that is silent for 35 seconds is dead, whatever it looks like: the service sends something every few
//!   seconds. Another subscription takes over.
//! - A subscription that nobody has asked for five seconds is dropped, because what it is sent fills the connection that
//!   others share. It is taken up again where it stopped.
//! - While another subscription of the consumer holds a shard, the shard is polled, and asked for once a second: the service
//!   gives it to whoever asks five seconds after the other one began. So nothing stands still after a restart.
//! - Two processes with one consumer take each other's subscriptions away, every five seconds, and read everything twice:
//!   give every application a consumer of its own.
//! - The first reader of a shard is pushed to. What has fallen far behind and catches up polls, within
//!   [`limits`](crate::KinesisSourceBuilder::limits).
//!
//! # What to turn
//!
//! | symptom | turn |
//! |---|---|
//! | `ReadFailed` with `throttled` again and again | another application polls too: [`Limits::with_share`](kinesis_core::limit::Limits::with_share), or fan out |
//! | records come late though nothing is behind | [`PipelineBuilder::idle`](kinesis_core::PipelineBuilder::idle): 200 ms is the least that five calls a second allow |
//! | reading takes much of a core | [`WireFormat::Cbor`](crate::WireFormat::Cbor), which does without base64 |
//! | memory goes up and down with each answer | the allocator: see below |
//! | catching up after a stop takes hours | it has 2 MB/s a shard, and so has fan-out: split the shards |
//!
//! An answer may have 10 MiB. The default allocator of glibc gives blocks of that size back to the system each time, which
//! costs more than reading them. Another allocator (`mimalloc`, `jemalloc`), or `MALLOC_MMAP_THRESHOLD_` and
//! `MALLOC_TRIM_THRESHOLD_` above 32 MiB in the environment, mends that.
