//! The forwarder's rooms, as a library so that tests reach them; the program is `main.rs`.

pub mod input;
