//! A slot's queue: records that wait to be put together to a delivery.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use crate::broken::{self, Part};
use crate::pipeline::BatchPolicy;
use crate::record::Holding;
use crate::sink::Picks;

/// Records of one page, some of them delivered already.
#[derive(Debug)]
struct Segment {
    page: Arc<Holding>,
    picks: Picks,
    /// How many of the picks have left.
    gone: usize,
    since: Instant,
}

/// Records in order, and since when the first has been waiting.
#[derive(Debug, Default)]
pub(super) struct Queue {
    segments: VecDeque<Segment>,
    len: usize,
}

/// Records that leave a queue together.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) parts: Vec<(Arc<Holding>, Picks)>,
    pub(super) len: usize,
    pub(super) bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, page: &Arc<Holding>, picks: Picks, since: Instant) {
        self.len += picks.len();
        self.segments.push_back(Segment { page: Arc::clone(page), picks, gone: 0, since });
    }

    /// Puts a record back before all others.
    pub(super) fn push_front(&mut self, page: Arc<Holding>, index: u32, since: Instant) {
        self.len += 1;
        self.segments.push_front(Segment { page, picks: Picks::Run { from: index, to: index + 1 }, gone: 0, since });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes everything out, in order.
    pub(super) fn take_all(&mut self) -> Vec<(Arc<Holding>, usize)> {
        let segments = std::mem::take(self).segments.into_iter();
        let records = |segment: Segment| {
            let Segment { page, picks, gone, .. } = segment;
            (gone..picks.len()).map(move |nth| (Arc::clone(&page), picks.get(nth)))
        };
        segments.flat_map(records).collect()
    }

    /// When the delivery that the queue begins with is due even if it is not full; `None` when nothing waits.
    pub(super) fn due(&self, policy: &BatchPolicy) -> Option<Instant> {
        let first = self.segments.front()?;
        Some(if self.len >= policy.max_records { first.since } else { first.since + policy.max_wait })
    }

    /// Takes one delivery's worth from the front. `aside` says of a record that it cannot go now, and keeps it.
    pub(super) fn take(&mut self, policy: &BatchPolicy, mut aside: impl FnMut(&Arc<Holding>, usize) -> bool) -> Taken {
        let max_bytes = if broken::is(Part::BatchOverfull) { usize::MAX } else { policy.max_bytes };
        let mut taken = Taken::default();
        while taken.len < policy.max_records
            && let Some(segment) = self.segments.front_mut()
        {
            let mut run = Collected::default();
            let mut full = false;
            while segment.gone < segment.picks.len() {
                let index = segment.picks.get(segment.gone);
                if aside(&segment.page, index) {
                    segment.gone += 1;
                    self.len -= 1;
                    continue;
                }
                let size = segment.page.size(index);
                full = taken.len + run.len >= policy.max_records
                    || (taken.len + run.len > 0 && taken.bytes + size > max_bytes);
                if full {
                    break;
                }
                run.push(index as u32);
                taken.bytes += size;
                segment.gone += 1;
                self.len -= 1;
            }
            taken.len += run.len;
            taken.parts.extend(run.into_picks().map(|picks| (Arc::clone(&segment.page), picks)));
            if segment.gone == segment.picks.len() {
                self.segments.pop_front();
            }
            if full {
                break;
            }
        }
        taken
    }
}

/// Indices as they come, kept as a run for as long as they are neighbours.
#[derive(Debug, Default)]
struct Collected {
    from: u32,
    len: usize,
    scattered: Vec<u32>,
}

impl Collected {
    fn push(&mut self, index: u32) {
        if self.len == 0 {
            self.from = index;
        } else if !self.scattered.is_empty() {
            self.scattered.push(index);
        } else if index != self.from + self.len as u32 {
            self.scattered = (self.from..self.from + self.len as u32).chain([index]).collect();
        }
        self.len += 1;
    }

    fn into_picks(self) -> Option<Picks> {
        match self.len {
            0 => None,
            _ if !self.scattered.is_empty() => Some(Picks::These(self.scattered)),
            len => Some(Picks::Run { from: self.from, to: self.from + len as u32 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Page;
    use crate::{Record, SequenceNumber};
    use std::time::Duration;

    fn page(count: u64) -> Arc<Holding> {
        let record = |n| Record::new(SequenceNumber::from(n), "k", vec![0; 9]);
        Arc::new(Holding::unaccounted(Page::new((0..count).map(record).collect(), None, None, None)))
    }

    fn indices(taken: &Taken) -> Vec<usize> {
        taken.parts.iter().flat_map(|(_, picks)| (0..picks.len()).map(|nth| picks.get(nth))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn deliveries_are_bounded_by_records_and_by_bytes_but_never_empty() {
        let mut queue = Queue::default();
        queue.push(&page(8), Picks::Run { from: 0, to: 3 }, Instant::now());
        queue.push(&page(8), Picks::These(vec![4, 6, 7]), Instant::now());
        let four = BatchPolicy { max_records: 4, ..BatchPolicy::default() };
        let taken = queue.take(&four, |_, _| false);
        assert_eq!((indices(&taken), taken.bytes), (vec![0, 1, 2, 4], 40));
        let tiny = BatchPolicy { max_records: 4, max_bytes: 5, ..BatchPolicy::default() };
        assert_eq!(indices(&queue.take(&tiny, |_, _| false)), [6]);
        assert_eq!(queue.len, 1);
        assert_eq!(indices(&queue.take(&four, |_, _| false)), [7]);
        assert_eq!((queue.len, queue.due(&four)), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_aside_leaves_and_its_neighbours_go() {
        let mut queue = Queue::default();
        queue.push(&page(6), Picks::Run { from: 0, to: 6 }, Instant::now());
        let mut aside = Vec::new();
        let policy = BatchPolicy::of(3);
        let taken = queue.take(&policy, |_, index| {
            let put = index % 2 == 1;
            aside.extend(put.then_some(index));
            put
        });
        assert_eq!((indices(&taken), aside, queue.len), (vec![0, 2, 4], vec![1, 3, 5], 0));
        queue.push(&page(4), Picks::These(vec![0, 2, 3]), Instant::now());
        assert_eq!(indices(&queue.take(&BatchPolicy::of(1), |_, _| false)), [0]);
        assert_eq!(queue.take_all().iter().map(|(_, index)| *index).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(queue.len, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_delivery_is_due_at_once_and_another_after_the_wait() {
        let policy = BatchPolicy { max_records: 2, max_wait: Duration::from_secs(1), ..BatchPolicy::default() };
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(&page(2), Picks::Run { from: 0, to: 1 }, now);
        assert_eq!(queue.due(&policy), Some(now + policy.max_wait));
        queue.push_front(page(2), 1, now);
        assert_eq!(queue.due(&policy), Some(now));
    }
}
