//! Keys that are held back: a record of theirs waits for another attempt, and what comes behind it waits here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::broken::{self, Part};
use crate::record::Holding;

/// A record that waits behind another one of its key.
pub(super) type Waiting = (Arc<Holding>, u32);

/// Which keys are held, by hash: two keys of one hash hold each other, which costs time and nothing else.
#[derive(Debug, Default)]
pub(super) struct HeldKeys {
    keys: HashMap<u64, Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Records that are being retried.
    open: usize,
    waiting: VecDeque<Waiting>,
}

impl HeldKeys {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Counts one more record of `key` that is being retried.
    pub(super) fn hold(&mut self, key: u64) {
        self.keys.entry(key).or_default().open += 1;
    }

    /// Keeps a record if its key is held.
    pub(super) fn keep(&mut self, key: u64, page: &Arc<Holding>, index: usize) -> bool {
        match self.keys.get_mut(&key).filter(|_| !broken::is(Part::RetryOvertaken)) {
            Some(held) => {
                held.waiting.push_back((Arc::clone(page), index as u32));
                true
            }
            None => false,
        }
    }

    /// Takes out everything that waits; the keys stay held.
    pub(super) fn take_waiting(&mut self) -> Vec<Waiting> {
        self.keys.values_mut().flat_map(|held| std::mem::take(&mut held.waiting)).collect()
    }

    /// Counts one record of `key` as settled; returns what waited for it when it was the last.
    pub(super) fn release(&mut self, key: u64) -> VecDeque<Waiting> {
        let Some(held) = self.keys.get_mut(&key) else { return VecDeque::new() };
        held.open -= 1;
        if held.open > 0 {
            return VecDeque::new();
        }
        self.keys.remove(&key).map(|held| held.waiting).unwrap_or_default()
    }
}
