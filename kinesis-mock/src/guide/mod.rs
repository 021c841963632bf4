//! The guide to the wire: programs that are not in Rust, and servers that are not this one.
//!
//! | page | questions it answers |
//! |---|---|
//! | [`other_clients`] | How do boto3 and the AWS command line talk to the program `kinesis-mock`? |
//! | [`other_servers`] | What do kinesalite and kinesis-local do that the service does not? |
//!
//! Both are tried whenever something changes, by `.ci/peers`, which is a part of the gate.

pub mod other_clients;
pub mod other_servers;
