//! The forwarder's rooms, as a library so that tests reach them; the program is `main.rs`.
//!
//! Whatever says what is to run becomes a [`Config`](config::Config): the command line, the environment, a file. [`run`](mod@run)
//! makes a pipeline of it, and [`watch`] tells over HTTP how that does.

mod aws;
pub mod cli;
pub mod config;
pub mod dead_letters;
pub mod demo;
mod drive;
pub mod give_up;
pub mod input;
pub mod lambda;
pub mod leases;
pub mod listen;
pub mod output;
pub mod publish;
pub mod run;
mod shutdown;
mod subscribers;
pub mod tail;
pub mod watch;
