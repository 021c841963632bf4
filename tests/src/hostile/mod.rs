//! Hostile requests to a running receiver: what it is sent, and what it must answer all the same.

mod attack;
mod body;
mod connection;
pub mod request;
mod shape;

pub use attack::{Told, attack};
