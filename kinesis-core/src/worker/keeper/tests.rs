//! Keepers over a store that keeps progress apart from the lease: progress renews nothing, and delays no renewal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Keeper, Kept, Order};
use crate::MemoryLeaseStore;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::{
    Cursor, CursorPosition, HeldLease, Lease, LeaseStore, Progress, Renewed, SubscriptionRecord, WorkerId,
};
use crate::observe::Silent;
use crate::shard::{Shard, ShardKey, StartPosition, StreamId};

const SECOND: Duration = Duration::from_secs(1);
const FAILOVER: Duration = Duration::from_secs(9);

/// Progress goes into a log and leaves the lease alone; renewals go to the store. Either fails when it is told to.
#[derive(Debug)]
struct Apart {
    inner: MemoryLeaseStore,
    began: Instant,
    /// When there was a renewal, or progress, and how much of it.
    log: Mutex<Vec<(Duration, Option<u64>)>>,
    takes: Duration,
    renewals_fail: AtomicBool,
    progress_fails: AtomicBool,
}

impl Apart {
    fn new(takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryLeaseStore::new(),
            began: Instant::now(),
            log: Mutex::default(),
            takes,
            renewals_fail: AtomicBool::new(false),
            progress_fails: AtomicBool::new(false),
        })
    }

    /// The seconds of all renewals.
    fn renewals(&self) -> Vec<f64> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(_, progress)| progress.is_none()).map(|(at, _)| at.as_secs_f64()).collect()
    }

    fn progress(&self) -> Vec<u64> {
        self.log.lock().unwrap().iter().filter_map(|(_, progress)| *progress).collect()
    }
}

#[async_trait]
impl LeaseStore for Apart {
    async fn list(&self) -> Result<Vec<Lease>> {
        self.inner.list().await
    }
    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        self.inner.get(key).await
    }
    async fn create(&self, lease: &Lease) -> Result<bool> {
        self.inner.create(lease).await
    }
    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        self.inner.claim(seen, me).await
    }
    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        self.inner.request(seen, me).await
    }
    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let at = self.began.elapsed();
        sleep(self.takes).await;
        let fails = if progress.is_some() { &self.progress_fails } else { &self.renewals_fail };
        if fails.load(Ordering::Relaxed) {
            let throttled = ErrorKind::Throttled { retry_after: Some(20 * SECOND) };
            return Err(Error::new(if progress.is_some() { throttled } else { ErrorKind::Transient }, "told to"));
        }
        let generation = |progress: &Progress| progress.cursors["audit"].generation;
        self.log.lock().unwrap().push((at, progress.map(generation)));
        match progress {
            Some(_) => Ok(Renewed::Held),
            None => self.inner.advance(held, None).await,
        }
    }
    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        self.inner.release(held, last, to).await
    }
    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        self.inner.reset(seen, to).await
    }
    async fn remove(&self, seen: &Lease) -> Result<bool> {
        self.inner.remove(seen).await
    }
    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.inner.subscriptions().await
    }
    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        self.inner.put_subscription(seen, new).await
    }
}

/// A keeper at work, and a runner that orders this much progress, one after the other.
struct Work {
    keeper: JoinHandle<(Kept, Duration)>,
    orders: watch::Sender<Order>,
    _commands: mpsc::UnboundedReceiver<super::Command>,
    _runner: JoinHandle<()>,
}

async fn work(store: &Arc<Apart>) -> Work {
    let row = Lease::new(&StreamId::new("orders"), &Shard::new("0"));
    store.create(&row).await.unwrap();
    let held = store.claim(&row, &"us".into()).await.unwrap().unwrap();
    let (orders, receiver) = watch::channel(Order::Hold(None));
    let (commands, _commands) = mpsc::unbounded_channel();
    let _runner = tokio::spawn(std::future::pending());
    let began = store.began;
    let keeper = Keeper {
        store: Arc::clone(store) as _,
        held,
        claimed: Instant::now(),
        failover: FAILOVER,
        drain: SECOND,
        orders: receiver,
        commands,
        runner: _runner.abort_handle(),
        observer: Arc::new(Silent),
    };
    let keeper = tokio::spawn(async move { (keeper.run().await, began.elapsed()) });
    Work { keeper, orders, _commands, _runner }
}

impl Work {
    /// Orders progress every `pause`, so many times.
    async fn order(&self, pause: Duration, numbers: std::ops::Range<u64>) {
        for n in numbers {
            sleep(pause).await;
            let cursor = Cursor::new(n, CursorPosition::Next(StartPosition::TrimHorizon));
            self.orders.send_replace(Order::Hold(Some(Arc::new(Progress::new([("audit".into(), cursor)])))));
        }
    }
}

