//! The limits hold over every window, and waiting for them is fair and can be given up.

use super::*;
use proptest::prelude::*;

fn limits(calls: u32, burst: u32, bytes: u64, share: f64) -> Limits {
    Limits {
        calls_per_second: NonZeroU32::new(calls).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
        bytes_per_second: NonZeroU64::new(bytes).unwrap(),
        share: Share::new(share).unwrap(),
    }
}

proptest! {
    /// A reader that calls as early as it may, with pauses, slow answers and answers of any size in between.
    #[test]
    fn no_window_has_more_than_the_rate_and_the_burst(
        calls in 1..50u32,
        burst in 1..10u32,
        bytes_per_second in 1_000..5_000_000u64,
        share in 0.01..=1.0f64,
        steps in prop::collection::vec((0..3_000u64, 0..500u64, 0..2_000_000usize), 2..60),
    ) {
        let limits = limits(calls, burst, bytes_per_second, share);
        let mut bucket = Bucket::new(limits);
        let mut now = Instant::now();
        let mut taken = Vec::new();
        for (pause, latency, bytes) in steps {
            now += Duration::from_millis(pause);
            if let Err(ready) = bucket.take(now) {
                prop_assert!(ready > now);
                now = ready;
                prop_assert_eq!(bucket.take(now), Ok(()), "not ready at the instant it named");
            }
            taken.push((now, bytes));
            now += Duration::from_millis(latency);
            bucket.charge(now, bytes);
        }
        let rounding = 1e-6;
        for first in 0..taken.len() {
            for last in first + 1..taken.len() {
                let window = (taken[last].0 - taken[first].0).as_secs_f64() + rounding;
                let most = f64::from(calls) * share * window + f64::from(burst);
                prop_assert!((last - first + 1) as f64 <= most, "{} calls in {window} s", last - first + 1);
                // The last answer of a window is the debt it leaves to the next one.
                let answered: usize = taken[first..last].iter().map(|(_, bytes)| bytes).sum();
                let most = bytes_per_second as f64 * share * window;
                prop_assert!(answered as f64 <= most, "{answered} bytes in {window} s");
            }
        }
    }
}

#[test]
fn a_shard_of_kinesis_sees_five_calls_in_any_second() {
    let mut bucket = Bucket::new(Limits::kinesis_shard());
    let start = Instant::now();
    let second = (0..1000).filter(|ms| bucket.take(start + Duration::from_millis(*ms)).is_ok()).count();
    assert_eq!(second, 5);
}

#[test]
fn a_burst_follows_a_pause_and_is_not_saved_up_further() {
    let mut bucket = Bucket::new(limits(5, 3, 1, 1.0));
    let later = Instant::now() + Duration::from_secs(3600);
    for now in [Instant::now(), later] {
        assert_eq!((0..10).filter(|_| bucket.take(now).is_ok()).count(), 3);
    }
}

#[test]
fn a_share_of_one_fifth_leaves_one_call_and_400_kb_a_second() {
    let mut bucket = Bucket::new(Limits::kinesis_shard().with_share(Share::new(0.2).unwrap()));
    let now = Instant::now();
    assert!(bucket.take(now).is_ok());
    assert_eq!(bucket.ready_at(now), now + Duration::from_secs(1));
    bucket.charge(now, 800_000);
    assert_eq!(bucket.ready_at(now), now + Duration::from_secs(2));
}

#[test]
fn a_share_is_above_nothing_and_at_most_all() {
    for bad in [0.0, -0.5, 1.1, 1e-300, f64::NAN, f64::INFINITY] {
        let error = Share::new(bad).unwrap_err();
        assert!(error.to_string().contains("from 0.001 to 1"), "{error}");
        assert!(serde_json::from_str::<Share>(&bad.to_string()).is_err());
    }
    assert_eq!(serde_json::from_str::<Share>("0.5").unwrap(), Share::new(0.5).unwrap());
}

#[test]
fn no_answer_is_too_large_to_be_charged() {
    let mut bucket = Bucket::new(limits(1, 1, 1, 0.001));
    let now = Instant::now();
    bucket.charge(now, usize::MAX);
    bucket.charge(now, usize::MAX);
    assert_eq!(bucket.ready_at(now), now + LONGEST_DEBT * 2);
}

#[tokio::test(start_paused = true)]
async fn a_10_mb_answer_costs_five_seconds() {
    let limiter = Limiter::new(Limits::kinesis_shard());
    let start = Instant::now();
    limiter.acquire().await;
    limiter.charge(10_000_000);
    limiter.acquire().await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_they_came() {
    let limiter = Limiter::new(Limits::kinesis_shard());
    let start = Instant::now();
    let served = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let (limiter, served) = (limiter.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                limiter.acquire().await;
                served.lock().unwrap().push((n, start.elapsed().as_millis()));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), [(0, 0), (1, 200), (2, 400), (3, 600)]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_takes_nothing_and_blocks_nobody() {
    let limiter = Limiter::new(Limits::kinesis_shard());
    let start = Instant::now();
    limiter.acquire().await;
    for _ in 0..10 {
        let given_up = tokio::time::timeout(Duration::from_millis(10), limiter.acquire()).await;
        assert!(given_up.is_err());
    }
    limiter.acquire().await;
    assert_eq!(start.elapsed(), Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn each_shard_has_a_limiter_of_its_own_that_outlives_its_readers() {
    let limiters = ShardLimiters::new(Limits::kinesis_shard());
    let (a, b) = (ShardId::from("a"), ShardId::from("b"));
    let start = Instant::now();
    limiters.reading(&a).acquire().await;
    limiters.reading(&b).acquire().await;
    limiters.opening(&a).acquire().await;
    limiters.listing().acquire().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    limiters.clone().reading(&a).acquire().await;
    assert_eq!(start.elapsed(), Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn only_shards_that_are_neither_listed_nor_in_use_are_forgotten() {
    let limiters = ShardLimiters::new(Limits::kinesis_shard());
    let [listed, read, gone] = ["listed", "read", "gone"].map(ShardId::from);
    let reader = limiters.reading(&read);
    for shard in [&listed, &read, &gone] {
        limiters.reading(shard).acquire().await;
    }
    limiters.keep_listed(&[Shard::new("listed")]);
    let kept: Vec<ShardId> = limiters.shards().keys().cloned().collect();
    assert_eq!(kept, [listed, read]);
    drop(reader);
}
