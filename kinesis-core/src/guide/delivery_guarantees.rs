//! Delivery guarantees: at least once, and what that means for a sink.
//!
//! # At least once
//!
//! Every record that a subscription wants is handed to its sink until it is settled. No record is lost. A record may
//! come more than once. (simulation: "no record is lost", "nothing is delivered that was not put", "nothing is
//! delivered that was not subscribed to", "records arrive as they were put")
//!
//! There is one exception. The stream deletes records after its retention, and whoever has not read them by then
//! has lost them. That is told as a gap: see [`cursors`](super::cursors#gaps).
//!
//! # A settled record
//!
//! A record is settled when one of these is true:
//!
//! - The sink answered [`Delivered`](crate::Outcome::Delivered).
//! - It is stored as a dead letter ([`OnReject::DeadLetter`](crate::OnReject::DeadLetter)).
//! - It was passed over as configured ([`OnReject::Skip`](crate::OnReject::Skip)).
//! - Its channel is not one that the subscription takes.
//! - It was trimmed, and the subscription may jump over gaps ([`OnGap::Jump`](crate::OnGap::Jump)).
//!
//! A cursor is a place in a shard before which everything is settled. It never passes a record that is not.
//! (simulation: "a cursor never passes an unsettled record", "a cursor never moves back")
//!
//! # What comes again
//!
//! - **After a crash**: everything behind the last stored cursor. Cursors are stored once a second while they move
//!   ([`commit_every`](crate::PipelineBuilder::commit_every)), when a shard ends, and at a drain. A record that holds
//!   the cursor back makes everything behind it come again, up to [`max_ahead`](crate::Demand::max_ahead) records.
//! - **From one worker to another**: what was in flight is done when a shard is handed over; what a worker that crashed had
//!   not stored comes again, from the others. (`tests/tests/workers.rs`:
//!   `newcomers_are_handed_their_share_and_nothing_is_lost_or_out_of_order`,
//!   `whoever_comes_and_goes_nothing_is_lost_or_out_of_order`)
//! - **After a drain**: what had overtaken, key beside key, a record that was not with its sink yet; with
//!   [`Ordering::PerShard`](crate::Ordering::PerShard) nothing. A drain finishes the deliveries in flight and stores
//!   every cursor.
//!   (`kinesis-core/src/pipeline/tests/ending.rs`: `a_restart_goes_on_behind_what_was_settled`,
//!   `a_drain_finishes_what_is_in_flight_and_says_when_it_could_not`; simulation: "a stop ends within its deadline")
//! - **After a lost answer**: a sink that took a record and then failed to say so is asked again.
//! - **After a lost lease**: the new holder starts at the stored cursor, while the old one may still deliver for a
//!   moment. No lease is taken from a worker that may live. (simulation: "no lease is taken from a worker that may
//!   live")
//! - **After a seek back**: what the seek asks for.
//!
//! # Ids
//!
//! [`Entry::id`](crate::Entry::id) names a record: `<shard>:<sequence number>`. It is the same over retries, reads and
//! restarts. Make the receiver idempotent by it. (`kinesis-core/src/sink/delivery.rs`: `ids_name_the_records`)
//! [`Delivery::id`](crate::Delivery::id) names a delivery. It is the same only if the same records come together again,
//! which a restart does not promise. Prefer the id of the record. Other records together have another name.
//! (`kinesis-core/src/sink/delivery.rs`: `deliveries_of_other_records_have_other_ids`)
//!
//! # Failures of a sink
//!
//! | what the sink does | what it counts as |
//! |---|---|
//! | `Err`, a panic, the wrong number of outcomes | a failure of the whole delivery |
//! | [`Retry`](crate::Outcome::Retry), or a record left unmarked | an attempt of that record |
//! | [`Busy`](crate::Outcome::Busy) | a wait, no attempt; it ends at the age |
//! | [`Rejected`](crate::Outcome::Rejected) | final: no attempt follows |
//!
//! - A panic and a wrong answer are failures like any other.
//!   (`kinesis-core/src/deliver/tests.rs`: `a_panic_and_a_wrong_answer_are_attempts`)
//! - Busy is a wait, up to the age.
//!   (`kinesis-core/src/deliver/tests.rs`: `busy_is_a_wait_and_not_an_attempt`, `a_busy_sink_is_given_up_at_the_age`)
//! - Busy for no time at all is for a record that a sink did not try because of one before it. It goes again with that
//!   one, or at once where that one is settled. (`kinesis-core/src/deliver/tests.rs`:
//!   `what_waited_behind_a_rejected_record_is_tried_at_once_and_not_charged`,
//!   `what_only_waits_behind_another_shortens_no_wait`)
//! - A delivery that fails as a whole twice in a row (`halve_after` in `retry.rs`) is halved, until the record that
//!   does not pass is alone. (`kinesis-core/src/deliver/tests.rs`:
//!   `a_poison_record_ends_alone_and_the_others_arrive`)
//! - Waits have full jitter: even between zero and 200 ms, doubled with each failure up to 30 s
//!   ([`RetryPolicy`](crate::RetryPolicy), defaults in `retry.rs`).
//!   (`kinesis-core/src/deliver/tests.rs`: `waits_grow_with_full_jitter_and_end_at_the_age`)
//! - A record is exhausted after `attempts`, if set, or 24 h after its first attempt in this process.
//!   (`kinesis-core/src/retry.rs`: `attempts_and_age_both_exhaust`)
//!
//! # Rejected or exhausted
//!
//! [`on_reject`](crate::Subscription::on_reject) says what becomes of the record.
//!
//! - `Halt`, the default: the subscription stops on every shard, its cursor before the record. The others go on.
//!   [`Handle::resume`](crate::Handle::resume) tries the record again.
//!   (`kinesis-core/src/pipeline/tests/halting.rs`: `a_subscription_that_halts_stops_alone`,
//!   `a_subscription_that_halts_stops_on_every_shard`; `tests/tests/seeking.rs`:
//!   `resuming_revives_a_subscription_that_has_halted`; simulation: "who halts has met what it may not pass")
//! - `Skip`: the record counts as settled. [`Event::Skipped`](crate::Event::Skipped) tells.
//! - `DeadLetter`: the record goes to another sink, with the reason and the number of attempts. It is settled when that
//!   sink has taken it. Until then the cursor waits.
//!   (`kinesis-core/src/deliver/tests.rs`: `a_rejected_record_is_a_dead_letter_with_its_reason_and_its_key_goes_on`;
//!   simulation: "a dead letter has a reason and its payload")
//!
//! Dead letters come at least once too. Putting them back into the stream gives up their order.
//!
//! # Example
//!
//! A receiver that takes a record, loses its answer, and recognises the record when it comes again. What cannot be read
//! becomes a dead letter.
//!
//! ```
//! # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guide/lines.rs")); }
//! # use lines::Lines;
//! use std::collections::BTreeSet;
//! use std::sync::Mutex;
//!
//! use async_trait::async_trait;
//! use kinesis_core::{
//!     Delivery, Error, OnReject, Outcome, Outcomes, Pipeline, Result, Sink, StartPosition, Subscription, channel_sink,
//! };
//! use tokio_stream::StreamExt;
//!
//! /// Stores numbers, each once. Every first answer is lost.
//! #[derive(Debug, Default)]
//! struct Numbers {
//!     stored: Mutex<BTreeSet<String>>,
//! }
//!
//! #[async_trait]
//! impl Sink for Numbers {
//!     async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
//!         let mut outcomes = Outcomes::unmarked(delivery.len());
//!         for (nth, entry) in delivery.iter().enumerate() {
//!             let readable = entry.data.iter().all(u8::is_ascii_digit);
//!             if !readable {
//!                 outcomes.mark(nth, Outcome::rejected("not a number"));
//!             } else if self.stored.lock().unwrap().insert(entry.id()) {
//!                 return Err(Error::transient("stored, but the answer is lost"));
//!             } else {
//!                 outcomes.mark(nth, Outcome::Delivered);
//!             }
//!         }
//!         Ok(outcomes)
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<()> {
//!     let stream = Lines::new();
//!     for (key, data) in [("a", "1"), ("b", "two"), ("a", "3")] {
//!         stream.put(key, data);
//!     }
//!     stream.finish();
//!
//!     let (letters, mut dead) = channel_sink();
//!     tokio::spawn(async move {
//!         while let Some(delivery) = dead.next().await {
//!             let letter = delivery.iter().next().unwrap();
//!             assert_eq!(letter.id(), "0:2");
//!             assert_eq!(letter.rejection().unwrap().reason, "not a number");
//!             delivery.delivered();
//!         }
//!     });
//!     let numbers = Subscription::new("numbers", Numbers::default())
//!         .start_at(StartPosition::TrimHorizon)
//!         .on_reject(OnReject::dead_letter(letters));
//!     let pipeline = Pipeline::builder("guide", stream).subscribe(numbers).build()?;
//!     let summary = pipeline.run_until(std::future::pending()).await?;
//!
//!     let counts = &summary.subscriptions["numbers"];
//!     assert_eq!((counts.delivered, counts.dead_lettered, counts.failed_attempts), (2, 1, 2));
//!     Ok(())
//! }
//! ```
