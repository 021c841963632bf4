//! Only what passes is tried again, within the bounds, and never sooner than the backend asks.

use super::*;
use crate::error::ErrorKind;
use crate::limit::Limits;
use crate::wrap::Throttled;
use crate::wrap::scripted::{Answer, MANY, Scripted, batch, fails, hangs};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::timeout;

fn passing() -> Error {
    Error::transient("the connection broke")
}

fn script(answers: impl IntoIterator<Item = Answer>) -> Scripted {
    answers.into_iter().fold(Scripted::new(["0"]), |script, answer| script.then("0", answer))
}

async fn open<S: StreamSource>(source: &S) -> Box<dyn ShardReader> {
    source.open_shard(&ShardId::from("0"), StartPosition::TrimHorizon).await.unwrap()
}

/// The virtual milliseconds at which a shard was read.
fn reads(source: &Scripted) -> Vec<u64> {
    let at = |line: &String| line.split_once(" read ").map(|(at, _)| at.parse().unwrap());
    source.log().iter().filter_map(at).collect()
}

#[tokio::test(start_paused = true)]
async fn failures_that_pass_are_tried_again_with_jitter_below_a_doubling_bound() {
    let answers = || (0..6).map(|_| fails(passing())).chain([batch([(1, 1)])]);
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let source = Retrying::new(script(answers()), RetryPolicy::default()).with_seed(seed);
        assert_eq!(open(&source).await.next_batch(MANY).await.unwrap().records.len(), 1);
        let at = reads(source.get_ref());
        assert_eq!(at.len(), 7);
        for (n, pair) in at.windows(2).enumerate() {
            // Timers are a millisecond coarse.
            assert!(pair[1] - pair[0] <= (200 << n) + 1, "wait {n} was too long: {at:?}");
        }
        runs.push(at);
    }
    assert_eq!(runs[0], runs[1], "the same seed waits the same");
    assert_ne!(runs[0], runs[2], "another seed waits otherwise");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_will_not_pass_comes_out_at_once() {
    for kind in [ErrorKind::PositionExpired, ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Invalid] {
        let source = Retrying::new(script([fails(Error::new(kind, "no"))]), RetryPolicy::default());
        assert_eq!(open(&source).await.next_batch(MANY).await.unwrap_err().kind(), kind);
        assert_eq!(reads(source.get_ref()), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_bound_each_row_of_failures_anew() {
    let policy = RetryPolicy { attempts: NonZeroU32::new(3), ..RetryPolicy::default() };
    let rows = (0..2).map(|_| fails(passing())).chain([batch([(1, 1)])]).chain((0..3).map(|_| fails(passing())));
    let source = Retrying::new(script(rows.chain([batch([(2, 1)])])), policy);
    let mut reader = open(&source).await;
    assert!(reader.next_batch(MANY).await.is_ok());
    assert_eq!(reader.next_batch(MANY).await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(reads(source.get_ref()).len(), 6);
    assert_eq!(reader.next_batch(MANY).await.unwrap().records[0].sequence_number, 2.into());
}

#[tokio::test(start_paused = true)]
async fn age_bounds_a_row_and_no_attempt_begins_after_it() {
    let policy = RetryPolicy { max_age: Duration::from_secs(10), ..RetryPolicy::default() };
    let source = Retrying::new(script((0..100).map(|_| fails(passing()))), policy).with_seed(1);
    let mut reader = open(&source).await;
    assert!(reader.next_batch(MANY).await.is_err());
    assert!(reads(source.get_ref()).iter().all(|at| *at < 10_000));

    // Waiting as long as this backend asks would be in vain.
    let patient = Error::throttled(Some(Duration::MAX), "come back never");
    let source = Retrying::new(script([fails(patient)]), policy);
    let began = Instant::now();
    assert!(open(&source).await.next_batch(MANY).await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_backend_asks_for_is_kept() {
    let slow = || fails(Error::throttled(Some(Duration::from_secs(3)), "slow down"));
    let source = Retrying::new(script([slow(), slow()]), RetryPolicy::default());
    open(&source).await.next_batch(MANY).await.unwrap();
    let at = reads(source.get_ref());
    assert!((3_000..=3_201).contains(&(at[1] - at[0])), "{at:?}");
    assert!((3_000..=3_401).contains(&(at[2] - at[1])), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn listings_and_openings_are_tried_again_too() {
    let source = Retrying::new(script([]), RetryPolicy::default());
    source.get_ref().fail_next([passing(), passing()]);
    assert_eq!(source.list_shards().await.unwrap().len(), 1);
    source.get_ref().fail_next([passing()]);
    open(&source).await;
    let asked: Vec<String> = source.get_ref().log().iter().map(|line| line.split(' ').nth(1).unwrap().into()).collect();
    assert_eq!(asked, ["list", "list", "list", "open", "open"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_read_leaves_its_wait_to_the_next() {
    let slow = Error::throttled(Some(Duration::from_secs(1)), "slow down");
    let source = Retrying::new(script([fails(slow), hangs(), batch([(1, 1)])]), RetryPolicy::default());
    let mut reader = open(&source).await;
    for _ in 0..50 {
        assert!(timeout(Duration::from_millis(10), reader.next_batch(MANY)).await.is_err());
    }
    assert_eq!(reads(source.get_ref()), [0], "giving up a wait must not cut it short");
    assert!(timeout(Duration::from_secs(2), reader.next_batch(MANY)).await.is_err());
    assert_eq!(reader.next_batch(MANY).await.unwrap().records.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_pays_the_limiter_inside_and_none_the_one_outside() {
    let eager = RetryPolicy { cap: Duration::ZERO, ..RetryPolicy::default() };
    let answers = || (0..3).map(|_| fails(passing()));
    let inside = Retrying::new(Throttled::new(script(answers()), Limits::kinesis_shard()), eager);
    open(&inside).await.next_batch(MANY).await.unwrap();
    assert_eq!(reads(inside.get_ref().get_ref()), [0, 200, 400, 600]);
    let outside = Throttled::new(Retrying::new(script(answers()), eager), Limits::kinesis_shard());
    open(&outside).await.next_batch(MANY).await.unwrap();
    assert_eq!(reads(outside.get_ref().get_ref()), [0, 0, 0, 0]);
}
