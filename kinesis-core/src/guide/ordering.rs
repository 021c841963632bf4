//! Ordering: which records stay in order, and what waits when one is not taken.
//!
//! # The three orders
//!
//! [`Subscription::ordering`](crate::Subscription::ordering) chooses one for each subscription.
//!
//! | order | deliveries at once on a shard | a record that is not taken holds |
//! |---|---|---|
//! | [`PerKey`](crate::Ordering::PerKey), the default, 8 slots | one in each slot | its partition key |
//! | [`PerShard`](crate::Ordering::PerShard) | one | everything behind it |
//! | [`Unordered`](crate::Ordering::Unordered) | as many as you say | nothing |
//!
//! The 8 is a choice of this crate (`Ordering::default` in `pipeline/subscription.rs`). It lets a sink with a wait
//! of 10 ms take 800 deliveries a second from a shard, where Kinesis takes in at most 1,000 records a second
//! (quotas page of the Kinesis developer guide).
//!
//! # Per key
//!
//! - Records of one partition key reach the sink in the order in which they were put. (simulation: "order is kept")
//! - The order holds over splits and merges: see [`resharding`](super::resharding).
//!   (simulation: "a child is never read before its parents")
//! - Keys are spread over the slots by hash. Records of a slot go one delivery after another, so a slow delivery delays
//!   the other keys of its slot. More slots mean fewer neighbours.
//! - A record that failed leaves its slot. It holds its own key, and its neighbours go on.
//!   (`kinesis-core/src/pipeline/tests/order.rs`: `a_retry_holds_its_key_and_not_its_neighbours`)
//! - What comes behind a held key waits, and takes no demand while it does.
//!   (`kinesis-core/src/pipeline/tests/demand.rs`: `what_waits_behind_a_key_leaves_room_for_its_neighbours`,
//!   `what_waited_behind_a_key_comes_back_within_the_demand`)
//! - Two keys of one hash hold each other. That costs time and nothing else.
//!
//! # Within a delivery
//!
//! A delivery can have several records of one key, in order. If the sink does not take one of them, everything of the
//! key behind it goes again with it, even what the sink marked as delivered.
//! (`kinesis-core/src/deliver/tests.rs`: `everything_of_a_key_behind_a_failed_record_goes_again_with_it`,
//! `order_per_shard_holds_everything_and_no_order_holds_nothing`)
//!
//! A delivery that failed as a whole comes again in one piece, and then in halves. Halves are delivered one after
//! the other, the first one first. Once a record has failed alone, what is behind it of its key stays behind it,
//! and the rest goes on at once. (`kinesis-core/src/deliver/tests.rs`:
//! `a_poison_record_holds_its_key_and_not_its_neighbours`)
//!
//! A record that is rejected, skipped or stored as a dead letter is settled. Its key goes on.
//! (`kinesis-core/src/deliver/tests.rs`: `a_rejected_record_is_a_dead_letter_with_its_reason_and_its_key_goes_on`)
//!
//! # How far others run ahead
//!
//! While a record is stuck, other keys run at most [`max_ahead`](crate::Demand::max_ahead) records past the cursor:
//! 10,000 by default (`Demand::default` in `demand.rs`), one of the largest answers of Kinesis. Records of channels
//! that the subscription does not take count too. After that the subscription waits for the stuck record.
//! (`kinesis-core/src/pipeline/tests/demand.rs`: `a_stuck_record_lets_the_others_run_ahead_so_far_and_no_further`)
//!
//! # Under pressure
//!
//! A subscription that gives its records back reads them again later ([`back_pressure`](super::back_pressure)). The
//! order of every key holds through that.
//! (`tests/tests/isolation.rs`: `under_pressure_no_record_gets_an_attempt_more_and_keys_keep_their_order`;
//! `kinesis-core/src/lane/absent.rs`: `records_of_a_key_come_back_in_order_and_each_in_its_time`)
//!
//! # What has no order
//!
//! - Records of different keys, unless the order is per shard. Even then, shards have no order among each other.
//! - Dead letters that are put back into the stream.
//! - Records that come again: after a restart, records of a key come again from the cursor on, older ones after newer
//!   ones that were delivered before. Within the new run they are in order.
//!
//! # Example
//!
//! The first record of `a` fails once. The other records of `a` wait for it, and `b` does not.
//!
//! ```
//! # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guide/lines.rs")); }
//! # use lines::Lines;
//! use std::sync::{Arc, Mutex};
//!
//! use kinesis_core::{Ordering, Outcome, Pipeline, Result, StartPosition, Subscription, handler};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<()> {
//!     let stream = Lines::new();
//!     for data in ["a1", "b1", "a2", "b2", "a3"] {
//!         stream.put(&data[..1], data);
//!     }
//!     stream.finish();
//!
//!     let taken = Arc::new(Mutex::new(Vec::new()));
//!     let (notes, failed) = (Arc::clone(&taken), Arc::new(Mutex::new(false)));
//!     let sink = handler(move |record| {
//!         let text = String::from_utf8_lossy(&record.data).into_owned();
//!         let first_time = text == "a1" && !std::mem::replace(&mut *failed.lock().unwrap(), true);
//!         if !first_time {
//!             notes.lock().unwrap().push(text);
//!         }
//!         async move { if first_time { Outcome::Retry } else { Outcome::Delivered } }
//!     });
//!     let audit = Subscription::new("audit", sink)
//!         .start_at(StartPosition::TrimHorizon)
//!         .ordering(Ordering::per_key(8));
//!     Pipeline::builder("guide", stream).subscribe(audit).build()?.run_until(std::future::pending()).await?;
//!
//!     let taken = taken.lock().unwrap().clone();
//!     let of = |key: &str| -> Vec<&String> { taken.iter().filter(|text| text.starts_with(key)).collect() };
//!     assert_eq!(of("a"), ["a1", "a2", "a3"]);
//!     assert_eq!(of("b"), ["b1", "b2"]);
//!     assert_eq!(taken[0], "b1", "b did not wait for a");
//!     Ok(())
//! }
//! ```
