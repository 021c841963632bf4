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
