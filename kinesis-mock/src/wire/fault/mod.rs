//! What the wire does wrong, on which call: by a script of the next calls, by rules, or by a file of rules.

mod answer;
mod file;
mod rule;
mod script;

pub use answer::Answer;
pub use rule::Rule;

pub(super) use answer::throttled_entry;
pub(super) use script::Script;
