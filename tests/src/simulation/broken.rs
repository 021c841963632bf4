//! Worlds in which a part of the pipeline is broken on purpose: some promise has to notice.

use std::cell::Cell;
use std::ops::Range;
use std::panic;
use std::sync::Once;

pub use kinesis_core::broken::Part;
use kinesis_core::broken::with;

use super::{Door, fleet, live};

/// A world with a broken part may have so many beats. Nothing that works needs as many, and it takes seconds at most.
const BEATS: u64 = 300_000;

/// How a broken part was caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// The seed whose world showed it.
    pub seed: u64,
    /// The promise that was broken first.
    pub promise: &'static str,
}

/// The first of these seeds at which a broken part is noticed. Where the same world breaks a promise with every part
/// whole, that proves nothing.
#[must_use]
pub fn catch(part: Part, mut seeds: Range<u64>) -> Option<Caught> {
    seeds.find_map(|seed| {
        let world =
            |beats| if part.is_of_a_fleet() { fleet::live(seed, beats) } else { live(seed, Door::Source, beats) };
        let story = quietly(|| with(part, || world(BEATS)));
        let promise = story.violations.first()?.promise;
        world(u64::MAX).violations.is_empty().then_some(Caught { seed, promise })
    })
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls `act` without a word of what panics on this thread: with a broken part, much may.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let done = act();
    QUIET.set(false);
    done
}
