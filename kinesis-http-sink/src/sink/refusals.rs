//! Records that a subscriber refused. A refusal is often its own mistake and soon mended: a route that is not there yet, a key
//! that has run out. So it is asked a few times more, slowly, before the record counts as refused for good.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a refused record is tried again: three times within ten minutes.
pub(super) const DELAYS: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(530)];

/// Of so many records is known how often they were refused; of more, nothing.
const MOST: usize = 100_000;

/// The records that were refused and are neither delivered nor given up.
#[derive(Debug)]
pub(super) struct Refusals {
    delays: Vec<Duration>,
    known: Mutex<HashMap<String, Refused>>,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    times: usize,
    /// It is not asked about before. Whoever brings it early, because a neighbour of it had less to wait, would use up its
    /// chances otherwise.
    due: Instant,
}

impl Refusals {
    pub(super) fn new(delays: Vec<Duration>) -> Self {
        Self { delays, known: Mutex::default() }
    }

    /// How long a record is not to be asked about; none where it may be.
    pub(super) fn wait(&self, id: &str) -> Option<Duration> {
        let wait = self.known().get(id)?.due.saturating_duration_since(Instant::now());
        Some(wait).filter(|wait| !wait.is_zero())
    }

    /// A record was refused. After how long it is to be tried again; none when that is enough.
    pub(super) fn refused(&self, id: &str) -> Option<Duration> {
        if self.delays.is_empty() {
            return None;
        }
        let mut known = self.known();
        let times = known.get(id).map_or(0, |refused| refused.times);
        let delay = self.delays.get(times).copied();
        match delay {
            None => _ = known.remove(id),
            Some(delay) => {
                if known.len() >= MOST {
                    known.clear();
                }
                known.insert(id.to_owned(), Refused { times: times + 1, due: Instant::now() + delay });
            }
        }
        delay
    }

    /// A record was delivered.
    pub(super) fn delivered(&self, id: &str) {
        let mut known = self.known();
        if !known.is_empty() {
            known.remove(id);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Refused>> {
        // What is known is whole at any time, whoever panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test(start_paused = true)]
    async fn a_refused_record_is_not_asked_about_until_it_is_due() {
        let refusals = Refusals::new(DELAYS.to_vec());
        assert_eq!(refusals.wait("a"), None);
        refusals.refused("a");
        tokio::time::advance(DELAYS[0] / 2).await;
        assert_eq!((refusals.wait("a"), refusals.wait("b")), (Some(DELAYS[0] / 2), None));
        tokio::time::advance(DELAYS[0] / 2).await;
        assert_eq!(refusals.wait("a"), None);
    }
}
