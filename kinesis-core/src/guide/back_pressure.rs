//! Back-pressure: how much is in memory, and what stops the reading.
//!
//! Four bounds stand between the stream and a sink. A record moves on when all of them let it.
//!
//! | bound | of what | default |
//! |---|---|---|
//! | [`BatchPolicy`](crate::BatchPolicy) | one delivery | 1 record, 1 MiB, a wait of 50 ms |
//! | [`Demand`](crate::Demand) | a subscription on one shard | 1,000 records, 8 MiB |
//! | [`cap`](crate::Subscription::cap) | a subscription on all shards | a quarter of the budget |
//! | [`byte_budget`](crate::PipelineBuilder::byte_budget) | the whole pipeline | 256 MiB |
//!
//! (`BatchPolicy::default` in `pipeline/subscription.rs`, `Demand::default` in `demand.rs`, `default_cap` in
//! `pipeline/check.rs`, `byte_budget` in `pipeline/builder.rs`)
//!
//! # Demand
//!
//! A lane asks for up to `max` records. It asks again when it holds `min` or fewer, so that one read serves many
//! deliveries. Nothing is read that nobody asked for.
//!
//! - What is emitted never exceeds what was asked. (`kinesis-core/src/demand.rs`:
//!   `what_is_emitted_never_exceeds_what_was_asked`, `it_asks_again_only_when_few_are_held`;
//!   `kinesis-core/src/pipeline/tests/demand.rs`: `never_more_is_in_flight_than_was_asked_for`; simulation: "no
//!   more is in flight than was asked for")
//! - A record that waits for another attempt, or behind one of its key, does not count against `max`, and others
//!   come in its place. Its bytes count against `max_bytes`. (`kinesis-core/src/demand.rs`:
//!   `what_is_put_aside_takes_no_demand_but_keeps_its_bytes`)
//! - `max_ahead` bounds how far a lane looks past its cursor. Records of other channels count.
//!   (`kinesis-core/src/pipeline/tests/demand.rs`: `a_stuck_record_lets_the_others_run_ahead_so_far_and_no_further`)
//! - One record larger than `max_bytes` passes when it is alone.
//!
//! # Deliveries
//!
//! A delivery goes off when it is full or when its first record has waited for `max_wait`. (simulation: "no
//! delivery exceeds its policy"; `kinesis-core/src/pipeline/tests/order.rs`:
//! `deliveries_fill_up_to_the_bounds_or_the_wait`; `kinesis-core/src/lane/queue.rs`:
//! `deliveries_are_bounded_by_records_and_by_bytes_but_never_empty`)
//!
//! # The byte budget
//!
//! The budget counts records with what they take besides payload and key (`OVERHEAD` in `record/page.rs`), from
//! when they are read until nobody needs them. The rings count too, and so does what a read under way has been
//! granted.
//!
//! - A read asks for its room first. It asks for at most a quarter of the budget (`PART_OF_BUDGET` in
//!   `feed/track.rs`), and for at most 10,000 records and 10 MiB (`MOST_RECORDS` and `MOST_BYTES` in
//!   `feed/track.rs`; API reference of `GetRecords`).
//! - Half of the budget is for the rings, the same share for every shard. The other half is for what lanes hold.
//!   (`kinesis-core/src/budget.rs`: `every_shard_has_the_same_share_of_half_the_budget`)
//! - Memory stays within the budget, but for one page and one record for every lane. (`tests/tests/isolation.rs`:
//!   `memory_stays_within_the_budget_but_for_a_page_and_a_record_for_everybody`; simulation: "memory stays within
//!   the budget", "at rest nothing is held")
//! - A subscription stays within its cap, but for one record on every shard. (`tests/tests/isolation.rs`:
//!   `a_cap_smaller_than_a_page_is_kept_but_for_a_record_a_shard`; simulation: "a subscription stays within its
//!   cap"; `kinesis-core/src/budget.rs`:
//!   `a_subscription_has_no_room_past_its_cap_nor_while_the_budget_is_overdrawn`)
//!
//! # When nothing is left
//!
//! Nobody waits for ever.
//!
//! - **The turn.** One read at a time goes without room, in the order of asking. A lane that holds nothing takes
//!   one record whatever the budget says. Even a budget of one byte delivers everything.
//!   (`tests/tests/isolation.rs`: `a_budget_of_one_byte_still_delivers_everything`; `kinesis-core/src/budget.rs`:
//!   `the_turn_is_one_and_passes_on`; `kinesis-core/src/feed/tests.rs`:
//!   `a_read_without_room_waits_for_the_turn_and_passes_it_on`)
//! - **Giving back.** While somebody waits, rings shrink to their share. A lane that has settled nothing for 1 s
//!   (`PATIENCE` in `worker/runner/pressure.rs`) lets go of every record that is not with its sink, and reads it
//!   again later. It may keep a 64th of the budget, 64 KiB at most (`FLOOR` in `lane/give_back.rs`). It takes less
//!   at a time after that, and twice as much again every second when nobody waits any more.
//! - A record that was given back gets no attempt more, and keys keep their order.
//!   (`tests/tests/isolation.rs`: `under_pressure_no_record_gets_an_attempt_more_and_keys_keep_their_order`;
//!   `tests/tests/seeking.rs`: `a_record_that_was_given_back_between_attempts_gets_no_attempt_more`)
//! - If the stream has trimmed it in the meantime, that is a gap.
//!   (`tests/tests/gaps.rs`: `records_that_a_dead_subscription_gave_back_are_missed_when_they_are_trimmed`)
//!
//! What is with a sink is never taken away. A sink that keeps many deliveries for long keeps their memory.
//!
//! A source that cannot be read again gives nothing back. Its front waits instead.
//! (`kinesis-core/src/pipeline/tests/pipes.rs`: `a_slow_subscription_holds_the_feed_of_a_pipe_back_and_loses_nothing`)
//!
//! # Example
//!
//! A slow sink with a small demand. At no time are more than four records taken and not settled.
//!
//! ```
//! # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guide/lines.rs")); }
//! # use lines::Lines;
//! use std::time::Duration;
//!
//! use kinesis_core::{Demand, Ordering, Pipeline, Result, StartPosition, Subscription, handler};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<()> {
//!     let stream = Lines::new();
//!     (0..100).for_each(|n| drop(stream.put(&format!("key {n}"), "a payload")));
//!     let slow = handler(|_| tokio::time::sleep(Duration::from_millis(100)));
//!     let slow = Subscription::new("slow", slow)
//!         .start_at(StartPosition::TrimHorizon)
//!         .ordering(Ordering::unordered(2))
//!         .demand(Demand { min: 2, max: 4, max_ahead: 100, ..Demand::default() })
//!         .cap(64 << 10);
//!     let pipeline = Pipeline::builder("guide", stream.clone()).byte_budget(1 << 20).subscribe(slow).build()?;
//!     let handle = pipeline.handle();
//!     let run = tokio::spawn(pipeline.run_until(std::future::pending()));
//!
//!     let mut most = 0;
//!     loop {
//!         tokio::time::sleep(Duration::from_millis(30)).await;
//!         let status = handle.status().await?;
//!         let slow = &status.subscriptions["slow"];
//!         most = most.max(slow.shards.get("0").map_or(0, |lane| lane.unsettled));
//!         assert!(slow.held_bytes <= slow.cap && status.budget.used <= status.budget.limit);
//!         if slow.counts.delivered == 100 {
//!             break;
//!         }
//!     }
//!     assert!((2..=4).contains(&most), "{most}");
//!     stream.finish();
//!     run.await.expect("it does not panic")?;
//!     Ok(())
//! }
//! ```
