//! The guide to Kinesis with this crate: what it has to be allowed, what it costs, how to choose and to tune.
//!
//! | page | questions it answers |
//! |---|---|
//! | [`permissions`] | Which actions on which resources, for polling, fan-out, the sink? |
//! | [`polling_or_fan_out`] | What do both cost? Which of them suits me? How do I tune it? |
//! | [`from_the_kcl`] | I know the Kinesis Client Library: what is called how here, and what is different? |
//!
//! What a pipeline promises, whatever it reads, is in [the guide of `kinesis-core`](kinesis_core::guide).

pub mod from_the_kcl;
pub mod permissions;
pub mod polling_or_fan_out;
