//! Records that a subscriber refused. A refusal is often its own mistake and soon mended: a route that is not there yet, a key
//! that has run out. So it is asked a few times more, slowly, before the record counts as refused for good.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// When a refused record is tried again: three times within ten minutes.
pub(super) const DELAYS: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(530)];

/// Of so many records is known how often they were refused; of more, nothing.
const MOST: usize = 100_000;

/// How often each record was refused that is neither delivered nor given up.
#[derive(Debug)]
pub(super) struct Refusals {
    delays: Vec<Duration>,
    counts: Mutex<HashMap<String, usize>>,
}

impl Refusals {
    pub(super) fn new(delays: Vec<Duration>) -> Self {
        Self { delays, counts: Mutex::default() }
    }

    /// A record was refused. After how long it is to be tried again; none when that is enough.
    pub(super) fn refused(&self, id: &str) -> Option<Duration> {
        if self.delays.is_empty() {
            return None;
        }
        let mut counts = self.counts();
        let count = counts.get(id).copied().unwrap_or_default();
        let delay = self.delays.get(count).copied();
        match delay {
            None => _ = counts.remove(id),
            Some(_) => {
                if counts.len() >= MOST {
                    counts.clear();
                }
                counts.insert(id.to_owned(), count + 1);
            }
        }
        delay
    }

    /// A record was delivered.
    pub(super) fn delivered(&self, id: &str) {
        let mut counts = self.counts();
        if !counts.is_empty() {
            counts.remove(id);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // The counts are whole at any time, whoever panicked.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_refused_for_good_after_the_last_delay_or_delivered_and_new_again() {
        let refusals = Refusals::new(DELAYS.to_vec());
        for delay in DELAYS {
            assert_eq!(refusals.refused("a"), Some(delay));
        }
        assert_eq!(refusals.refused("a"), None);
        assert_eq!(refusals.refused("b"), Some(DELAYS[0]));
        refusals.delivered("b");
        assert_eq!(refusals.refused("b"), Some(DELAYS[0]));
        assert_eq!(Refusals::new(Vec::new()).refused("a"), None);
    }
}
