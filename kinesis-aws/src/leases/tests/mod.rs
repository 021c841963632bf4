//! The store with the real SDK against an embedded DynamoDB-compatible server.

mod conformance;
mod rig;
