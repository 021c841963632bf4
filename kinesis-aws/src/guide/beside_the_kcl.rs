//! A lease table in common with the Kinesis Client Library: to replace an application in Java, to run beside it for a while,
//! and to go back. And what leases in DynamoDB cost.
//!
//! [`DynamoLeaseStore`](crate::DynamoLeaseStore) writes the lease table of the KCL 2.x, attribute for attribute.
//! (`leases/tests/golden.rs`: `leases_of_the_kcl_are_read`, `what_is_written_has_the_names_and_types_of_the_kcl`)
//!
//! ```no_run
//! # async fn run() -> kinesis_core::Result<()> {
//! use kinesis_aws::{CreateTable, DynamoLeaseStore, KinesisSource};
//! use kinesis_core::{Outcome, Pipeline, StreamSource, Subscription, handler};
//!
//! let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//! let source = KinesisSource::connect(&config, "orders").await?;
//! let leases = DynamoLeaseStore::builder("billing") // the application's name in Java
//!     .config(&config)
//!     .stream(source.stream())
//!     .create_table(CreateTable::IfMissing)
//!     .connect()
//!     .await?;
//! let billing = Subscription::new("billing", handler(|_| async { Outcome::Delivered }));
//! Pipeline::builder("billing", source).leases(leases).subscribe(billing).build()?.run_until(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | the KCL's mode | keys of leases | here |
//! |---|---|---|
//! | single stream | `shardId-000000000000` | [`stream(source.stream())`](crate::DynamoLeaseStoreBuilder::stream) |
//! | multi-stream | `111122223333:orders:1700000000:shardId-000000000000` | [`multi_stream(true)`](crate::DynamoLeaseStoreBuilder::multi_stream), and a pipeline for each stream |
//!
//! The third part of a multi-stream key is the second in which the stream was created. Where the application in Java made up
//! another number, say so with [`stream_named`](crate::DynamoLeaseStoreBuilder::stream_named); else its leases are those of
//! a stream that nobody here reads. A table of the wrong kind is refused.
//! (`leases/tests/golden.rs`: `a_table_of_the_other_kind_is_refused`)
//!
//! # Replacing an application in Java
//!
//! 1. Give the new program the [permissions](super::permissions) of both tables. The second one, with `-subscriptions` behind
//!    the name, is new: the KCL takes every item of its own table for a lease, so nothing else may stand there.
//! 2. Stop the old program, or leave it running until the new one has taken over (below).
//! 3. Start the new one with the same table.
//!
//! - A subscription that starts for the first time goes on at the checkpoint of each lease, whatever its
//!   [start](kinesis_core::Subscription::start_at) says. Subscribe all that are to go on there in the first run: a
//!   subscription that comes later starts where its start says, on every shard that another one has stored a cursor for.
//!   (`leases/tests/pipeline.rs`: `a_pipeline_goes_on_where_a_kcl_application_stopped_and_the_other_way_round`;
//!   `leases/tests/kcl.rs`: `nobody_loses_a_place_that_was_inherited`)
//! - `AT_TIMESTAMP` and `LATEST` are no places: there the subscription's own start counts.
//! - What ended at `SHARD_END` is not read again, also when the KCL has removed the lease. Shards that have no lease yet are
//!   read from their beginning. (`leases/tests/pipeline.rs`:
//!   `what_the_kcl_has_finished_is_not_read_again_and_the_children_are`)
//! - A [seek](kinesis_core::Handle::seek) is the way to start anywhere else.
//!
//! # Running beside it
//!
//! Workers of both kinds respect each other's leases, by the owner and the counter in the item.
//!
//! - A worker of the KCL takes a lease of ours as it takes any: at once. Our next write of the lease is refused, and the shard
//!   is let go.
//!   What was in flight repeats there. (`leases/tests/kcl.rs`:
//!   `a_take_of_the_kcl_fences_us_and_its_checkpoint_moves_our_cursors`, `a_lease_has_one_owner_whoever_takes_it`)
//! - We take a lease of the KCL when its counter has stood still for a
//!   [`failover`](kinesis_core::PipelineBuilder::failover). Keep it at the KCL's `failoverTimeMillis`; both default to 10 s.
//! - Each counts the other in the balance. Between our own workers a lease is handed over when one asks for it. A worker of
//!   the KCL is asked, too, and does not know of that: where it has more than its share and has not handed a lease over
//!   after the [drain](kinesis_core::PipelineBuilder::drain_within) and two failovers, 50 s by default, the lease is taken,
//!   one at a look, as workers of the KCL take from each other. (`kinesis-core`, `worker/tests.rs`:
//!   `a_holder_that_does_not_hand_over_is_left_its_share_and_no_more`)
//! - The lease of a parent is removed when the stream does not list the shard any more and every subscription is in a shard
//!   that came from it. A worker of the KCL removes leases earlier. (`kinesis-core`, `worker/shards/spent.rs`:
//!   `a_parents_row_goes_when_the_stream_does_not_list_it_any_more_the_oldest_first`)
//! - Every record is done by one program or the other: let both do the same thing with it.
//!
//! # What becomes of cursors
//!
//! `checkpoint` is the least of all cursors, so a worker of the KCL that takes over misses nothing for any subscription and
//! repeats what others are ahead. Each subscription's own place stands in `cursors`, with the checkpoint it was written
//! beside.
//!
//! - When the checkpoint is another one later, the KCL has moved it, and every cursor behind it is there now.
//!   (`leases/tests/cursors.rs`: `a_checkpoint_that_was_moved_on_takes_those_behind_it_along`)
//! - Cursors of the second table are ahead of the checkpoint until the next renewal takes it along. A worker of the KCL that
//!   takes the lease in between repeats that much more, and what we store until we find out counts.
//!   (`leases/tests/over.rs`: `a_worker_of_the_kcl_that_takes_many_cursors_takes_them_on`,
//!   `what_is_behind_the_checkpoint_goes_by_the_lease`)
//! - A seek backwards moves the checkpoint back, too. Work that the KCL did before does not undo it.
//!   (`leases/tests/kcl.rs`: `a_seek_is_undone_only_by_work_after_it`)
//! - A checkpoint that was moved back by hand moves no cursor: seek instead.
//! - What the KCL has no word for (a time, "with this record") is `TRIM_HORIZON` to it: it repeats, and misses nothing.
//!   (`leases/checkpoint.rs`: `what_the_kcl_has_no_word_for_is_told_as_the_horizon`)
//!
//! # Going back
//!
//! Stop the program, start the one in Java: it goes on at `checkpoint`. Our attributes may stay; delete the second table
//! when you do not come back. Before the first cursor is stored, a lease that we created says `TRIM_HORIZON`.
//!
//! # What stands in the table
//!
//! | attribute | type | of |
//! |---|---|---|
//! | `leaseKey`, `leaseOwner`, `leaseCounter`, `checkpoint`, `checkpointSubSequenceNumber`, `ownerSwitchesSinceCheckpoint` | S, S, N, S, N, N | the KCL |
//! | `parentShardId`, `childShardIds` | SS, absent when there is none | the KCL |
//! | `startingHashKey`, `endingHashKey` | S | the KCL from 2.3 on |
//! | `streamName`, `shardId` | S | the KCL, multi-stream |
//! | `pendingCheckpoint`, `pendingCheckpointSubSequenceNumber`, `pendingCheckpointState` | S, N, B | the KCL; removed with the next cursor |
//! | `cursors` | B | us: each subscription's place, in few bytes |
//! | `nonce`, `wantedBy` | N, S | us: who wrote last; who asks for the lease, or its owner when that is about to stop |
//! | `ofStream` | S | us: the stream, where the key does not tell it. Leases of a stream that was deleted and created anew are refused |
//!
//! Attributes of others stay, and so do items that are no leases, those of a KCL 3.x in the same table among them.
//! (`leases/tests/golden.rs`: `attributes_of_others_survive_every_write`, `what_is_no_lease_is_left_alone`,
//! `leases_of_the_stream_that_was_before_are_refused`)
//!
//! A fleet of the KCL 3.x can be replaced, but not joined: its leader gives leases to workers that report their load, which
//! ours do not. With 3.x workers in its mode compatible with 2.x, what is said above holds.
//!
//! # What it costs
//!
//! A commit is one write for all subscriptions of a shard, and it renews the lease, up to about a hundred of them. Without
//! progress a lease is renewed three times a `failover`. Counted for a shard of Kinesis with names of 17 letters
//! (`leases/tests/cost.rs`: `a_renewal_and_a_commit_are_one_write_each`):
//!
//! | subscriptions | bytes of the item | write units of a renewal | write units of a commit |
//! |---|---|---|---|
//! | 1 | 400 | 1 | 1 |
//! | 10 | 730 | 1 | 1 |
//! | 50 | 2,240 | 3 | 3 |
//! | 1,000 | 380, and 37 KB in the second table | 1 | 38 |
//!
//! - Above 4 KB, about a hundred subscriptions, cursors move to an item of the second table, so that renewals stay cheap. A
//!   commit writes that item over and leaves the lease alone, which is renewed at its own times: three writes of one unit a
//!   `failover` on top. A request for the lease is heard with a renewal, up to a third of the `failover` later.
//!   (`leases/tests/over.rs`:
//!   `a_commit_leaves_the_lease_alone_and_a_renewal_takes_its_checkpoint_along`)
//! - With that many, three writes are needed where it is not steps forward alone: the first commit after a claim, a seek, a
//!   new subscription, the end of the shard, letting go. A new item is put, the lease names it, the one before goes: 77
//!   units for 1,000. A claim seals the item, for 38. With that many, a longer
//!   [`commit_every`](kinesis_core::PipelineBuilder::commit_every) saves most.
//!   (`leases/tests/cost.rs`: `many_cursors_cost_more_when_a_lease_changes_hands`)
//! - A busy shard with the default `commit_every` of 1 s writes 2.6 million units a month; on demand that is 1.6 $ in
//!   us-east-1 (0.625 $ a million when this was written: <https://aws.amazon.com/dynamodb/pricing/on-demand/>).
//! - A look around reads every lease, at half a unit for 4 KB. (`leases/tests/cost.rs`:
//!   `a_look_around_costs_half_a_unit_for_four_kilobytes`)
//! - [`Event::StoreConsumed`](kinesis_core::Event::StoreConsumed) tells the
//!   [observer](crate::DynamoLeaseStoreBuilder::observer) what each call consumed.
//!
//! # When something is wrong
//!
//! | what | what happens |
//! |---|---|
//! | a table is missing | [`NotFound`](kinesis_core::ErrorKind::NotFound) at the start, or it is created, on demand, when [`create_table`](crate::DynamoLeaseStoreBuilder::create_table) says so |
//! | a table has other keys | [`Invalid`](kinesis_core::ErrorKind::Invalid) at the start |
//! | something is not allowed | [`Denied`](kinesis_core::ErrorKind::Denied), with the action and the table |
//! | throttled, or no answer within 3 s | tried again; a lease that cannot be renewed in time is let go |
//! | an answer was lost | the item is read: what bears our nonce was written by us |
//! | cursors of a newer version | [`Invalid`](kinesis_core::ErrorKind::Invalid); nothing is changed |
//!
//! (`leases/tests/faults.rs`: `what_a_refusal_means_is_said`, `a_write_whose_answer_was_lost_is_our_own`)
