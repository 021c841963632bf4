//! Enhanced fan-out: the service pushes the records of a shard to a registered consumer, over one subscription a shard.
//!
//! A [`reader`] keeps what the pipeline asks for apart from what the service sends: its [`subscription`] reads on a task of
//! its own, one event ahead, and lets go when nobody asks. [`frames`] cuts the body into frames, [`events`] reads them, and
//! [`consumer`] finds or registers who subscribes.

mod consumer;
mod events;
mod frames;
mod reader;
mod subscription;
mod taken;
#[cfg(test)]
mod tests;

pub(crate) use consumer::register;
#[cfg(feature = "fuzzing")]
pub(crate) use frames::Frames;
pub(crate) use reader::{FanOut, FanOutReader};
