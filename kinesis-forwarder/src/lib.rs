//! The forwarder's rooms, as a library so that tests reach them; the program is `main.rs`.

pub mod cli;
pub mod dead_letters;
pub mod demo;
pub mod give_up;
pub mod input;
pub mod listen;
pub mod output;
pub mod run;
mod shutdown;
