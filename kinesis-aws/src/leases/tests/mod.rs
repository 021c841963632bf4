//! The store with the real SDK against an embedded DynamoDB-compatible server.

mod conformance;
mod cost;
mod faults;
mod golden;
mod kcl;
mod many;
mod over;
mod over_faults;
mod pipeline;
mod races;
mod rig;
mod second;
