//! The program as its users meet it: what it prints, delivers, leaves behind, and exits with.

mod listen;
mod refusals;
mod run;
mod signals;
mod support;
