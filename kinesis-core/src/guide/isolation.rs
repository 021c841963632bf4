//! Isolation: what subscriptions of one pipeline cost each other, and how one that fell behind catches up.
//!
//! # One read, many lanes
//!
//! A shard has one reader at its front. What it reads goes to every subscription, however many there are. A
//! subscription on a shard is called a lane. The records read lately are in a ring: up to 20,000 records and 20
//! MiB, two of the largest answers of Kinesis (`RingSize` in `feed/ring.rs`; API reference of `GetRecords`).
//!
//! A lane inside the ring reads without a call to the source. On a source that can be read again, the front never waits
//! for a lane: it lets old records go. A lane that needs them has fallen behind.
//!
//! - Sinks that hang or fail for ever delay nobody else.
//!   (`tests/tests/isolation.rs`: `sinks_that_hang_or_fail_for_ever_delay_nobody_else`)
//! - They lose nothing either, within the retention of the stream. The stream is the queue. (simulation: "no record is
//!   lost")
//! - Falling behind and catching up are seen: [`Event::FellBehind`](crate::Event::FellBehind),
//!   [`Event::CaughtUp`](crate::Event::CaughtUp), and [`LaneState`](crate::LaneState).
//!   (`tests/tests/isolation.rs`: `whoever_falls_behind_is_seen_to_and_so_is_the_way_back`)
//! - A halted subscription stops alone.
//!   (`kinesis-core/src/pipeline/tests/halting.rs`: `a_subscription_that_halts_stops_alone`)
//!
//! # Catching up
//!
//! A lane that has fallen behind and wants records gets a reader that starts where the lane is. The reader goes
//! when the lane is back in the front's ring.
//!
//! - A shard has at most two such readers (`MOST_BEHIND` in `feed/plan.rs`). When more lanes wait, the reader
//!   nearest to the tip stays until it is there, and the other one is kept for 5 s (`TIME_SLICE` in `feed/plan.rs`)
//!   and then makes room for the lane that has waited longest. If all took turns, none of them might ever be there.
//!   (`kinesis-core/src/feed/tests.rs`: `readers_that_catch_up_are_few_and_make_room_for_those_who_wait_longest`)
//! - A reader that nobody asks for 5 s is closed (`UNUSED` in `feed/plan.rs`). A lane whose sink settles nothing
//!   asks for nothing, so a dead subscription has no reader. (`kinesis-core/src/feed/tests.rs`:
//!   `who_catches_up_gets_a_reader_that_goes_when_nobody_reads_there`)
//! - Lanes that are within 10 s of each other share a reader (`NEAR` in `feed/start.rs`). This holds at the start
//!   too: the front opens where the furthest lanes are, and the others catch up. (`kinesis-core/src/feed/start.rs`:
//!   `the_front_is_where_the_furthest_are_and_who_is_far_behind_does_not_move_it`)
//!
//! # Sharing the limit of a shard
//!
//! Kinesis allows 5 reads and 2 MB a second for all readers of a shard together (quotas page of the Kinesis developer
//! guide). The readers of a shard take turns.
//!
//! - What is new goes first. While somebody catches up, every other read is theirs. A read that catches up asks for at
//!   most 512 KiB (`SLICE` in `feed/turns.rs`), one at the front for at most 1.5 MiB meanwhile (`FRONT_SLICE` in
//!   `feed/turns.rs`). So who catches up gets at least a quarter of the bytes.
//!   (`kinesis-core/src/feed/turns.rs`: `nobody_waits_for_more_than_one_read_of_the_other`)
//! - A read that takes longer than 1 s keeps nobody else from reading (`SLOW` in `feed/plan.rs`). A reader that
//!   waits for records by itself takes no turn. (`kinesis-core/src/feed/tests.rs`:
//!   `a_parked_read_keeps_nobody_who_catches_up_from_reading`)
//!
//! # What a dead subscription costs
//!
//! - **Memory**: what it holds, up to its demand on each shard and its cap in all. When others wait for memory, it
//!   gives back what is not with its sink ([`back_pressure`](super::back_pressure)). What is left is the place of
//!   each record that it has looked at past its cursor, `max_ahead` at most.
//! - **Calls**: none while it asks for nothing. While it catches up, its part of the shard's limit.
//! - **Storage**: its cursors hold the checkpoint of the shard down.
//! - **Processor time**: its attempts, at most one in 30 s for each held line of retries in the end (`cap` in
//!   `retry.rs`). The bench `isolation` measures that.
//!
//! # What is not isolated
//!
//! - **A thread**. A sink that blocks its thread stops everything on it. Use `tokio::task::spawn_blocking`.
//! - **The source**. A read that fails for good ends the run for everybody, after what came before is delivered.
//!   (`kinesis-core/src/pipeline/tests/ending.rs`: `a_read_that_fails_for_good_ends_the_run_after_what_came_before`)
//! - **A pipe**. A source that cannot be read again ([`SourceCaps::replayable`](crate::SourceCaps::replayable)) has
//!   no second reader. The slowest subscription holds the front back, and a paused one too.
//!   (`kinesis-core/src/pipeline/tests/pipes.rs`:
//!   `a_slow_subscription_holds_the_feed_of_a_pipe_back_and_loses_nothing`,
//!   `a_paused_subscription_holds_the_feed_of_a_pipe_back`)
//!
//! # Example
//!
//! One sink never answers. The other one gets everything, and the status tells them apart.
//!
//! ```
//! # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guide/lines.rs")); }
//! # use lines::Lines;
//! use std::time::Duration;
//!
//! use kinesis_core::{LaneState, Pipeline, Result, StartPosition, Subscription, ToTip, handler};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<()> {
//!     let stream = Lines::new();
//!     let from_start = |subscription: Subscription| subscription.start_at(StartPosition::TrimHorizon);
//!     let dead = Subscription::new("dead", handler(|_| std::future::pending::<()>()));
//!     let healthy = Subscription::new("healthy", handler(|_| async {}));
//!     let pipeline = Pipeline::builder("guide", stream.clone())
//!         .drain_within(Duration::from_secs(1))
//!         .subscribe(from_start(dead))
//!         .subscribe(from_start(healthy))
//!         .build()?;
//!     let handle = pipeline.handle();
//!     let stop = tokio::time::sleep(Duration::from_secs(60));
//!     let run = tokio::spawn(pipeline.run_until(stop));
//!
//!     // More than the ring holds, in portions that the front has time to read.
//!     for portion in 0..50 {
//!         (0..1_000).for_each(|n| drop(stream.put(&format!("key {}", n % 100), &format!("{portion}: {n}"))));
//!         tokio::time::sleep(Duration::from_secs(1)).await;
//!     }
//!     let status = handle.status().await?;
//!     let healthy = &status.subscriptions["healthy"];
//!     assert_eq!(healthy.counts.delivered, 50_000);
//!     assert_eq!((healthy.shards["0"].state, healthy.shards["0"].to_tip), (LaneState::AtFront, ToTip::AtTip));
//!     let dead = &status.subscriptions["dead"];
//!     assert_eq!(dead.counts.delivered, 0);
//!     assert_eq!(dead.shards["0"].state, LaneState::Behind);
//!
//!     run.await.expect("it does not panic")?;
//!     Ok(())
//! }
//! ```
