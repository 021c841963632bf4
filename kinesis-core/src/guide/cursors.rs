//! Cursors: what is stored of a subscription, and how it is moved.
//!
//! # What is stored
//!
//! A [`LeaseStore`](crate::LeaseStore) holds two kinds of rows.
//!
//! - **A row for each shard** ([`Lease`](crate::Lease)): who holds it, and a [`Cursor`](crate::Cursor) for each
//!   subscription. A cursor has a position, a generation, and when the last settled record had arrived.
//! - **A record for each subscription** ([`SubscriptionRecord`](crate::SubscriptionRecord)): where it started,
//!   which shards were there then, its generation, whether it is paused.
//!
//! A stored cursor is a place, never "the tip". (simulation: "a stored cursor is a place", "a cursor has a
//! generation that exists")
//!
//! Progress of a shard is one conditional write for all its subscriptions. It happens at most once every
//! [`commit_every`](crate::PipelineBuilder::commit_every), 1 s by default (`commit_every` in
//! `pipeline/builder.rs`). An idle shard writes its place every 10 minutes (`IDLE_COMMIT` in
//! `worker/runner/mod.rs`, `REFRESH` in `lane/ledger.rs`): far below the least retention of Kinesis, 24 h (quotas
//! page of the Kinesis developer guide). (`kinesis-core/src/lane/ledger.rs`:
//! `a_tip_is_reached_only_with_nothing_open_and_hardly_written_while_it_stays`)
//!
//! Where they are kept is the lease store's matter. `MemoryLeaseStore` forgets with the process. `FileStore` (feature
//! `file`) keeps them in one file on this machine, for one process at a time: what was answered is on the disk, and
//! the leases of a process that was killed are let go when the file is opened again.
//! (`kinesis-core/src/file/tests.rs`: `what_was_answered_is_there_again`, `a_torn_write_is_found_out`,
//! `who_held_a_lease_when_the_process_ended_does_not_hold_it_any_more`)
//!
//! The checkpoint of a shard is the minimum of its cursors ([`Lease::checkpoint`](crate::Lease::checkpoint)).
//!
//! # Starting
//!
//! [`start_at`](crate::Subscription::start_at) counts once: when the store does not know the name yet. After that, the
//! cursor counts.
//!
//! - `Latest` is pinned when the subscription is attached, on every open shard. What is put after the call returns is
//!   delivered, even if the process restarts first.
//!   (`tests/tests/attaching.rs`: `attached_late_at_the_tip_it_gets_what_is_put_after_on_shards_closed_meanwhile_too`;
//!   `kinesis-core/src/worker/attach.rs`: `the_tip_is_asked_for_again`)
//! - A shard born after the attach is read from its beginning.
//!   (`kinesis-core/src/worker/attach.rs`: `a_shard_born_after_the_attach_is_read_from_its_beginning`)
//! - Attached late at `TrimHorizon`, a subscription reads closed shards too, parents first.
//!   (`tests/tests/attaching.rs`: `attached_late_at_the_horizon_it_reads_closed_shards_too_and_parents_first`)
//! - A name is attached once at a time in a pipeline.
//!   (`tests/tests/attaching.rs`: `a_name_is_attached_once_at_a_time_and_the_error_says_which`)
//! - In a store that holds the rows of a program without subscriptions (a KCL application), a new subscription goes on
//!   where that program was, whatever its start says; shards that the program had not begun with are read from their
//!   beginning. (`kinesis-core/src/worker/attach.rs`:
//!   `a_subscription_goes_on_where_a_program_without_subscriptions_stopped`,
//!   `beside_the_rows_of_another_program_a_shard_without_one_is_read_from_its_beginning`)
//!
//! # Changing while it runs
//!
//! [`Pipeline::handle`](crate::Pipeline::handle) gives a [`Handle`](crate::Handle). Changes are written to the
//! store first, so they survive a restart.
//!
//! | call | what it does |
//! |---|---|
//! | [`attach`](crate::Handle::attach) | adds a subscription; a known name goes on where it was |
//! | [`detach`](crate::Handle::detach) | removes it from this run; its cursors stay |
//! | [`pause`](crate::Handle::pause), [`resume`](crate::Handle::resume) | takes nothing more; goes on, after a halt too |
//! | [`seek`](crate::Handle::seek) | moves it on every shard, forwards or back |
//! | [`seek_shard`](crate::Handle::seek_shard) | moves it on one shard, to a record too |
//! | [`forget`](crate::Handle::forget) | ends it for good; its cursors go |
//!
//! - A pause takes nothing new and survives a restart. What is with the sink is finished.
//!   (`tests/tests/seeking.rs`: `a_pause_takes_nothing_more_and_survives_a_restart_until_it_is_resumed`,
//!   `a_pause_lets_the_sink_finish_what_it_has`; simulation: "who is paused or gone is given nothing new")
//! - Detach waits for what is in flight, up to the time of a drain. Attached again, the subscription goes on behind it.
//!   (`tests/tests/attaching.rs`: `detaching_waits_for_what_is_in_flight_and_attaching_again_goes_on_behind_it`,
//!   `detaching_takes_no_longer_than_a_drain_may`, `attaching_again_at_once_repeats_nothing`)
//! - A seek starts the next generation. Cursors of older generations are void, whoever stores them.
//!   (`tests/tests/seeking.rs`: `cursors_of_an_older_generation_are_ignored_whoever_stores_them`)
//! - A seek back brings records again, from closed shards too. A seek to the tip leaves out what lies between. A seek
//!   does not resume a paused subscription.
//!   (`tests/tests/seeking.rs`: `a_seek_to_the_horizon_brings_everything_again_and_survives_a_restart`,
//!   `a_seek_to_the_tip_leaves_out_what_lies_between`, `a_seek_to_a_time_goes_on_with_what_arrived_then`)
//! - A seek on one shard moves that shard. Its descendants are read again after it.
//!   (`tests/tests/seeking.rs`: `a_seek_on_one_shard_moves_that_one_and_reads_its_descendants_again_after_it`)
//! - While nothing runs, [`pipeline::stored`](crate::pipeline::stored) makes the same moves in the store.
//!   (`kinesis-core/src/pipeline/stored.rs`: `a_move_voids_the_cursors_before_it`)
//! - Forgetting removes every cursor. Attached under the same name later, the subscription starts as it says.
//!   (`tests/tests/attaching.rs`: `forgetting_removes_every_cursor_and_attached_again_it_starts_as_it_says`)
//! - A worker that takes over knows what was asked of the one before.
//!   (`tests/tests/seeking.rs`: `a_worker_that_takes_over_knows_what_was_asked_of_the_one_before`)
//!
//! # Names that nobody attaches
//!
//! A cursor of a name that this worker does not know stays in its row and counts in the minimum. A rolling
//! deployment can so add and remove subscriptions. Only `forget` ends a name. (`kinesis-mock/tests/conformance.rs`:
//! `leases_in_memory_conform_bare_and_wrapped`)
//!
//! # Gaps
//!
//! A stream deletes old records. A subscription that was away for longer has lost some. It is told so exactly:
//! [`Event::Gap`](crate::Event::Gap) has where it should have gone on, the first record that is left, and how much
//! time lies between. (simulation: "a gap is told of what is gone only", "a gap is told only where something is
//! gone")
//!
//! - [`OnGap::Halt`](crate::OnGap::Halt), the default: the subscription stops before the gap. A seek moves it on.
//!   (`tests/tests/gaps.rs`: `a_subscription_halts_before_a_gap_and_says_from_where_to_where`)
//! - [`OnGap::Jump`](crate::OnGap::Jump): it goes on with the first record that is left.
//!   (`tests/tests/gaps.rs`: `a_subscription_that_may_jumps_over_a_gap_and_tells_it_once`)
//! - Kinesis does not refuse a trimmed place. The reader asks for the last record that it has had, and notices when
//!   another one comes first. A reader that rested for 4 minutes (`REST` in `feed/reading.rs`) does so again,
//!   before its iterator expires at 5 minutes (API reference of `GetShardIterator`).
//!   (`kinesis-core/src/feed/tests.rs`: `a_reader_asks_for_its_last_record_again_and_notices_when_it_is_gone`,
//!   `a_reader_that_rested_is_opened_at_its_last_record_again`)
//! - A last record that is gone of age alone is no gap.
//!   (`tests/tests/gaps.rs`: `no_gap_is_told_of_a_quiet_shard_whose_last_record_has_aged_out`)
//!
//! Records that were trimmed before a subscription had any place in the shard are not missed: nobody can know of them.
//!
//! # Example
//!
//! A subscription is paused, sought back to the horizon, and resumed.
//!
//! ```
//! # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guide/lines.rs")); }
//! # use lines::Lines;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//! use std::time::Duration;
//!
//! use kinesis_core::{LeaseStore, MemoryLeaseStore, Pipeline, Result, StartPosition, Subscription, handler};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<()> {
//!     let (stream, store, taken) = (Lines::new(), MemoryLeaseStore::new(), Arc::new(AtomicUsize::new(0)));
//!     (0..3).for_each(|n| drop(stream.put("a", &format!("record {n}"))));
//!     let count = Arc::clone(&taken);
//!     let sink = handler(move |_| std::future::ready(drop(count.fetch_add(1, Relaxed))));
//!     let pipeline = Pipeline::builder("guide", stream.clone())
//!         .leases(store.clone())
//!         .subscribe(Subscription::new("audit", sink).start_at(StartPosition::TrimHorizon))
//!         .build()?;
//!     let handle = pipeline.handle();
//!     let run = tokio::spawn(pipeline.run_until(std::future::pending()));
//!
//!     tokio::time::sleep(Duration::from_secs(5)).await;
//!     assert_eq!(taken.load(Relaxed), 3);
//!     handle.pause("audit").await?;
//!     handle.seek("audit", StartPosition::TrimHorizon).await?;
//!     tokio::time::sleep(Duration::from_secs(5)).await;
//!     assert_eq!(taken.load(Relaxed), 3, "it is paused");
//!     handle.resume("audit").await?;
//!     tokio::time::sleep(Duration::from_secs(5)).await;
//!     assert_eq!(taken.load(Relaxed), 6, "everything came again");
//!
//!     stream.finish();
//!     run.await.expect("it does not panic")?;
//!     let row = store.list().await?.remove(0);
//!     assert_eq!(row.cursors["audit"].generation, 2);
//!     Ok(())
//! }
//! ```
