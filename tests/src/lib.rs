//! What the stories and benches share.

pub mod measure;
pub mod simulation;
