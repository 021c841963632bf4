//! The program as its users meet it: what it prints, delivers, leaves behind, and exits with.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod config;
mod exposition;
mod kinesis;
mod lambda;
mod lambda_api;
mod lambda_start;
mod leases;
mod listen;
mod refusals;
mod run;
mod signals;
mod state;
mod support;
mod table;
mod template;
mod watch;
