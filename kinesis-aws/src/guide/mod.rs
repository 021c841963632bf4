//! The guide to Kinesis with this crate: what it has to be allowed, what it costs, how to choose and to tune.
//!
//! | page | questions it answers |
//! |---|---|
//! | [`permissions`] | Which actions on which resources, for polling, fan-out, the sink? |
//! | [`polling_or_fan_out`] | What do both cost? Which of them suits me? How do I tune it? |
//! | [`from_the_kcl`] | I know the Kinesis Client Library: what is called how here, and what is different? |
//! | `beside_the_kcl` | How do I share a lease table with a KCL application, replace it, go back? What do leases cost? |
//!
//! What a pipeline promises, whatever it reads, is in [the guide of `kinesis-core`](kinesis_core::guide).

#[cfg(feature = "dynamodb")]
pub mod beside_the_kcl;
pub mod from_the_kcl;
pub mod permissions;
pub mod polling_or_fan_out;
