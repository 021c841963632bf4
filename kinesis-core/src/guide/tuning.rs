//! Tuning: which knob for which symptom, and where the defaults come from.
//!
//! # Where to look
//!
//! [`Handle::status`](crate::Handle::status) shows the present: every subscription on every shard that this worker
//! holds, the shards, the budget. It answers while the stream does not. (`tests/tests/attaching.rs`:
//! `status_is_told_while_the_stream_does_not_answer`)
//!
//! An [`Observer`](crate::Observer) is told every [`Event`](crate::Event) as it happens: count them, or alarm on them.
//!
//! [`LaneStatus::to_tip`](crate::LaneStatus::to_tip) says when a subscription reaches the tip at the rate of the
//! last 30 s (`WINDOW` in `worker/runner/report.rs`). `Never` means that it does not come closer.
//! (`kinesis-core/src/worker/runner/report.rs`: `the_estimate_follows_the_rate_at_which_the_distance_shrinks`)
//!
//! # Symptoms
//!
//! | symptom | where to look | knob |
//! |---|---|---|
//! | a subscription has halted | `counts.halted`, `Event::Halted` | mend the sink and `Handle::resume`; `on_reject` for the future |
//! | it halted at a gap | `Event::Gap` | `Handle::seek`; `on_gap`; a longer retention of the stream |
//! | lag grows, `in_flight` is at its most, no failures | `state` is `AtFront` or `Behind` | `Ordering` with more slots; `BatchPolicy` with more records |
//! | lag grows, `in_flight` is small, failures | `last_failure`, `Event::AttemptFailed` | the sink; `retry.attempts` and dead letters |
//! | one key is late, the others are not | `unsettled` stays, `position` stays | `retry.attempts`, `retry.max_age`, dead letters |
//! | everything stops behind one record | `unsettled` at `max_ahead` | the same, or a larger `demand.max_ahead` |
//! | `Event::SinkBusy` again and again | `wait` of the event | fewer slots; the limit of the receiver |
//! | `WaitingForMemory` | `held_bytes` at `cap`? `budget.used` at `budget.limit`? | `cap`; `byte_budget` |
//! | `WaitingForReader` for long | how many subscriptions are `CatchingUp` | let fewer catch up at once: pause some |
//! | `CatchingUp`, `to_tip` is `Never` | `limiter.ready_in` of the shard | more shards; a larger `Share` of the limit |
//! | `Behind`, `in_flight` is not 0 | the sink does not answer | a timeout in the sink |
//! | `Event::ReadFailed` with `Throttled` | `read_failure`, `limiter` | `Throttled` around the source; a smaller share; `idle` |
//! | records come late though nothing lags | `Event::BatchRead` with few records | a smaller `idle`; `batch.max_wait` |
//! | many calls for few records | `Event::BatchRead` with 0 records | a larger `idle` |
//! | much comes again after a restart | `Event::ProgressStored` is rare | a smaller `commit_every`; a smaller `max_ahead` |
//! | `Event::RenewalLate`, `Event::LeaseLost` | does a sink block its thread? | `spawn_blocking`; a longer `failover` |
//! | `Event::StoreFailed` | its `kind` | the store; a longer `failover` |
//! | `drain_timed_out` | `in_flight` at the end | `drain_within`; a timeout in the sink |
//! | `Gated` for long | the lane of the parent | what holds it up there |
//!
//! A knob with a value that cannot work is refused at `build` and at `attach`, with the field, the value and the
//! way out. (`kinesis-core/src/pipeline/tests/config.rs`:
//! `what_cannot_work_is_refused_with_the_subscription_the_field_the_value_and_the_way_out`,
//! `what_build_refuses_is_refused_to_whoever_attaches_and_the_run_goes_on`)
//!
//! # Defaults of the pipeline
//!
//! All of them stand in `PipelineBuilder::new` in `pipeline/builder.rs`.
//!
//! | knob | default | why |
//! |---|---|---|
//! | `idle` | 250 ms | Kinesis allows 5 reads a second and shard (quotas page of the developer guide); four leave room |
//! | `commit_every` | 1 s | one write a second and shard at most; a second's records come again after a crash |
//! | `failover` | 10 s | as in the KCL (`failoverTimeMillis`); renewals come three times as often |
//! | `drain_within` | 30 s | the grace that Kubernetes and ECS give by default (their documentation) |
//! | `byte_budget` | 256 MiB | a choice: ten shards with a full ring of 20 MiB and something besides |
//!
//! # Defaults of a subscription
//!
//! | knob | default | why |
//! |---|---|---|
//! | `start_at` | `Latest` | nobody is surprised by a day of old records |
//! | `ordering` | per key, 8 slots | [`ordering`](super::ordering) |
//! | `batch.max_records` | 1 | the simplest sink; raise it first when throughput matters |
//! | `batch.max_bytes` | 1 MiB | a choice |
//! | `batch.max_wait` | 50 ms | a fifth of the idle interval; without effect for single records |
//! | `demand` | 500 to 1,000 records, 8 MiB | a second of a shard's writes: 1,000 records (quotas page) |
//! | `demand.max_ahead` | 10,000 | one of the largest answers (API reference of `GetRecords`) |
//! | `retry` | 200 ms to 30 s, full jitter | a choice; a limiter of 5 calls a second waits for 200 ms |
//! | `retry.max_age` | 24 h | the least retention of a stream (quotas page) |
//! | `retry.attempts` | no bound | the age alone gives up |
//! | `on_reject`, `on_gap` | `Halt` | nothing is lost without somebody having said so |
//! | `cap` | a quarter of the budget | four subscriptions can be full at once |
//!
//! # Throughput
//!
//! - Raise `batch.max_records`. A delivery costs a task and a report, whatever its size (`BENCHMARKS.md`).
//! - Raise the slots, if the sink waits for a network. Deliveries at once on a shard are the slots.
//! - `demand.max` has to be a few times slots times records of a batch, or slots go hungry.
//! - With more than eight shards, the default `cap` (64 MiB) is reached before `demand.max_bytes` (8 MiB a shard).
//!
//! # The limit of a shard
//!
//! A source over Kinesis neither paces nor repeats its calls. [`wrap::Throttled`](crate::wrap::Throttled) keeps to
//! 5 calls and 2 MB a second for each shard ([`Limits::kinesis_shard`](crate::limit::Limits::kinesis_shard)), or to
//! a share of it where other applications read the same stream. (`kinesis-core/src/limit/tests.rs`:
//! `a_shard_of_kinesis_sees_five_calls_in_any_second`, `a_10_mb_answer_costs_five_seconds`,
//! `a_share_of_one_fifth_leaves_one_call_and_400_kb_a_second`)
//!
//! # Example
//!
//! The defaults, and a subscription that is tuned for throughput.
//!
//! ```
//! use std::time::Duration;
//!
//! use kinesis_core::{BatchPolicy, Demand, Ordering, RetryPolicy, Subscription, handler};
//!
//! let demand = Demand::default();
//! assert_eq!((demand.min, demand.max, demand.max_bytes, demand.max_ahead), (500, 1_000, 8 << 20, 10_000));
//! let batch = BatchPolicy::default();
//! assert_eq!((batch.max_records, batch.max_bytes, batch.max_wait), (1, 1 << 20, Duration::from_millis(50)));
//! let retry = RetryPolicy::default();
//! assert_eq!((retry.base, retry.cap), (Duration::from_millis(200), Duration::from_secs(30)));
//! assert_eq!((retry.attempts, retry.max_age.as_secs(), retry.halve_after.get()), (None, 24 * 60 * 60, 2));
//! assert_eq!(Ordering::default(), Ordering::per_key(8));
//!
//! let fast = Subscription::new("fast", handler(|_| async {}))
//!     .ordering(Ordering::per_key(32))
//!     .batch(BatchPolicy::of(100))
//!     .demand(Demand { min: 5_000, max: 10_000, max_bytes: 32 << 20, max_ahead: 20_000 });
//! # drop(fast);
//! ```
