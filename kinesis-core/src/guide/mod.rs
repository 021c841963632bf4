//! The guide: what a pipeline promises, how it keeps the promise, and where to turn when it does not do what you want.
//!
//! | page | questions it answers |
//! |---|---|
//! | [`delivery_guarantees`] | When is a record done? What comes again after a crash? Where do failed records go? |
//! | [`ordering`] | Which records stay in order? What does a retry hold up? |
//! | [`cursors`] | What is stored? How do I pause, replay, attach late, forget? What if records were trimmed? |
//! | [`isolation`] | What does a dead subscription cost the others? How does it catch up? |
//! | [`resharding`] | What happens at a split or a merge? |
//! | [`back_pressure`] | How much is in memory? What stops the reading? |
//! | [`tuning`] | Which knob for which symptom? Where do the defaults come from? |
//!
//! The pages have nothing but documentation in them.
//!
//! # How to read the references
//!
//! A promise ends with what proves it. ``(`file.rs`: `name`)`` is a test of this repository. `(simulation:
//! "words")` is an invariant that the simulator checks in every seed (`tests/src/simulation`). A test reads these
//! pages and fails when something that they name does not exist (``tests/tests/guide.rs``).
//!
//! A number is followed by the constant that holds it, with the file below `kinesis-core/src`, or by the document
//! of the service that it comes from.
//!
//! The examples run as they stand, without a network. They read `Lines`, a stream in memory of about seventy lines
//! (`kinesis-core/tests/guide/lines.rs`). It is a [`StreamSource`](crate::StreamSource) like any other.

pub mod back_pressure;
pub mod cursors;
pub mod delivery_guarantees;
pub mod isolation;
pub mod ordering;
pub mod resharding;
pub mod tuning;
