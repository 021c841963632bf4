//! Resharding: what a subscription sees of splits and merges.
//!
//! # Parents first
//!
//! A split or a merge closes shards and opens others, their children. Records of a key that were put before lie in a
//! parent, those put after in a child. A subscription reads a child when it has settled all parents to their end. That
//! keeps the order of a key.
//!
//! - A child is never read before its parents. (simulation: "a child is never read before its parents", "order is
//!   kept")
//! - Each subscription goes on by itself. One that is slow or dead in the parent keeps nobody else from the children.
//!   (`kinesis-core/src/pipeline/tests/shards.rs`:
//!   `children_start_when_their_parents_are_finished_and_every_subscription_at_its_own_time`;
//!   `tests/tests/resharding.rs`:
//!   `a_dead_subscription_keeps_nobody_from_the_children_and_reads_the_whole_family_later`)
//! - A merged shard waits for both parents. (`kinesis-core/src/lineage/tests.rs`: `a_merge_waits_for_both_parents`)
//! - This holds over restarts. (`tests/tests/resharding.rs`:
//!   `one_that_was_dead_over_a_restart_reads_parents_children_and_grandchildren_in_order`)
//! - Every shard starts in the end. (`kinesis-core/src/lineage/tests.rs`:
//!   `every_shard_starts_in_the_end_and_never_before_its_parents`; simulation: "everything is drained in bounded time")
//!
//! A record that holds up a parent holds up its children too, for that subscription. With
//! [`OnReject::Halt`](crate::OnReject::Halt) or a long [`max_age`](crate::RetryPolicy::max_age) that can be long.
//! Dead letters or a bound on attempts keep it short.
//!
//! # How children are found
//!
//! The last answer of a closed shard names its children. The listing is asked as well, because a source may leave some
//! out and because a listing may lag. Whatever the two say, a circle is cut and nothing waits for ever.
//! (`kinesis-core/src/lineage/tests.rs`: `whatever_a_source_claims_nothing_hangs_and_every_shard_starts`,
//! `a_child_that_was_announced_outlives_a_listing_that_lags`)
//!
//! The stream is listed at the start, when a shard ends, and when a row of an unknown shard appears. It is not
//! listed at intervals.
//!
//! # Where a subscription begins in a child
//!
//! - A shard that was born after the subscription was attached is read from its beginning, also by one that started at
//!   `Latest`. (`kinesis-core/src/worker/attach.rs`: `a_shard_born_after_the_attach_is_read_from_its_beginning`)
//! - A shard that was closed before an attach at `Latest` is finished for it.
//!   (`kinesis-core/src/worker/attach.rs`: `a_shard_born_after_the_attach_is_read_from_its_beginning`)
//! - A subscription that is attached late at the horizon, or sought back, reads closed shards that are still retained,
//!   parents first.
//!   (`tests/tests/attaching.rs`: `attached_late_at_the_horizon_it_reads_closed_shards_too_and_parents_first`)
//!
//! # When a parent is gone
//!
//! Kinesis keeps a closed shard until its last record has passed the retention, 24 h at least (quotas page of the
//! Kinesis developer guide).
//!
//! - A parent that the stream has let go blocks nobody who had not begun it.
//!   (`kinesis-core/src/lineage/tests.rs`: `an_announced_shard_that_expired_before_it_was_listed_blocks_nobody`)
//! - Who was in the middle of it is told of a gap first. Then it halts or goes on, as
//!   [`on_gap`](crate::Subscription::on_gap) says.
//! - Where the row of a shard is missing, a cursor in a descendant says that the subscription has finished it.
//!   (`kinesis-core/src/lineage/tests.rs`: `a_cursor_in_a_descendant_finishes_a_shard_without_a_row`;
//!   `kinesis-core/src/worker/shards/tests.rs`: `a_shard_without_a_row_is_done_for_whoever_is_in_a_descendant`)
//! - The row of a parent is removed when the source does not list the shard any more, nobody holds it, and every
//!   subscription that has finished it holds a cursor in a descendant. One in the middle of it is told of the gap first.
//!   (`kinesis-core/src/worker/shards/spent.rs`:
//!   `a_parents_row_goes_when_the_stream_does_not_list_it_any_more_the_oldest_first`)
//!
//! # What you see
//!
//! - [`Event::ShardEnded`](crate::Event::ShardEnded) names the children.
//!   [`Event::ShardFinished`](crate::Event::ShardFinished) says that a subscription has settled the shard.
//! - [`LaneState::Gated`](crate::LaneState::Gated): the subscription waits for the parents.
//!   [`LaneState::Finished`](crate::LaneState::Finished): it is done with the shard.
//! - [`Summary::shards_finished`](crate::Summary::shards_finished) counts shards that every subscription has finished.
//! - A stored cursor says `End` for a finished shard, and only for a closed one. (simulation: "only a closed shard
//!   ends", "the last cursors stand at the end")
//!
//! # Example
//!
//! Records of two keys, before and after a split.
//!
//! ```
//! # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guide/lines.rs")); }
//! # use lines::Lines;
//! use std::sync::{Arc, Mutex};
//!
//! use kinesis_core::{Pipeline, Result, StartPosition, Subscription, channel_sink};
//! use tokio_stream::StreamExt;
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<()> {
//!     let stream = Lines::new();
//!     for data in ["a1", "b1", "a2"] {
//!         stream.put(&data[..1], data);
//!     }
//!     stream.split();
//!     for data in ["b2", "a3"] {
//!         stream.put(&data[..1], data);
//!     }
//!     stream.finish();
//!
//!     let (sink, mut deliveries) = channel_sink();
//!     let taken = Arc::new(Mutex::new(Vec::new()));
//!     let notes = Arc::clone(&taken);
//!     tokio::spawn(async move {
//!         while let Some(delivery) = deliveries.next().await {
//!             for record in delivery.records() {
//!                 let text = String::from_utf8_lossy(&record.data).into_owned();
//!                 notes.lock().unwrap().push((delivery.shard().to_string(), text));
//!             }
//!             delivery.delivered();
//!         }
//!     });
//!     let audit = Subscription::new("audit", sink).start_at(StartPosition::TrimHorizon);
//!     let pipeline = Pipeline::builder("guide", stream).subscribe(audit).build()?;
//!     let summary = pipeline.run_until(std::future::pending()).await?;
//!
//!     assert_eq!(summary.shards_finished, 3);
//!     let taken = taken.lock().unwrap().clone();
//!     assert!(taken[..3].iter().all(|(shard, _)| shard == "0"), "the parent comes first");
//!     let texts = taken.iter().map(|(_, text)| text.as_str());
//!     let of_a: Vec<&str> = texts.filter(|text| text.starts_with('a')).collect();
//!     assert_eq!(of_a, ["a1", "a2", "a3"]);
//!     Ok(())
//! }
//! ```