/// Others judge the lease by its counter: a commit that leaves it alone must not put the renewal off.
#[tokio::test(start_paused = true)]
async fn progress_apart_from_the_lease_renews_nothing_and_the_renewal_comes_in_time() {
    let store = Apart::new(Duration::ZERO);
    let work = work(&store).await;
    work.order(SECOND, 0..30).await;
    sleep(SECOND / 2).await;
    let wanted: Vec<f64> = (1..=10).map(|nth| f64::from(nth * 3)).collect();
    assert_eq!(store.renewals(), wanted);
    assert_eq!(store.progress(), (0..30).collect::<Vec<_>>(), "each is stored once");
    assert!(!work.keeper.is_finished());
}

/// Somebody else takes the lease then: who only stores must not go on.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_is_given_up_however_much_is_stored() {
    let store = Apart::new(Duration::ZERO);
    store.renewals_fail.store(true, Ordering::Relaxed);
    let work = work(&store).await;
    work.order(SECOND, 0..20).await;
    let (kept, at) = work.keeper.await.unwrap();
    assert!(matches!(kept, Kept::Lost), "{kept:?}");
    assert!((FAILOVER - SECOND..=FAILOVER - FAILOVER / 10).contains(&at), "{at:?}");
    assert_eq!(store.progress(), (0..8).collect::<Vec<_>>());
}

/// The tables are throttled one by one: a second table that takes nothing must not cost the lease.
#[tokio::test(start_paused = true)]
async fn progress_that_cannot_be_stored_delays_no_renewal() {
    let store = Apart::new(Duration::ZERO);
    let work = work(&store).await;
    work.order(SECOND, 0..2).await;
    sleep(SECOND / 2).await;
    store.progress_fails.store(true, Ordering::Relaxed);
    work.order(SECOND, 2..40).await;
    store.progress_fails.store(false, Ordering::Relaxed);
    // Nobody asks any more, and what is not stored yet is tried again when the store has said.
    sleep(21 * SECOND).await;
    assert_eq!(store.progress(), [0, 1, 39]);
    let renewals = store.renewals();
    assert!(renewals.len() == 20 && renewals.windows(2).all(|pair| pair[1] - pair[0] < 3.1), "{renewals:?}");
    assert!(!work.keeper.is_finished());
}

/// There is always progress to be stored when the store is slow: the renewal must have its turn.
#[tokio::test(start_paused = true)]
async fn a_slow_store_that_is_always_asked_renews_in_time() {
    let store = Apart::new(SECOND + SECOND / 2);
    let work = work(&store).await;
    work.order(SECOND / 5, 0..300).await;
    let renewals = store.renewals();
    assert!(renewals.len() >= 10 && renewals.windows(2).all(|pair| pair[1] - pair[0] <= 4.6), "{renewals:?}");
    assert!(!work.keeper.is_finished());
}

/// Once it was taken for seen, when a renewal that was due went first, and was stored with the next one or never.
#[tokio::test(start_paused = true)]
async fn progress_that_is_ordered_while_a_renewal_goes_first_is_stored_after_it() {
    let store = Apart::new(SECOND + SECOND / 2);
    let work = work(&store).await;
    // The first says that progress is apart; the second is under way when the renewal falls due and the third is ordered.
    for (nth, millis) in [1_000, 1_600, 900].into_iter().enumerate() {
        work.order(Duration::from_millis(millis), nth as u64..nth as u64 + 1).await;
    }
    sleep(4 * SECOND).await;
    assert_eq!((store.renewals(), store.progress()), (vec![4.1], vec![0, 1, 2]));
}

/// Letting go stores the last progress with the lease, as ever.
#[tokio::test(start_paused = true)]
async fn a_last_word_is_stored_with_the_lease() {
    let store = Apart::new(Duration::ZERO);
    let work = work(&store).await;
    work.order(SECOND, 0..2).await;
    let last = Progress::new([("audit".into(), Cursor::new(9, CursorPosition::End))]);
    work.orders.send_replace(Order::Release(Arc::new(last.clone())));
    let (kept, _) = work.keeper.await.unwrap();
    assert!(matches!(kept, Kept::Released), "{kept:?}");
    let row = store.list().await.unwrap().remove(0);
    assert_eq!((row.owner, row.cursors), (None, last.cursors));
}
