//! The forwarder's rooms, as a library so that tests reach them; the program is `main.rs`.

mod aws;
pub mod cli;
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
