//! Patience: asks again until something is so, and polls a future by hand where a check has to stop half-way.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The first wait between two probes; it doubles up to [`LONGEST_WAIT`]. An instant mock is seldom asked twice.
const FIRST_WAIT: Duration = Duration::from_millis(1);
/// Kinesis allows five reads a second on a shard: asking more often would only be throttled.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Calls `probe` until it finds something, for `within` on tokio's clock. An instant backend answers at the first call;
/// one that is eventually consistent gets its time. `None` when the time is over.
///
/// # Cancel safety
///
/// As `probe` is: nothing is kept between two calls.
pub async fn eventually<T>(within: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let mut patience = Patience::of(within);
    loop {
        match probe().await {
            None if patience.wait().await => {}
            found => return found,
        }
    }
}

/// The waits between attempts, and when to stop.
#[derive(Debug)]
pub(super) struct Patience {
    deadline: Instant,
    wait: Duration,
}

impl Patience {
    pub(super) fn of(within: Duration) -> Self {
        Self { deadline: Instant::now() + within, wait: FIRST_WAIT }
    }

    /// Waits before another attempt; `false`: the time is over.
    pub(super) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        true
    }
}

/// Polls `future` up to `times` times, letting other tasks run in between, and then drops it. `None`: it was not ready.
pub(super) async fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(ready);
        }
        yield_once().await;
    }
    None
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_repeated_until_it_finds_something_or_the_time_is_over() {
        let mut calls = 0;
        let within = Duration::from_secs(1);
        let found = eventually(within, async || {
            calls += 1;
            (calls == 5).then_some(calls)
        });
        assert_eq!(found.await, Some(5));
        let start = Instant::now();
        assert_eq!(eventually(within, async || None::<()>).await, None);
        assert!(start.elapsed() >= within && start.elapsed() < within * 2);
    }

    #[tokio::test]
    async fn a_future_is_polled_so_often_and_no_more() {
        let three = || async {
            yield_once().await;
            yield_once().await;
        };
        assert_eq!(poll_times(2, three()).await, None);
        assert_eq!(poll_times(3, three()).await, Some(()));
        assert_eq!(poll_times(0, async {}).await, None);
    }
}
