//! An endpoint's pauses, its room and its end, on a paused clock.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

async fn one(health: &Health, sign: Sign) {
    health.enter().await.unwrap().end(sign);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_for_all_requests_and_ends() {
    let health = Health::new(8, None, true);
    let before = health.enter().await.unwrap();
    one(&health, Sign::Crowded { pause: Some(3 * SECOND) }).await;
    // A shorter wish does not shorten it.
    before.end(Sign::Crowded { pause: Some(SECOND) });
    assert_eq!(health.enter().await.unwrap_err(), 3 * SECOND);
    tokio::time::sleep(3 * SECOND).await;
    one(&health, Sign::Well).await;
}

#[tokio::test(start_paused = true)]
async fn the_room_grows_only_while_it_is_used_and_shrinks_once_for_one_crowd() {
    let health = Health::new(64, None, true);
    for _ in 0..100 {
        one(&health, Sign::Well).await;
    }
    assert_eq!(health.concurrency.limit(), 4);
    let mut limits = Vec::new();
    for _ in 0..6 {
        let round = join_all((0..health.concurrency.limit()).map(|_| health.enter())).await;
        round.into_iter().for_each(|pass| pass.unwrap().end(Sign::Well));
        limits.push(health.concurrency.limit());
    }
    // The first reply of each round finds all the room used; it makes room for one more.
    assert_eq!(limits, [5, 6, 7, 8, 9, 10]);
    let round = join_all((0..10).map(|_| health.enter())).await;
    tokio::time::advance(SECOND).await;
    round.into_iter().for_each(|pass| pass.unwrap().end(Sign::Crowded { pause: None }));
    assert_eq!((health.concurrency.limit(), health.concurrency.room_now()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn there_is_always_room_for_one() {
    let health = Health::new(8, None, false);
    for _ in 0..10 {
        tokio::time::advance(SECOND).await;
        one(&health, Sign::Silent).await;
    }
    assert_eq!((health.concurrency.limit(), health.concurrency.room_now()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let health = Health::new(8, NonZeroU32::new(10), true);
    let began = Instant::now();
    for _ in 0..21 {
        one(&health, Sign::Well).await;
    }
    assert_eq!(began.elapsed(), 2 * SECOND);
}

/// Those who waited for a place had their share of the rate in hand already: after a stall they went all at once.
#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_after_a_stall() {
    let health = Health::new(64, NonZeroU32::new(10), false);
    let stalled = join_all((0..4).map(|_| health.enter())).await;
    let began = Instant::now();
    let waiting = join_all((0..20).map(async |_| {
        let pass = health.enter().await.unwrap();
        let at = began.elapsed();
        pass.end(Sign::Well);
        at
    }));
    let stall = async {
        tokio::time::sleep(10 * SECOND).await;
        drop(stalled);
    };
    let (mut sent, ()) = tokio::join!(waiting, stall);
    sent.sort_unstable();
    let tenth = SECOND / 10;
    assert!(sent.windows(2).all(|two| two[1] - two[0] >= tenth - Duration::from_millis(1)), "{sent:?}");
    assert!(sent[19] < 13 * SECOND, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_waits_for_the_rate_is_not_one_under_way() {
    let health = Health::new(64, NonZeroU32::new(1), false);
    let first = health.enter().await.unwrap();
    let waiting = join_all((0..3).map(|_| health.enter()));
    let look = async {
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!((health.status().in_flight, health.concurrency.limit()), (1, 4));
        // All places are taken, but three of them are not used: more would not help.
        first.end(Sign::Well);
        assert_eq!((health.status().in_flight, health.concurrency.limit()), (0, 4));
    };
    let (passes, ()) = tokio::join!(waiting, look);
    assert_eq!((passes.len(), health.status().in_flight), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_the_wait_for_the_rate_leaves_its_place() {
    let health = Health::new(1, NonZeroU32::new(1), false);
    one(&health, Sign::Well).await;
    assert!(tokio::time::timeout(SECOND / 2, health.enter()).await.is_err());
    let began = Instant::now();
    one(&health, Sign::Well).await;
    assert_eq!((began.elapsed(), health.status().in_flight), (SECOND / 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_during_the_wait_for_the_rate_is_kept() {
    let health = Health::new(8, NonZeroU32::new(1), false);
    let first = health.enter().await.unwrap();
    let pause = async {
        tokio::time::sleep(SECOND / 2).await;
        first.end(Sign::Crowded { pause: Some(9 * SECOND) });
    };
    let (second, ()) = tokio::join!(health.enter(), pause);
    assert!(second.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_is_not_asked_until_it_is_enabled() {
    let health = Health::new(8, None, true);
    one(&health, Sign::Gone).await;
    assert!(health.is_gone());
    assert_eq!(health.enter().await.unwrap_err(), GONE);
    health.enable();
    one(&health, Sign::Well).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_leaves_its_place_and_its_question() {
    let health = Health::new(1, None, true);
    for _ in 0..5 {
        one(&health, Sign::Silent).await;
    }
    tokio::time::sleep(5 * SECOND).await;
    drop(health.enter().await.unwrap());
    one(&health, Sign::Well).await;
    one(&health, Sign::Well).await;
}

#[tokio::test(start_paused = true)]
async fn its_status_tells_what_it_does() {
    let health = Health::new(8, None, true);
    let first = health.enter().await.unwrap();
    let status = health.status();
    assert_eq!((status.in_flight, status.concurrency_limit, status.breaker), (1, 4, BreakerState::Closed));
    first.end(Sign::Crowded { pause: Some(3 * SECOND) });
    let status = health.status();
    assert_eq!((status.in_flight, status.concurrency_limit, status.paused_for), (0, 2, 3 * SECOND));
    tokio::time::sleep(3 * SECOND).await;
    for _ in 0..5 {
        one(&health, Sign::Silent).await;
    }
    assert_eq!((health.status().breaker, health.status().paused_for), (BreakerState::Open, Duration::ZERO));
    tokio::time::sleep(5 * SECOND).await;
    let probe = health.enter().await.unwrap();
    assert_eq!((health.status().breaker, health.status().in_flight), (BreakerState::Probing, 1));
    probe.end(Sign::Gone);
    assert!(health.status().is_gone);
}
